"""Recordings in an object store: a real server that speaks S3, and what happens without it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from api_server.store.errors import RecordingsUnreachable, StoreUnavailable
from api_server.store.recording_objects import RecordingObjects
from api_server.store.recordings import RecordingFolder
from api_server.store.records import Ending, NewCase, NewJob
from api_server.store.sealed import CHUNK, SealingKeys
from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.jobs_in_store import PLENTY
from tests.support.object_store import URL, ObjectServer, object_server

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]  # the server alone takes some seconds

KEYS = SealingKeys("new", {"new": b"n" * 32, "old": b"o" * 32})
OLD = SealingKeys("old", {"old": b"o" * 32})
CONTENT = b"0123456789abcdef" * (CHUNK // 4) + b"end"  # several chunks


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(autouse=True)
def _environment(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


def objects(path: Path, keys: SealingKeys | None = None) -> RecordingObjects:
    url = f"{URL}/{path.name}"
    return RecordingObjects(url, RecordingFolder(path / "recordings", PLENTY, 0, 60.0, keys))


def stored(recordings: RecordingObjects) -> dict[str, bytes]:
    """Everything below the URL, whatever it is."""
    listed = [one["path"] for page in obstore.list(recordings._store) for one in page]
    return {path: bytes(obstore.get(recordings._store, path).bytes()) for path in listed}


@pytest.mark.parametrize("keys", [None, KEYS])
def test_a_recording_is_kept_whole_and_read_in_parts(
    tmp_path: Path, keys: SealingKeys | None
) -> None:
    recordings = objects(tmp_path, keys)
    received = recordings.receive(io.BytesIO(CONTENT))
    assert received.bytes == len(CONTENT)
    assert recordings.on_disk() == set()
    recordings.keep(received)
    (data,) = stored(recordings).values()
    assert (data == CONTENT) == (keys is None)
    assert recordings.on_disk() == {received.sha256}
    assert recordings.is_kept([received.sha256])
    assert not recordings.is_kept([received.sha256, "0" * 64])
    with recordings.opened(received.sha256) as path:
        assert path.read_bytes() == CONTENT
        assert path.stat().st_mode & 0o077 == 0
    assert not path.exists()
    for begin, end in ((0, 3), (CHUNK - 1, CHUNK + 1), (len(CONTENT) - 2, len(CONTENT) + 9)):
        assert recordings.read_range(received.sha256, begin, end) == CONTENT[begin:end]
    assert list((tmp_path / "recordings" / "incoming").iterdir()) == []
    assert recordings.copy_to(tmp_path / "copy") == 1
    assert (tmp_path / "copy" / recordings.path(received.sha256)).read_bytes() == data
    recordings.remove([received.sha256])
    assert stored(recordings) == {}
    with pytest.raises(StoreUnavailable, match="is gone from the store"):
        recordings.read_range(received.sha256, 0, 1)
    with pytest.raises(StoreUnavailable, match="is gone"), recordings.opened(received.sha256):
        pytest.fail("it was opened")


def test_what_is_removed_while_it_is_copied_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = objects(tmp_path)
    received = recordings.receive(io.BytesIO(CONTENT))
    recordings.keep(received)
    monkeypatch.setattr(recordings, "on_disk", lambda: {received.sha256, "0" * 64})
    assert recordings.copy_to(tmp_path / "copy") == 1


def test_what_was_not_kept_goes_and_what_is_another_s_stays(tmp_path: Path) -> None:
    recordings = objects(tmp_path)
    received = recordings.receive(io.BytesIO(CONTENT))
    obstore.put(recordings._store, "notes/mine.txt", b"mine")
    received.drop()
    received.drop()
    store = Store(tmp_path / "cases.db", recordings, Clock(1e6))
    orphan = recordings.receive(io.BytesIO(b"orphan"))
    recordings.keep(orphan)
    store.sweep()
    assert stored(recordings) == {"notes/mine.txt": b"mine"}


def test_the_key_of_recordings_there_is_changed(tmp_path: Path) -> None:
    old, new = objects(tmp_path, OLD), objects(tmp_path, KEYS)
    received = old.receive(io.BytesIO(CONTENT))
    old.keep(received)
    assert not new.is_current(received.sha256)
    new.rewrite(received.sha256)
    assert new.is_current(received.sha256)
    assert new.read_range(received.sha256, 3, 9) == CONTENT[3:9]
    assert len(stored(new)) == 1


def test_a_case_ends_and_its_recording_goes(tmp_path: Path) -> None:
    recordings = objects(tmp_path, KEYS)
    store = Store(tmp_path / "cases.db", recordings, Clock(1e6))
    case = NewCase("a.wav", recordings.receive(io.BytesIO(CONTENT)))
    store.submit(NewJob("", "{}", "{}", 5, (case,), "asked"))
    (claimed,) = store.claim(30, 1)
    assert store.examine() == []
    with recordings.opened(claimed.recording or "") as path:
        assert path.read_bytes() == CONTENT
    store.finish(claimed, Ending("done", "{}", 1.0))
    assert stored(recordings) == {}


def test_a_store_that_is_away_is_named_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_server(tmp_path) as gone:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gone.endpoint)
        away = objects(tmp_path)
        received = away.receive(io.BytesIO(CONTENT))
    with pytest.raises(RecordingsUnreachable, match=URL):
        away.receive(io.BytesIO(CONTENT))
    assert list((tmp_path / "recordings" / "incoming").iterdir()) == []
    store = Store(tmp_path / "cases.db", away, Clock(1e6))
    with pytest.raises(RecordingsUnreachable):
        store.submit(NewJob("", "{}", "{}", 5, (NewCase("a.wav", received),), "asked"))
    assert store.list_jobs(None, 9, None) == []
    store.sweep()  # what is left behind there goes with a later one


def test_nothing_imports_the_client_without_such_a_url() -> None:
    code = (
        "import sys, api_server.container, api_server.store.store; print('obstore' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "obstore" not in told.stdout.split()
