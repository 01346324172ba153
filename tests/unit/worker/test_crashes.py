"""A child that is killed, stopped or too slow."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from stt_engine.errors import (
    DeadlineExceeded,
    WorkerDied,
)
from stt_engine.events import WorkerChanged
from stt_engine.workers.worker import Worker
from tests.support import sounds
from tests.support.server import awaited
from tests.support.workers import BOUND, decode, ended_of, gone, in_mid_call


# Signals ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_child_killed_in_mid_call_is_named_and_the_next_call_is_normal(
    worker: Worker, short: Path, long: Path, tmp_path: Path, name: str, events: list[WorkerChanged]
) -> None:
    thread, ended = in_mid_call(worker, long, tmp_path)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.Signals[name])
    error = ended_of(thread, ended)
    assert isinstance(error, WorkerDied)
    assert f"signal {name}" in str(error)
    assert gone(pid)
    assert decode(worker, short, tmp_path) == 1.0
    assert [event.what for event in events] == ["started", "ended", "started"]


def test_a_child_killed_while_idle_is_not_noticed_by_the_next_caller(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    decode(worker, short, tmp_path)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    awaited(lambda: worker.state == "stopped", "the death is noticed")
    assert worker.pid is None
    assert decode(worker, short, tmp_path) == 1.0
    assert worker.pid != pid
    assert gone(pid)


def test_a_child_stopped_in_mid_call_is_ended_within_the_stall_time_out(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    thread, ended = in_mid_call(worker, long, tmp_path)
    pid = worker.pid
    assert pid is not None
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    error = ended_of(thread, ended)
    assert isinstance(error, DeadlineExceeded)
    assert "silent for 3 s" in str(error)
    assert time.monotonic() - began < BOUND / 2  # its time-out was BOUND
    assert gone(pid)
    assert decode(worker, short, tmp_path) == 1.0


def test_a_child_stopped_while_idle_is_replaced_before_the_next_call(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    decode(worker, short, tmp_path)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    awaited(lambda: worker.state == "stalled", "the silence is noticed")
    assert decode(worker, short, tmp_path) == 1.0
    assert worker.pid != pid
    assert gone(pid)


def test_a_call_is_ended_at_its_deadline_however_lively_the_child(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    decode(worker, short, tmp_path)
    pid = worker.pid
    assert pid is not None
    with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.2 s"):
        decode(worker, long, tmp_path, timeout=0.2)
    assert gone(pid)
    assert decode(worker, short, tmp_path) == 1.0  # and not the late answer of the other


def test_closing_answers_the_call_in_hand(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    thread, ended = in_mid_call(worker, long, tmp_path)
    worker.close()
    assert isinstance(ended_of(thread, ended), WorkerDied)
    assert decode(worker, short, tmp_path) == 1.0


def test_the_state_is_told_without_waiting_for_the_call(
    worker: Worker, long: Path, tmp_path: Path
) -> None:
    thread, ended = in_mid_call(worker, long, tmp_path)
    assert (worker.state, worker.pid is None) == ("busy", False)
    assert ended == []  # both were told while the call went on
    worker.close()
    ended_of(thread, ended)


def test_a_progress_callback_that_breaks_leaves_no_half_read_answer(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    """The decoder tells no progress; an interrupt while waiting is the same case."""
    decode(worker, short, tmp_path)
    real = worker._next_message

    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    worker._next_message = interrupted  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        decode(worker, short, tmp_path)
    worker._next_message = real  # type: ignore[method-assign]
    assert decode(worker, sounds.sine(tmp_path / "b.wav", 2.0), tmp_path) == 2.0
