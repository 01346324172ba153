"""The drill's fault server: up while its block runs, stopped when it ends, however it ends."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from stt_tools.drill.client import Target
from stt_tools.drill.fault_server import FaultServer, answer, serve_in_thread


def _threads() -> set[str]:
    return {one.name for one in threading.enumerate()}


def _frames(thread: int) -> Iterator[FrameType]:
    frame = sys._current_frames().get(thread)
    while frame is not None:
        yield frame
        frame = frame.f_back


def test_it_answers_while_its_block_runs_and_is_gone_afterwards() -> None:
    before = _threads()
    with serve_in_thread(FaultServer(answer(200, {"said": "words"}))) as server:
        assert Target(server.base).transcribe({}).body == {"said": "words"}
    assert Target(server.base).get("/").status == 0
    assert _threads() == before


@pytest.mark.timeout(30)
def test_ctrl_c_while_its_thread_starts_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # In the background a shell has Ctrl-C ignored, and Python keeps to that.
    before_it, before = signal.signal(signal.SIGINT, signal.default_int_handler), _threads()
    caller = threading.get_ident()
    as_it_is = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        """Begin when the caller waits for the server, and has had its Ctrl-C."""
        while not any(frame.f_code.co_name == "result" for frame in _frames(caller)):
            time.sleep(0.001)  # nothing tells that somebody waits
        signal.pthread_kill(caller, signal.SIGINT)
        while any(frame.f_code.co_name == "result" for frame in _frames(caller)):
            time.sleep(0.001)
        as_it_is(thread)

    monkeypatch.setattr(threading.Thread, "run", run)
    with pytest.raises(KeyboardInterrupt), serve_in_thread(FaultServer(answer(200))):
        pytest.fail("it was up")
    signal.signal(signal.SIGINT, before_it)
    assert _threads() == before


def test_one_that_cannot_listen_says_why() -> None:
    before = _threads()
    nowhere = FaultServer(answer(200), host="192.0.2.1")
    with pytest.raises(OSError, match=r"192\.0\.2\.1"), serve_in_thread(nowhere):
        pytest.fail("that is no address of this machine")
    assert _threads() == before


@pytest.mark.timeout(30)
def test_a_client_that_says_nothing_does_not_keep_it() -> None:
    with serve_in_thread(FaultServer(answer(200))) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        while not server._tasks:
            time.sleep(0.001)  # nothing tells that it has been let in
    with client:
        assert client.recv(1) == b""
