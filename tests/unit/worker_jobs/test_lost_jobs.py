"""A job whose child ended between its steps is lost and started again."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from stt_engine.events import WorkerChanged
from stt_engine.workers.worker import JobLost, Worker
from tests.support.server import awaited
from tests.support.worker_jobs import BOUND, a_job, decode, entry_of


def _kill(worker: Worker) -> None:
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    awaited(lambda: worker.pid is None, "the death is noticed")


# A neighbour's crash ----------------------------------------------------------------------
def test_a_job_whose_child_died_between_its_steps_is_lost_and_not_at_fault(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    with closing(worker.steps(a_job(long, tmp_path / "l"), entry_of(), timeout=BOUND)) as steps:
        next(steps)
        _kill(worker)
        with pytest.raises(JobLost):
            next(steps)
    assert decode(worker, short, tmp_path / "s") == 1.0


def test_a_job_that_needs_another_child_than_the_living_one_is_lost(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    """A model is loaded in one child: a job for it must not begin in a fresh one."""
    decode(worker, short, tmp_path / "s")
    pid = worker.pid
    for change in (worker.close, lambda: decode(worker, short, tmp_path / "s")):
        change()
        running = worker.steps(a_job(short, tmp_path / "s"), entry_of(), timeout=BOUND, pid=pid)
        with closing(running), pytest.raises(JobLost):
            next(running)


def test_call_begins_a_lost_job_again(
    worker: Worker, short: Path, tmp_path: Path, events: list[WorkerChanged]
) -> None:
    killed = []

    def kill_once(_step: object) -> None:
        if not killed:
            killed.append(worker.pid)
            _kill(worker)

    found = worker.call(a_job(short, tmp_path / "s"), timeout=BOUND, on_step=kill_once)
    assert found["duration"] == 1.0
    told = [event.what for event in events]
    assert told == ["started", "ended", "started"]


def test_recycling_between_two_steps_loses_nothing(
    worker: Worker, short: Path, tmp_path: Path, events: list[WorkerChanged]
) -> None:
    pids = []

    def recycle_once(_step: object) -> None:
        pids.append(worker.pid)
        if len(pids) == 1:
            worker.recycle()

    found = worker.call(a_job(short, tmp_path / "s"), timeout=BOUND, on_step=recycle_once)
    assert found["duration"] == 1.0
    assert len(set(pids)) == 2
    assert [event.what for event in events] == ["started", "recycled", "started"]


def test_the_child_tells_how_much_memory_it_holds(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    decode(worker, short, tmp_path / "s")
    assert worker.pid is not None
    held = psutil.Process(worker.pid).memory_info().rss / 2**20
    assert worker.memory_mb == pytest.approx(held, rel=0.2)
