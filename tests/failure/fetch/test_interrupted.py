"""Concurrent and killed fetches, and full disks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stt_engine.errors import ModelFetchFailed
from stt_engine.events import Event
from stt_engine.model_store.log_lines import ELSEWHERE
from tests.support.fake_hub import (
    Hub,
    Index,
)
from tests.support.fetching import assert_whole, fetch
from tests.support.server import awaited
from tests.support.small_model import FILES, FOLDER

ROOT = Path(__file__).parents[3]


SCRIPT = """
import json, resource, sys
from tests.support.small_model import CATALOGUE, NAME
from stt_engine.model_store.store import ensure_model_exists
from stt_engine.errors import ModelFetchFailed
from stt_engine.outcome import StageSettled
if sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
seen = []
try:
    ensure_model_exists(NAME, sys.argv[1], catalogue=CATALOGUE, observers=[seen.append])
    last = ""
except ModelFetchFailed as exc:
    last = str(exc)
sources = [one.outcome.source if isinstance(one, StageSettled) else "" for one in seen]
print(json.dumps([last, [[type(e).__name__, s] for e, s in zip(seen, sources)]]))
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
    assert outcomes.count(["StageSettled", "hub"]) == 1
    assert outcomes.count(["StageSettled", ELSEWHERE]) == len(outcomes) - 1 > 0
    waited = [seen for _, seen in answers if seen and seen[-1] == ["StageSettled", ELSEWHERE]]
    assert any(["FetchWaiting", ""] in seen for seen in waited)


@pytest.mark.parametrize("stopped", [False, sys.platform == "linux"])
def test_a_killed_fetch_leaves_no_process_and_is_taken_up_again(
    hub: Hub, events: list[Event], tmp_path: Path, *, stopped: bool
) -> None:
    hub.block_sec = 0.1
    process = start(tmp_path)
    part = tmp_path / ".partial" / FOLDER / "files" / "model.bin.part"
    awaited(lambda: part.exists() and part.stat().st_size > 300_000, "a part is on the disk")
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
    assert seen[-1] == ["StageSettled", "dummy"]
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
