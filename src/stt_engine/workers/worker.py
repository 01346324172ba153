"""Work in a child process that may crash, hang or leak, and can be killed.

Jobs run step by step and take turns (see :mod:`stt_engine.workers.scheduler`). A child that dies
again and again is started less and less often.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from stt_engine.call import CallContext
from stt_engine.errors import (
    DeadlineExceeded,
    OutOfMemory,
    ServerStopping,
    WorkerCrashLoop,
    WorkerDied,
    all_errors,
)
from stt_engine.events import Observer, WorkerChange, WorkerChanged, emit
from stt_engine.protocol import (
    ErrorMessage,
    Job,
    JobMessage,
    Request,
    Result,
    ResultMessage,
    Step,
    StepMessage,
)
from stt_engine.workers.process import ChildProcess, Died, Message, WorkerLimits
from stt_engine.workers.scheduler import QueueEntry, StepScheduler

_FREE_STARTS = 3
_LONGEST_REST_SEC = 60.0
_PROOF_SEC = 60.0

OnStep = Callable[[Step | Result], None]


def _ignore(_step: Step | Result) -> None:
    pass


class ChildDefect(Exception):
    """An exception outside the taxonomy was raised in the child: a defect of ours."""

    def __init__(self, error_type: str, message: str, trace: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.trace = trace


class JobLost(Exception):
    """The child that held this job is gone, through no fault of the job: begin it again."""


@dataclass(eq=False)
class _RunningJob:
    """A job that runs."""

    entry: QueueEntry
    answers: deque[JobMessage] = field(default_factory=deque)
    """What steps have brought, and it has not taken yet."""
    owed_sec: float = 0.0
    """Its share of steps, which it has not paid yet."""
    suspect: bool = False
    """The child ended in a step that it shared."""

    def answered(self) -> bool:
        """Return whether it needs no turn now; its entry is served again by the next answer."""
        self.entry.served = False
        return bool(self.answers)

    def paid_sec(self) -> float:
        """Pay what it owes."""
        took, self.owed_sec = self.owed_sec, 0.0
        self.entry.spent_sec += took
        return took


class Worker:
    """A killable child that does one step at a time; started on first use, restarted after.

    Args:
        role: which operations the child knows (see ``stt_engine.workers.child``).
        limits: its bounds.
        observers: called with starts and deaths (:class:`WorkerChanged`).
        clock: monotonic seconds, for the rests between starts.
        proof: a job that each new child does first. One that has done it is able to live, and what
            ends it later is a job's fault: no other job has to wait for a rest because of that.
    """

    def __init__(
        self,
        role: str,
        limits: WorkerLimits | None = None,
        observers: Iterable[Observer] = (),
        clock: Callable[[], float] = time.monotonic,
        proof: Job | None = None,
    ) -> None:
        self.role = role
        self.limits = limits or WorkerLimits()
        self.memory_mb: float | None = None
        """What the child held after its latest step, in MiB."""
        self._observers = tuple(observers)
        self._clock = clock
        self._proof = proof
        self._scheduler = StepScheduler()
        self._numbers = count(1)
        self._child: ChildProcess | None = None
        self._jobs: dict[int, _RunningJob] = {}
        self._sharing: set[int] = set()
        self._deaths = 0
        self._rests_until = 0.0
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """Process id of the child, if one runs."""
        child = self._child
        return None if child is None or child.dead else child.process.pid

    @property
    def state(self) -> str:
        """``stopped``, ``idle``, ``busy`` or ``stalled`` (no heartbeat); never waits."""
        child = self._child
        if child is None or child.dead:
            return "stopped"
        if child.stalled:
            return "stalled"
        return "busy" if self._jobs else "idle"

    def entry(self, context: CallContext) -> QueueEntry:
        """Return a place in this worker's queue for a call; it serves all of the call's jobs."""
        return QueueEntry(context)

    def call(
        self,
        job: Job,
        *,
        timeout: float,
        entry: QueueEntry | None = None,
        on_step: OnStep = _ignore,
    ) -> Result:
        """Have the child do all of ``job`` and return its result; see :meth:`steps`."""
        entry = entry or self.entry(CallContext())
        while True:
            running = self.steps(job, entry, timeout=timeout)
            with contextlib.suppress(JobLost), contextlib.closing(running):
                return _run(running, on_step)

    def steps(
        self,
        job: Job,
        entry: QueueEntry,
        *,
        timeout: float,
        pid: int | None = None,
    ) -> Generator[Step, None, Result]:
        """Have the child do ``job``; yield its steps and return its result.

        A step may bring what other jobs are waiting for too: they take that without a turn.

        ``timeout`` in seconds is for the steps alone; the deadline of the entry's call bounds its
        waiting for turns. ``pid`` names the child that has what the job needs. Close the iterator
        to have the job dropped.

        Raises:
            WorkerDied: the child ended in the middle of a step.
            WorkerCrashLoop: it died too often to be started again already.
            ServerStopping: :meth:`stop` was called, before or in the middle.
            DeadlineExceeded: no answer in time, or no sign of life; the child was ended.
            CallExpired: the call's time was over.
            EngineError: what the child itself raised.
            ChildDefect: the child raised something outside the taxonomy.
            JobLost: the child is gone, before the first step, through another job's, or through one
                that this job shared with others. In the latter case the entry is ``single`` from
                now on, so that whoever ends the next child is known.
        """
        number = next(self._numbers)
        request: Request = {"request": "begin", "number": number, "job": job}
        child, done, left, first = None, False, timeout, True
        running = self._jobs[number] = _RunningJob(entry)
        try:
            while True:
                while not running.answered():
                    with self._scheduler.turn(entry, first=first) as held:
                        if held and not running.answers:
                            child = self._child_for(child, pid)
                            self._turn(child, request, left, timeout)
                left, first = left - running.paid_sec(), False
                answer = self._taken(running)
                if answer["event"] == "result":
                    done = True
                    self._survived(job)
                    return answer["result"]
                yield answer["step"]
                request = {"request": "step", "number": number}
        except JobLost:
            entry.single = entry.single or running.suspect
            raise
        finally:
            del self._jobs[number]
            if child is not None and not done:
                child.send({"request": "drop", "number": number})

    def _survived(self, job: Job) -> None:
        """Forget the deaths; a process that only loads may still die of its first real job."""
        if job["operation"] != "load":
            self._deaths = 0

    def _taken(self, job: _RunningJob) -> StepMessage | ResultMessage:
        answer = job.answers.popleft()
        if answer["event"] == "error":
            self._deaths = 0
            raise _rebuilt(answer)
        return answer

    def _turn(self, child: ChildProcess, request: Request, left: float, timeout: float) -> None:
        """Have the child do a step, and hand out all that it brings and what each has to pay."""
        began = time.monotonic()
        answers = self._exchange(child, request, left, timeout)
        share = (time.monotonic() - began) / max(1, len(self._sharing))
        for job in self._known(self._sharing or [request["number"]]):
            job.owed_sec += share
        for answer in answers:
            for job in self._known([answer["number"]]):
                job.answers.append(answer)
                job.entry.serve()

    def _known(self, numbers: Iterable[int]) -> list[_RunningJob]:
        """Return those of the jobs that have not been left meanwhile."""
        return [job for number in numbers if (job := self._jobs.get(number))]

    def close(self) -> None:
        """End the child; a call in hand gets ``WorkerDied``. A later call starts a new one."""
        self._close("closed")

    def recycle(self) -> None:
        """Replace the child between two steps; jobs in hand are begun again by their callers."""
        with self._scheduler.turn(self.entry(CallContext())):
            self._close("recycled")

    def _close(self, what: Literal["closed", "recycled"]) -> None:
        child, self._child = self._child, None
        if child is not None:
            died = child.dead
            child.kill()
            self._changed("ended" if died else what, child)

    def stop(self) -> None:
        """End the child for good; calls in hand and to come get ``ServerStopping``."""
        self._stopped = True
        self.close()

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise ServerStopping("the server is stopping")

    def _child_for(self, held_by: ChildProcess | None, pid: int | None) -> ChildProcess:
        """Return the living child: for a job that has begun, or names one, that very one."""
        self._refuse_if_stopped()
        child = self._child
        lives = child is not None and not child.dead and not child.stalled
        found = child.process.pid if child is not None and lives else None
        if (held_by is not None and (held_by is not child or not lives)) or pid not in {
            None,
            found,
        }:
            raise JobLost
        if child is not None and lives:
            return child
        if child is not None:
            self._end(child)
        return self._start()

    def _start(self) -> ChildProcess:
        rest = self._rests_until - self._clock()
        if rest > 0:
            raise WorkerCrashLoop(
                f"{self.role} worker died {self._deaths} times in a row; "
                f"it is started again in {rest:.0f} s"
            )
        child = self._child = ChildProcess(self.role, self.limits)
        self._changed("started", child)
        if self._proof is not None:
            self._prove(child, self._proof)
        return child

    def _prove(self, child: ChildProcess, job: Job) -> None:
        request: Request = {"request": "begin", "number": next(self._numbers), "job": job}
        for answer in self._exchange(child, request, _PROOF_SEC, _PROOF_SEC):
            if answer["event"] == "error":
                raise _rebuilt(answer)
        self._deaths = 0

    def _exchange(
        self, child: ChildProcess, request: Request, left: float, timeout: float
    ) -> list[JobMessage]:
        """Return what one step brought, for whichever jobs."""
        self._sharing = set()
        try:
            child.last_work = time.monotonic()
            child.send(request)
            return self._answers(child, left, timeout)
        except BaseException as exc:
            ended = self._end(child)
            if ended and self._sharing and isinstance(exc, WorkerDied | DeadlineExceeded):
                for job in self._known(self._sharing):
                    job.suspect = True
                raise JobLost from exc
            raise

    def _answers(self, child: ChildProcess, left: float, timeout: float) -> list[JobMessage]:
        answers: list[JobMessage] = []
        deadline = time.monotonic() + left
        while True:
            message = self._next_message(child, deadline, timeout)
            if isinstance(message, Died):
                self._refuse_if_stopped()
                raise WorkerDied(f"{self.role} worker died ({message.reason})")
            if message["event"] == "shared":
                self._sharing = set(message["jobs"])
            elif message["event"] == "turn":
                self.memory_mb = message["memory_mb"]
                return answers
            else:
                answers.append(message)

    def _next_message(self, child: ChildProcess, deadline: float, timeout: float) -> Message:
        while True:
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(f"{self.role} worker gave no answer within {timeout:g} s")
            if child.stalled:
                raise DeadlineExceeded(
                    f"{self.role} worker has been silent for "
                    f"{self.limits.stall_timeout_sec:g} s (stopped or wedged)"
                )
            if child.hangs:
                raise DeadlineExceeded(
                    f"{self.role} worker has done nothing for {self.limits.stall_timeout_sec:g} s "
                    "(a file system does not answer)"
                )
            wait = max(0.01, min(deadline, child.alive_until) - time.monotonic())
            with contextlib.suppress(queue.Empty):
                return child.messages.get(timeout=wait)

    def _end(self, child: ChildProcess) -> bool:
        """End a child that failed; false where it was closed on purpose, which is no death."""
        died = self._child is child
        if died:
            self._child = None
            self._deaths += 1
            if self._deaths >= _FREE_STARTS:
                rest = 2.0 ** min(self._deaths - _FREE_STARTS, 10)
                self._rests_until = self._clock() + min(rest, _LONGEST_REST_SEC)
        child.kill()
        if died:
            self._changed("ended", child)
        return died

    def _changed(self, what: WorkerChange, child: ChildProcess) -> None:
        emit(self._observers, WorkerChanged(role=self.role, what=what, pid=child.process.pid))


def _run(running: Generator[Step, None, Result], on_step: OnStep) -> Result:
    """Run a job to its end; ``on_step`` gets each step, and the result as the last."""
    while True:
        try:
            step = next(running)
        except StopIteration as end:
            result: Result = end.value
            on_step(result)
            return result
        on_step(step)


def _rebuilt(message: ErrorMessage) -> Exception:
    if message["error"] == MemoryError.__name__:
        return OutOfMemory(message["message"])
    cls = all_errors().get(message["error"])
    if cls is not None:
        return cls(message["message"])
    return ChildDefect(message["error_type"], message["message"], message["trace"] or "")
