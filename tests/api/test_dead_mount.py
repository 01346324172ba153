"""A file system that answers nothing (a real one): its calls are told so, and nobody else waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from api_server.pipeline.storage import AT_ONCE
from stt_engine.errors import DeadlineExceeded
from stt_engine.limits import Limits
from stt_engine.recognition.decoder import AudioDecoder
from stt_engine.system import below, tempdirs
from stt_tools.drill.dead_mount import DeadMount, dead_mount, supported
from tests.support.bad_input import assert_problem
from tests.support.in_process import Running, running
from tests.support.server import ROOT

pytestmark = pytest.mark.skipif(not supported(), reason="mounting needs root and /dev/fuse")

CLIP = ROOT / "src/stt_engine/assets/canary.wav"


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[DeadMount]:
    with dead_mount(tmp_path / "mount", CLIP) as found:
        yield found


@pytest.fixture
async def server(mount: DeadMount, tmp_path: Path) -> AsyncIterator[Running]:
    """A server without a model, for which a recording that was opened ends in a dummy."""
    settings = {
        "audio_roots": [mount.folder, CLIP.parent],
        "audio_open_timeout_sec": 0.2,
        "stt_model_path": tmp_path / "none",
        "ready_interval_sec": 3600.0,
    }
    async with running(ready=False, **settings) as found:
        yield found
        mount.close()  # before the server waits for its children


async def ask(server: Running, path: Path) -> httpx2.Response:
    return await server.post({"file_path": str(path)})


async def component(server: Running, name: str) -> dict[str, Any]:
    found = (await server.client.get("/health")).json()
    return next(one for one in found["components"] if one["name"] == name)


async def test_a_dead_root_is_told_and_stops_nobody_else(server: Running, mount: DeadMount) -> None:
    assert (await ask(server, mount.file)).json()["error_type"] == "FileNotFoundError"  # no model
    mount.die()
    answers: list[httpx2.Response] = []

    async def try_it() -> None:
        answers.append(await ask(server, mount.file))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(try_it)
        assert (await server.client.get("/health")).status_code == 200
        assert (await ask(server, CLIP)).json()["is_dummy"]
    for answer in answers:
        told = assert_problem(answer, 503, "audio root 1 (gave no answer|does not answer)")
        assert told["type"] == "urn:stt-engine:problem:storage-unresponsive"
        assert int(answer.headers["retry-after"]) >= 1
        assert str(mount.folder) not in answer.text
    hanging = await component(server, "audio root 1")
    assert (hanging["state"], hanging["late"]) == ("hanging", 8)  # closing may hang beside them
    assert_problem(await ask(server, mount.file), 503, "8 attempts hang")  # at once
    assert (await component(server, "audio root 2"))["state"] == "ok"
    assert (await server.client.get("/health")).json()["status"] == "degraded"
    hangs = [line for line in server.log.all() if "응답하지 않음" in line]
    assert len(hangs) == 1
    mount.revive()
    with anyio.fail_after(30):
        while (await component(server, "audio root 1"))["waiting"]:  # noqa: ASYNC110 - no event
            await anyio.sleep(0.01)
    assert (await ask(server, mount.file)).json()["is_dummy"]
    assert any("다시 응답함" in line for line in server.log.all())


async def test_a_path_outside_hangs_no_root(server: Running, mount: DeadMount) -> None:
    """Whatever a caller names is looked at by threads of its own."""
    mount.die()
    link = mount.folder.parent / "link.wav"
    link.symlink_to(mount.file)
    for _ in range(5):
        assert_problem(await ask(server, link), 503, "the path")
    assert (await component(server, "audio root 2"))["state"] == "ok"
    assert (await ask(server, CLIP)).json()["is_dummy"]


async def test_a_dead_temporary_folder_is_told_and_stops_nobody_else(
    server: Running, mount: DeadMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uploads above what memory holds and below it, and the samples of any other recording."""
    monkeypatch.setattr(server.service.storage.uploads._threads, "timeout_sec", 0.3)
    monkeypatch.setattr(tempdirs._threads, "timeout_sec", 0.3)
    monkeypatch.setattr(tempdirs, "_own", None)
    monkeypatch.setattr("tempfile.tempdir", str(mount.folder))
    mount.die()
    answers: list[httpx2.Response] = []

    async def upload(size: int) -> None:
        answers.append(await server.post({}, ("a.wav", bytes(size))))

    async with anyio.create_task_group() as tasks:
        for number in range(2 * AT_ONCE):
            tasks.start_soon(upload, 2_000_000 if number % 2 else 100)
        for _ in range(5):
            assert (await server.client.get("/health/live")).status_code == 200
        checked = await server.client.post("/analyze", json={"text": "안녕하세요"})
        assert checked.status_code == 200
    for answer in answers:
        told = assert_problem(answer, 503, "the temporary folder (gave no answer|does not answer)")
        assert told["type"] == "urn:stt-engine:problem:storage-unresponsive"
        assert int(answer.headers["retry-after"]) >= 1
    assert (await component(server, "temporary folder"))["state"] == "hanging"
    named = (await ask(server, CLIP)).json()
    assert (named["success"], named["error_type"]) == (False, "StorageUnresponsive")
    mount.revive()
    monkeypatch.undo()
    with anyio.fail_after(30):
        while (await component(server, "temporary folder"))["waiting"]:  # noqa: ASYNC110 - no event
            await anyio.sleep(0.01)
    assert (await server.post({}, ("a.wav", CLIP.read_bytes()))).json()["is_dummy"]  # no model


def test_a_mount_that_dies_under_the_decoder_holds_it_for_the_stall_time(mount: DeadMount) -> None:
    decoder = AudioDecoder(Limits(stall_timeout_sec=1.5))
    descriptor = below.hold_below(mount.folder, mount.file)
    mount.die()
    try:
        with pytest.raises(DeadlineExceeded, match="a file system does not answer"):
            decode(decoder, below.path_of(descriptor))
        with decoder.opened(CLIP) as audio:
            assert audio.duration > 1
    finally:
        decoder.worker.close()
        mount.close()


def test_a_process_that_cannot_be_killed_is_left_behind(mount: DeadMount) -> None:
    """The kernel holds it until the file system answers; no other recording waits for it."""
    decoder = AudioDecoder(Limits(stall_timeout_sec=1.5))
    mount.die_holding()
    try:
        with pytest.raises(DeadlineExceeded):
            decode(decoder, mount.file)
        with decoder.opened(CLIP) as audio:
            assert audio.duration > 1
    finally:
        decoder.worker.close()
        mount.close()


def decode(decoder: AudioDecoder, path: Path) -> None:
    with decoder.opened(path):
        pytest.fail("a dead file system cannot be read")
