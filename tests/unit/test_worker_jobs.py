"""Jobs that share one child: turns, cancelling, a neighbour's crash, and rests between starts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from stt_engine.errors import AudioNotFound, CallExpired, WorkerCrashLoop, WorkerDied
from stt_engine.outcome import Event
from stt_engine.process import WorkerLimits
from stt_engine.turns import CallCancelled, Ticket
from stt_engine.worker import JobLost, Worker
from tests.support import sounds
from tests.support.server import awaited

BOUND = 60.0


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def worker(clock: Clock, events: list[Event]) -> Iterator[Worker]:
    found = Worker("audio", WorkerLimits(stall_timeout_sec=3.0), [events.append], clock)
    yield found
    found.close()


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sounds.sine(tmp_path_factory.mktemp("short") / "a.wav", 1.0)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour at 8 kHz: many steps of decoding."""
    return sounds.white_noise(tmp_path_factory.mktemp("long") / "a.wav", 3600.0, 8_000)


def _job(path: Path, folder: Path) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    limits = {"max_bytes": 2**31, "max_duration_sec": 14_400.0}
    return {"path": str(path), "folder": str(folder), **limits}


def _decode(worker: Worker, path: Path, folder: Path, ticket: Ticket | None = None) -> float:
    found = worker.call("decode", _job(path, folder), timeout=BOUND, ticket=ticket)
    return float(found["duration"])


def _kill(worker: Worker) -> None:
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    awaited(lambda: worker.pid is None, "the death is noticed")


# Turns ------------------------------------------------------------------------------------


def test_a_short_job_is_done_in_the_middle_of_a_long_one(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    with closing(worker.steps("decode", _job(long, tmp_path / "l"), timeout=BOUND)) as steps:
        first = next(steps)
        assert first["estimate_sec"] == pytest.approx(3600.0)
        next(steps)
        assert worker.state == "busy"
        assert _decode(worker, short, tmp_path / "s") == 1.0
        *_, last = steps
    assert last["done"]
    assert last["duration"] == pytest.approx(3600.0)
    assert worker.state == "idle"


def test_a_job_that_is_left_frees_what_it_held_and_the_child_lives(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    _decode(worker, short, tmp_path / "s")
    pid = worker.pid
    assert pid is not None
    before = psutil.Process(pid).num_fds()
    for number in range(5):
        job = _job(long, tmp_path / str(number))
        with closing(worker.steps("decode", job, timeout=BOUND)) as steps:
            next(steps)
            next(steps)
    _decode(worker, short, tmp_path / "s")
    assert worker.pid == pid
    assert psutil.Process(pid).num_fds() == before
    assert worker.state == "idle"


def test_cancelling_ends_a_job_at_its_next_step(worker: Worker, long: Path, tmp_path: Path) -> None:
    ticket, ended = Ticket(), list[object]()

    def run() -> None:
        try:
            ended.append(_decode(worker, long, tmp_path / "l", ticket))
        except CallCancelled as exc:
            ended.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    written = tmp_path / "l" / "channel0.s16"
    awaited(lambda: written.exists() and written.stat().st_size, "it is at work")
    ticket.cancel()
    thread.join(BOUND)
    assert isinstance(ended[0], CallCancelled)
    assert worker.state == "idle"
    assert written.stat().st_size < 3600 * 32_000


def test_a_job_whose_time_is_over_is_left(worker: Worker, long: Path, tmp_path: Path) -> None:
    clock = Clock()
    ticket = Ticket(clock=clock)
    ticket.measured(3600.0, 10.0)
    with pytest.raises(CallExpired, match="had 10 s"):
        worker.call(
            "decode",
            _job(long, tmp_path / "l"),
            timeout=BOUND,
            ticket=ticket,
            on_step=lambda _step: setattr(clock, "now", clock.now + 6.0),
        )
    assert worker.state == "idle"


# A neighbour's crash ----------------------------------------------------------------------


def test_a_job_whose_child_died_between_its_steps_is_lost_and_not_at_fault(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    with closing(worker.steps("decode", _job(long, tmp_path / "l"), timeout=BOUND)) as steps:
        next(steps)
        _kill(worker)
        with pytest.raises(JobLost):
            next(steps)
    assert _decode(worker, short, tmp_path / "s") == 1.0


def test_call_begins_a_lost_job_again(
    worker: Worker, short: Path, tmp_path: Path, events: list[Event]
) -> None:
    killed = []

    def kill_once(_step: object) -> None:
        if not killed:
            killed.append(worker.pid)
            _kill(worker)

    found = worker.call("decode", _job(short, tmp_path / "s"), timeout=BOUND, on_step=kill_once)
    assert found["duration"] == 1.0
    told = [str(event.detail["what"]) for event in events]
    assert told == ["started", "ended", "started"]


def test_recycling_between_two_steps_loses_nothing(
    worker: Worker, short: Path, tmp_path: Path, events: list[Event]
) -> None:
    pids = []

    def recycle_once(_step: object) -> None:
        pids.append(worker.pid)
        if len(pids) == 1:
            worker.recycle()

    found = worker.call("decode", _job(short, tmp_path / "s"), timeout=BOUND, on_step=recycle_once)
    assert found["duration"] == 1.0
    assert len(set(pids)) == 2
    assert [event.detail["what"] for event in events] == ["started", "recycled", "started"]


def test_the_child_tells_how_much_memory_it_holds(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    _decode(worker, short, tmp_path / "s")
    assert worker.pid is not None
    held = psutil.Process(worker.pid).memory_info().rss / 2**20
    assert worker.memory_mb == pytest.approx(held, rel=0.2)


# Rests between starts ---------------------------------------------------------------------


def _die(worker: Worker, path: Path, folder: Path) -> None:
    with closing(worker.steps("decode", _job(path, folder), timeout=BOUND)) as steps:
        next(steps)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)
        timer = threading.Timer(0.05, os.kill, (worker.pid, signal.SIGKILL))
        timer.start()
        with pytest.raises((WorkerDied, JobLost)):
            next(steps)
        timer.join()


def test_a_child_that_dies_three_times_in_a_row_is_given_longer_and_longer_rests(
    worker: Worker, short: Path, long: Path, tmp_path: Path, clock: Clock
) -> None:
    for _ in range(3):
        _die(worker, long, tmp_path / "l")
    with pytest.raises(WorkerCrashLoop, match=r"died 3 times in a row; .* again in 1 s"):
        _decode(worker, short, tmp_path / "s")
    clock.now = 1.0
    _die(worker, long, tmp_path / "l")
    with pytest.raises(WorkerCrashLoop, match=r"died 4 times in a row; .* again in 2 s"):
        _decode(worker, short, tmp_path / "s")
    assert worker.state == "stopped"
    clock.now = 3.0
    assert _decode(worker, short, tmp_path / "s") == 1.0
    _die(worker, long, tmp_path / "l")
    assert _decode(worker, short, tmp_path / "s") == 1.0, "a success forgives what was before"


def test_an_answer_that_is_an_error_is_a_sign_of_life(
    worker: Worker, long: Path, tmp_path: Path
) -> None:
    for _ in range(5):
        _die(worker, long, tmp_path / "l")
        with pytest.raises(AudioNotFound):
            _decode(worker, tmp_path / "none.wav", tmp_path / "s")


def test_closing_is_no_death(worker: Worker, short: Path, tmp_path: Path) -> None:
    for _ in range(5):
        _decode(worker, short, tmp_path / "s")
        worker.close()
    assert _decode(worker, short, tmp_path / "s") == 1.0
