"""kill -9 of the parent: no child is left, be it stuck in native code, stopped, or loading."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.support.server import DEADLINE_SEC, ROOT, ApiServer, awaited

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        sys.platform != "linux", reason="a stopped child ends with it on Linux only"
    ),
]

LOADED = "모델 로드 완료"

GONE_SEC = 5.0
"""Promised in docs/operations.md."""

_TRIES = 5
"""Servers that are started until one is caught in the middle of loading."""

STUCK = """
import ctypes, sys
from stt_engine.system.parent_death import die_with_parent
die_with_parent()
sys.stdout.write("up\\n"), sys.stdout.flush()
ctypes.PyDLL(None).sleep(600)  # native code that keeps the interpreter's lock: no thread runs
"""

PARENT = """
import subprocess, sys, threading
from stt_engine.system.parent_death import kept

def start():
    command = [sys.executable, "-c", sys.argv[2]]
    return subprocess.Popen(command, stdout=subprocess.PIPE)

def one():
    child = kept(start) if sys.argv[1] == "kept" else start()
    child.stdout.readline()
    print(child.pid, flush=True)

thread = threading.Thread(target=one)
thread.start()
thread.join()
print("the thread that asked has ended", flush=True)
sys.stdin.read()
"""


@contextmanager
def parent(how: str) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Run a process whose child is stuck in native code, and was asked for by a thread that ended.

    A program that is ours, for a recogniser cannot be made to hang in native code at will.
    """
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, how, STUCK],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        child = psutil.Process(int(process.stdout.readline()))
        assert process.stdout.readline()
        try:
            yield process, child
        finally:
            process.kill()
            with suppress(psutil.NoSuchProcess):
                child.kill()


def assert_gone_in_time(children: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(children, timeout=GONE_SEC)
    for one in alive:
        one.kill()
    assert not alive, f"orphans: {alive}"


@pytest.mark.parametrize("stopped", [False, True])
def test_a_child_stuck_in_native_code_ends_with_its_parent_only(*, stopped: bool) -> None:
    with parent("kept") as (process, child):
        awaited(lambda: child.status() == psutil.STATUS_SLEEPING, "it is stuck, and lives")
        if stopped:
            child.suspend()
        process.kill()
        process.wait(DEADLINE_SEC)
        assert_gone_in_time([child])


def test_without_a_thread_that_stays_it_would_end_with_the_one_that_asked() -> None:
    """The kernel's trap, which is what the thread is for."""
    with parent("not kept") as (process, child):
        awaited(lambda: child.status() == psutil.STATUS_ZOMBIE, "the child is killed")
        assert process.poll() is None


class Asking:
    """A call for the sample recording, from a thread: its caller sees the server go away."""

    def __init__(self, server: ApiServer) -> None:
        call = (ROOT / "audio/sample_call.wav").read_bytes()
        url = f"{server.base}/transcribe"

        def ask() -> None:
            with httpx2.Client(trust_env=False, timeout=DEADLINE_SEC) as client:
                try:
                    client.post(url, data={"language": "en"}, files={"file": ("a.wav", call)})
                except httpx2.TransportError:
                    self.lost = True

        self.lost = False
        self._thread = threading.Thread(target=ask)
        self._thread.start()

    def ended(self) -> None:
        self._thread.join(DEADLINE_SEC)
        assert self.lost


@contextmanager
def server(folder: Path) -> Iterator[ApiServer]:
    made = ApiServer(folder)
    try:
        yield made
    finally:
        made.kill()


def kill_with_children(
    running: ApiServer, before: Callable[[psutil.Process], None] | None = None
) -> None:
    """Kill the server, ``before`` having been done to each child; none of them may be left."""
    children = running.children()
    assert children
    for child in children:
        if before:
            before(child)
    running.send(signal.SIGKILL)
    running.process.wait(DEADLINE_SEC)
    assert_gone_in_time(children)


@pytest.mark.slow
def test_stopped_children_of_a_killed_server_are_gone_and_the_next_one_sweeps(
    tmp_path: Path,
) -> None:
    """Recogniser, decoder and work on text, in the middle of a call, and never continued."""
    with server(tmp_path) as first:
        first.wait_ready()
        asking = Asking(first)
        awaited(lambda: first.component("faster-whisper")["state"] == "busy", "it is at work")
        assert len(first.children()) == 3
        kill_with_children(first, psutil.Process.suspend)
        asking.ended()
        left = list(first.temporary.glob("stt-engine-*"))
        assert any(path.is_file() for folder in left for path in folder.rglob("*/*"))
        with server(tmp_path) as second:
            second.wait_ready()
            assert not [folder for folder in left if folder.exists()]
            second.stop()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_child_that_is_loading_ends_with_the_server(tmp_path: Path, *, stopped: bool) -> None:
    """Its library is in memory, and its model is not yet: on a busy machine not at once so.

    Only this child is stopped: one that has just been forked has not yet asked to die with us.
    """
    for number in range(_TRIES):
        (tmp_path / str(number)).mkdir()
        with server(tmp_path / str(number)) as running:
            child = awaited(partial(_held_in_loading, running), "it is loading")
            if any(LOADED in line for line in running.lines):
                child.resume()
                continue
            if not stopped:
                child.resume()
            kill_with_children(running)
            return
    pytest.fail("no child was seen while it was loading")


def _held_in_loading(running: ApiServer) -> psutil.Process | None:
    """Find the child that has its library in memory, and hold it there."""
    for one in running.children():
        with suppress(OSError, psutil.Error):
            if "ctranslate2" in Path(f"/proc/{one.pid}/maps").read_text("utf-8"):
                one.suspend()
                return one
    return None
