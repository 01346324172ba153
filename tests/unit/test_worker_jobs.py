"""Jobs that share one child: turns, cancelling, a neighbour's crash, and rests between starts."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil
import pytest

from stt_engine import child, process
from stt_engine import worker as worker_module
from stt_engine.errors import (
    AudioNotFound,
    CallExpired,
    DeadlineExceeded,
    EngineError,
    ServerStopping,
    WorkerCrashLoop,
    WorkerDied,
)
from stt_engine.isolated import IsolatedBackend, Limits
from stt_engine.outcome import Event
from stt_engine.process import WorkerLimits
from stt_engine.speech import SAMPLE_RATE, DecodedAudio, SpeechRequest, Transcript
from stt_engine.turns import CallCancelled, Ticket
from stt_engine.worker import ChildDefect, JobLost, Worker
from tests.conftest import REPOSITORY
from tests.support import sounds
from tests.support.server import awaited
from tests.support.stub_child import DEADLY, ORDINARY, ROLE, STOPPING, WAITING, command
from tests.support.stub_model import job_of

Job = dict[str, Any]

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


def test_a_job_that_needs_another_child_than_the_living_one_is_lost(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    """A model is loaded in one child: a job for it must not begin in a fresh one."""
    _decode(worker, short, tmp_path / "s")
    pid = worker.pid
    for change in (worker.close, lambda: _decode(worker, short, tmp_path / "s")):
        change()
        running = worker.steps("decode", _job(short, tmp_path / "s"), timeout=BOUND, pid=pid)
        with closing(running), pytest.raises(JobLost):
            next(running)


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


# Steps that jobs share --------------------------------------------------------------------

QUIET = 2.0
"""Seconds without a sign of life, or without an answer, after which a stub child is ended."""


class Shared:
    """A real child with a stub model that hears two stretches at once, and its jobs.

    A job that has four stretches has had two of them heard at its first step of hearing; the third
    is then heard with the first one of the job that comes next.
    """

    def __init__(self, worker: Worker, folder: Path) -> None:
        self.worker = worker
        self._folder = folder
        self._pipe = folder / "pipe"
        os.mkfifo(self._pipe)
        self.load()

    def load(self) -> None:
        self.worker.call("load", {"pipe": str(self._pipe), "facts": {}}, timeout=BOUND)

    def job(self, *loud: int, timeout: float = BOUND, alone: bool = False) -> StubJob:
        """Begin a job of one-second stretches of this loudness."""
        samples = np.zeros(2 * len(loud) * SAMPLE_RATE, np.int16)
        for at, level in enumerate(loud):
            samples[2 * at * SAMPLE_RATE : (2 * at + 1) * SAMPLE_RATE] = level
        file = self._folder / f"{len(list(self._folder.iterdir()))}.s16"
        samples.tofile(file)
        payload = {**job_of(str(file)), "alone": alone}
        return StubJob(self.worker, payload, Ticket(alone=alone), timeout)

    def at_work(self) -> BinaryIO:
        """Wait until the child waits in a step; it goes on when this is closed."""
        return self._pipe.open("wb")


class StubJob:
    """A job that is stepped by hand."""

    def __init__(self, worker: Worker, payload: Job, ticket: Ticket, timeout: float) -> None:
        self.ticket = ticket
        self.texts: list[str] = []
        self._steps = worker.steps("transcribe", payload, timeout=timeout, ticket=ticket)
        self.step()  # who listens

    def step(self) -> None:
        for segment in next(self._steps).get("segments", ()):
            self.texts.append(segment["text"])

    def to_the_end(self) -> StubJob:
        with contextlib.suppress(StopIteration):
            while True:
                self.step()
        return self

    def fails(self) -> Exception:
        with pytest.raises((JobLost, EngineError)) as caught:
            self.to_the_end()
        return caught.value

    def in_background(self) -> tuple[threading.Thread, list[Exception]]:
        """Step it once in a thread; the list has what that ended with, if anything."""
        found: list[Exception] = []

        def run() -> None:
            try:
                self.step()
            except (JobLost, EngineError) as exc:
                found.append(exc)

        thread = threading.Thread(target=run)
        thread.start()
        return thread, found


@pytest.fixture
def shared(
    tmp_path: Path, clock: Clock, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shared]:
    monkeypatch.setattr(process, "_command", lambda role, fd, _limits: command(role, fd, 0))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    stub = Worker(ROLE, WorkerLimits(stall_timeout_sec=QUIET), [events.append], clock)
    yield Shared(stub, tmp_path)
    stub.close()


def _four(loud: int = ORDINARY) -> tuple[int, int, int, int]:
    """Four stretches, of which the third is the special one."""
    return ORDINARY, ORDINARY, loud, ORDINARY


def test_jobs_that_share_a_step_get_their_own_words(shared: Shared) -> None:
    first, second = shared.job(*_four()), shared.job(*_four(ORDINARY + 3))
    for _ in range(2):
        first.step()
        second.step()
    assert first.texts == ["transcribe ko 16000 1000"] * 2
    assert first.to_the_end().texts == ["transcribe ko 16000 1000"] * 4
    second.to_the_end()
    assert second.texts[2] == "transcribe ko 16000 1003"
    assert len(second.texts) == 4


@pytest.mark.parametrize("whose", ["the leader's", "the neighbour's"])
def test_a_child_that_ends_in_a_shared_step_blames_nobody(shared: Shared, whose: str) -> None:
    own = whose == "the leader's"
    neighbour = shared.job(*_four(ORDINARY if own else DEADLY))
    neighbour.step()
    leader = shared.job(DEADLY if own else ORDINARY)
    bystander = shared.job(ORDINARY)
    pid = shared.worker.pid
    assert isinstance(leader.fails(), JobLost)
    assert isinstance(neighbour.fails(), JobLost)
    assert isinstance(bystander.fails(), JobLost)
    assert (leader.ticket.alone, neighbour.ticket.alone) == (True, True)
    assert not bystander.ticket.alone, "it had no part in that step"
    assert shared.worker.state == "stopped"
    shared.load()
    assert shared.worker.pid != pid


def test_of_two_that_are_heard_alone_the_one_that_ends_its_child_is_known(shared: Shared) -> None:
    innocent = shared.job(*_four())
    innocent.step()
    guilty = shared.job(DEADLY)
    assert isinstance(guilty.fails(), JobLost)
    assert isinstance(innocent.fails(), JobLost)
    shared.load()
    innocent = shared.job(*_four(), alone=True)
    innocent.step()
    guilty = shared.job(DEADLY, alone=True)
    died = guilty.fails()
    assert isinstance(died, WorkerDied)
    assert "SIGKILL" in str(died)
    assert isinstance(innocent.fails(), JobLost), "its neighbour's death is not its own"
    shared.load()
    assert len(shared.job(*_four(), alone=True).to_the_end().texts) == 4


def test_a_job_with_nobody_beside_it_that_ends_its_child_is_at_fault(shared: Shared) -> None:
    only = shared.job(*_four(DEADLY))
    assert isinstance(only.fails(), WorkerDied)
    assert not only.ticket.alone


def test_a_neighbour_that_was_dropped_before_is_no_sharer(shared: Shared) -> None:
    neighbour = shared.job(*_four())
    neighbour.step()
    leader = shared.job(DEADLY)
    neighbour._steps.close()
    assert isinstance(leader.fails(), WorkerDied)
    assert not neighbour.ticket.alone


def test_a_death_after_a_shared_step_is_not_the_sharers(shared: Shared) -> None:
    neighbour = shared.job(*_four())
    neighbour.step()
    leader = shared.job(*_four())
    leader.step()  # the shared one
    last = shared.job(DEADLY, alone=True)
    assert isinstance(last.fails(), WorkerDied)
    for one in (neighbour, leader):
        assert isinstance(one.fails(), JobLost)
        assert not one.ticket.alone
    assert (len(neighbour.texts), len(leader.texts)) == (3, 1), "nothing heard is lost"


def test_what_was_heard_in_anothers_step_is_taken_without_a_turn(shared: Shared) -> None:
    neighbour = shared.job(*_four())
    neighbour.step()
    shared.job(*_four()).step()
    thread, found = shared.job(WAITING, alone=True).in_background()
    awaited(lambda: shared.worker._lane._held, "somebody else's step")
    neighbour.step()
    neighbour.step()
    assert len(neighbour.texts) == 3
    assert thread.is_alive(), "and the step goes on"
    with shared.at_work():
        pass
    thread.join(BOUND)
    assert found == []
    assert len(neighbour.to_the_end().texts) == 4


def test_one_that_waits_for_its_turn_is_let_go_with_what_it_was_heard(shared: Shared) -> None:
    waiting, leader = shared.job(ORDINARY), shared.job(WAITING)
    first, found = leader.in_background()
    awaited(lambda: shared.worker._sharing, "they share a step")
    second, also = waiting.in_background()
    awaited(lambda: shared.worker._lane._waiting, "one waits")
    with shared.at_work():
        pass
    for thread in (first, second):
        thread.join(BOUND)
    assert (found, also) == ([], [])
    assert (len(leader.texts), len(waiting.texts)) == (1, 1)


def test_what_goes_wrong_in_leaving_a_job_ends_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaves_badly(_job: Job) -> Iterator[Job]:
        try:
            yield {}
        finally:
            raise OSError("the folder is gone")

    told: list[tuple[str, Job]] = []

    class Pipe:
        def jobs(self) -> Iterator[Job]:
            yield {"operation": "leave", "job": 1}
            yield {"operation": child.DROP, "job": 1}

        def tell(self, event: str, **facts: object) -> None:
            told.append((event, facts))

    monkeypatch.setitem(child.ROLES, "left", (__name__, "operations"))
    monkeypatch.setattr(f"{__name__}.operations", lambda _: {"leave": leaves_badly}, raising=False)
    child._serve("left", Pipe())  # type: ignore[arg-type]
    assert [event for event, _ in told] == ["result", "turn", "error"], "and no turn is answered"
    assert told[-1][1]["job"] == 1


def test_what_is_wrong_with_another_job_is_not_the_leaders(shared: Shared) -> None:
    wrong = StubJob(shared.worker, job_of("gone"), Ticket(), BOUND)
    leader = shared.job(ORDINARY)
    assert len(leader.to_the_end().texts) == 1
    with pytest.raises(ChildDefect, match="gone") as caught:
        wrong.step()
    assert caught.value.error_type == "FileNotFoundError"
    assert shared.worker.state == "idle"


@pytest.mark.parametrize(("loud", "timeout"), [(WAITING, QUIET), (STOPPING, BOUND)])
def test_a_shared_step_without_an_answer_blames_nobody(
    shared: Shared, loud: int, timeout: float
) -> None:
    """The child waits for ever, or is stopped so that even its heart stands still."""
    neighbour = shared.job(*_four())
    neighbour.step()
    leader = shared.job(loud, timeout=timeout)
    lost = leader.fails()
    assert isinstance(lost, JobLost)
    assert isinstance(lost.__cause__, DeadlineExceeded)
    assert isinstance(neighbour.fails(), JobLost)
    assert (leader.ticket.alone, neighbour.ticket.alone) == (True, True)
    assert shared.worker._deaths == 1


def test_a_job_alone_that_gives_no_answer_is_late_itself(shared: Shared) -> None:
    neighbour = shared.job(*_four())
    neighbour.step()
    late = shared.job(WAITING, timeout=QUIET, alone=True)
    assert isinstance(late.fails(), DeadlineExceeded)
    assert isinstance(neighbour.fails(), JobLost)
    assert not neighbour.ticket.alone


@pytest.mark.parametrize(("end", "named"), [("close", WorkerDied), ("stop", ServerStopping)])
def test_closing_in_a_shared_step_is_no_death(
    shared: Shared, events: list[Event], end: str, named: type[Exception]
) -> None:
    neighbour = shared.job(*_four())
    neighbour.step()
    leader = shared.job(WAITING)
    thread, found = leader.in_background()
    with contextlib.suppress(BrokenPipeError), shared.at_work():
        getattr(shared.worker, end)()
        thread.join(BOUND)
    assert [type(one) for one in found] == [named]
    assert isinstance(neighbour.fails(), JobLost if end == "close" else ServerStopping)
    assert (leader.ticket.alone, neighbour.ticket.alone) == (False, False)
    assert shared.worker._deaths == 0


@dataclass
class Hurried:
    """The real clock, and what is added to it."""

    added: float = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.added


LONG = 20.0


@pytest.fixture
def hurried(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> Hurried:
    found = Hurried()
    monkeypatch.setattr(worker_module, "time", found)
    shared.worker.limits = WorkerLimits(stall_timeout_sec=1_000.0)
    return found


def _long_step(shared: Shared, hurried: Hurried, leader: StubJob) -> None:
    """Do a step that takes LONG seconds by the clock."""
    thread, found = leader.in_background()
    with shared.at_work():
        hurried.added += LONG
    thread.join(BOUND)
    assert found == []


def test_a_leader_pays_its_share_of_a_shared_step(shared: Shared, hurried: Hurried) -> None:
    neighbour = shared.job(*_four())
    neighbour.step()
    leader = shared.job(WAITING)
    before = leader.ticket.spent_sec
    _long_step(shared, hurried, leader)
    assert LONG / 2 <= leader.ticket.spent_sec - before < LONG


def test_a_job_pays_for_all_of_a_step_of_its_own(shared: Shared, hurried: Hurried) -> None:
    only = shared.job(WAITING)
    before = only.ticket.spent_sec
    _long_step(shared, hurried, only)
    assert only.ticket.spent_sec - before >= LONG


def test_a_neighbour_pays_its_share_of_a_shared_step(shared: Shared, hurried: Hurried) -> None:
    neighbour = shared.job(*_four())
    neighbour.step()
    leader = shared.job(WAITING)
    before = neighbour.ticket.spent_sec
    _long_step(shared, hurried, leader)
    neighbour.to_the_end()
    assert LONG / 2 <= neighbour.ticket.spent_sec - before < LONG


def test_two_calls_outlive_a_real_model_that_is_killed_in_a_step_they_share(
    whisper_base: Path, tmp_path: Path, events: list[Event]
) -> None:
    """Both are heard to the end in the next process, each by itself."""
    with wave.open(str(REPOSITORY / "src/stt_engine/assets/canary.wav")) as clip:
        said = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
    pause = np.zeros(3 * SAMPLE_RATE, np.int16)
    backend = IsolatedBackend(
        "faster-whisper",
        whisper_base,
        device="cpu",
        compute_type="int8",
        limits=Limits(),
        observers=[events.append],
    )
    heard: dict[int, Transcript] = {}
    tickets = [Ticket(), Ticket()]
    times = 30  # more than one step takes of a call

    def run(number: int) -> None:
        file = tmp_path / str(number)
        np.tile(np.concatenate([said, pause]), times).tofile(file)
        audio = DecodedAudio(file, file.stat().st_size / 2 / SAMPLE_RATE, (file,))
        request = SpeechRequest(file, "en")
        heard[number] = backend.transcribe(request, audio, tickets[number])

    threads = [threading.Thread(target=run, args=[number]) for number in range(2)]
    try:
        backend.ensure_loaded()
        for thread in threads:
            thread.start()
        awaited(lambda: backend.worker._sharing, "they share a step")
        assert backend.pid is not None
        os.kill(backend.pid, signal.SIGKILL)
        for thread in threads:
            thread.join(BOUND)
    finally:
        backend.close()
    assert [ticket.alone for ticket in tickets] == [True, True]
    for number in range(2):
        assert heard[number].text.lower().count("speech recognition service") == times
    told = [event.detail["what"] for event in events if event.detail.get("what")]
    assert told == ["started", "ended", "started"]
