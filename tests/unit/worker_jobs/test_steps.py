"""Jobs of several calls take steps in one child: order, cancelling, deadlines."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from stt_engine.call import CallCancelled, CallContext
from stt_engine.errors import (
    CallExpired,
)
from stt_engine.workers.scheduler import QueueEntry
from stt_engine.workers.worker import Worker
from tests.support.clock import Clock
from tests.support.server import awaited
from tests.support.worker_jobs import BOUND, Job, a_job, decode, entry_of


def _result(steps: Generator[Any, None, Job]) -> Job:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


# Turns ------------------------------------------------------------------------------------
def test_a_short_job_is_done_in_the_middle_of_a_long_one(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    with closing(worker.steps(a_job(long, tmp_path / "l"), entry_of(), timeout=BOUND)) as steps:
        first = next(steps)
        assert first["estimate_sec"] == pytest.approx(3600.0)
        next(steps)
        assert worker.state == "busy"
        assert decode(worker, short, tmp_path / "s") == 1.0
        last = _result(steps)
    assert last["kind"] == "decoded"
    assert last["duration"] == pytest.approx(3600.0)
    assert worker.state == "idle"


def test_a_job_that_is_left_frees_what_it_held_and_the_child_lives(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    decode(worker, short, tmp_path / "s")
    pid = worker.pid
    assert pid is not None
    before = psutil.Process(pid).num_fds()
    for number in range(5):
        job = a_job(long, tmp_path / str(number))
        with closing(worker.steps(job, entry_of(), timeout=BOUND)) as steps:
            next(steps)
            next(steps)
    decode(worker, short, tmp_path / "s")
    assert worker.pid == pid
    assert psutil.Process(pid).num_fds() == before
    assert worker.state == "idle"


def test_cancelling_ends_a_job_at_its_next_step(worker: Worker, long: Path, tmp_path: Path) -> None:
    context, ended = CallContext(), list[object]()

    def run() -> None:
        try:
            ended.append(decode(worker, long, tmp_path / "l", context))
        except CallCancelled as exc:
            ended.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    written = tmp_path / "l" / "channel0.s16"
    awaited(lambda: written.exists() and written.stat().st_size, "it is at work")
    context.cancel()
    thread.join(BOUND)
    assert isinstance(ended[0], CallCancelled)
    assert worker.state == "idle"
    assert written.stat().st_size < 3600 * 32_000


def test_a_job_whose_time_is_over_is_left(worker: Worker, long: Path, tmp_path: Path) -> None:
    clock = Clock()
    context = CallContext(max_wait_sec=0.0, clock=clock)
    context.allow(10.0)
    with pytest.raises(CallExpired, match="had 10 s"):
        worker.call(
            a_job(long, tmp_path / "l"),
            timeout=BOUND,
            entry=QueueEntry(context),
            on_step=lambda _step: setattr(clock, "now", clock.now + 6.0),
        )
    assert worker.state == "idle"
