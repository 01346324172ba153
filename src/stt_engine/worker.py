"""Work in a child process that may crash, hang or leak, and can be killed.

Jobs run step by step and take turns (see :mod:`stt_engine.turns`). A child that dies again and
again is started less and less often.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from itertools import count

from stt_engine.errors import (
    DeadlineExceeded,
    OutOfMemory,
    ServerStopping,
    WorkerCrashLoop,
    WorkerDied,
    all_errors,
)
from stt_engine.outcome import Event, Observer, Stage, emit
from stt_engine.process import ChildProcess, Died, Payload, WorkerLimits
from stt_engine.turns import Lane, Ticket

LOAD = "load"
"""The operation that proves nothing: a process that loads may still die of its first job."""

_FREE_STARTS = 3
_LONGEST_REST_SEC = 60.0

_STEP, _DROP = "step", "drop"

OnStep = Callable[[Payload], None]


def _unheard(_step: Payload) -> None:
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
class _Job:
    """A job that runs."""

    ticket: Ticket
    answers: deque[Payload] = field(default_factory=deque)
    """What steps have brought, and it has not taken yet."""
    owed_sec: float = 0.0
    """Its share of steps, which it has not paid yet."""
    suspect: bool = False
    """The child ended in a step that it shared."""

    def answered(self) -> bool:
        """Tell whether it needs no turn now; the ticket is served again by the next answer."""
        self.ticket.served = False
        return bool(self.answers)

    def paid_sec(self) -> float:
        """Pay what it owes."""
        took, self.owed_sec = self.owed_sec, 0.0
        self.ticket.spent_sec += took
        return took


class Worker:
    """A killable child that does one step at a time; started on first use, restarted after.

    Args:
        role: which operations the child knows (see ``stt_engine.child``).
        limits: its bounds.
        observers: told of starts and deaths (:attr:`Stage.WORKER`).
        clock: monotonic seconds, for the rests between starts.
    """

    def __init__(
        self,
        role: str,
        limits: WorkerLimits | None = None,
        observers: Iterable[Observer] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.role = role
        self.limits = limits or WorkerLimits()
        self.memory_mb: float | None = None
        """What the child held after its latest step, in MiB."""
        self._observers = tuple(observers)
        self._clock = clock
        self._lane = Lane()
        self._numbers = count(1)
        self._child: ChildProcess | None = None
        self._jobs: dict[int, _Job] = {}
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
        if self._stalled(child):
            return "stalled"
        return "busy" if self._jobs else "idle"

    def call(
        self,
        operation: str,
        payload: Payload,
        *,
        timeout: float,
        ticket: Ticket | None = None,
        on_step: OnStep = _unheard,
    ) -> Payload:
        """Have the child do all of ``operation`` and give its result; see :meth:`steps`."""
        while True:
            answer: Payload = {}
            running = self.steps(operation, payload, timeout=timeout, ticket=ticket)
            with contextlib.suppress(JobLost), contextlib.closing(running):
                for answer in running:
                    on_step(answer)
                return answer

    def steps(
        self,
        operation: str,
        payload: Payload,
        *,
        timeout: float,
        ticket: Ticket | None = None,
        pid: int | None = None,
    ) -> Generator[Payload, None, None]:
        """Have the child do ``operation``, and give what each step brings; ``done`` is the last.

        A step may bring what other jobs are waiting for too: they take that without a turn.

        ``timeout`` in seconds is for the steps alone; waiting for turns is bounded by ``ticket``.
        ``pid`` names the child that has what the job needs. Close the iterator to have the job
        dropped.

        Raises:
            WorkerDied: the child ended in the middle of a step.
            WorkerCrashLoop: it died too often to be started again already.
            ServerStopping: :meth:`stop` was called, before or in the middle.
            DeadlineExceeded: no answer in time, or no sign of life; the child was ended.
            CallExpired: the ticket's time was over.
            EngineError: what the child itself raised.
            ChildDefect: the child raised something outside the taxonomy.
            JobLost: the child is gone, before the first step, through another job's, or through one
                that this job shared with others. In the latter case the ticket is ``alone`` from
                now on, so that whoever ends the next child is known.
        """
        ticket = ticket or Ticket()
        number = next(self._numbers)
        message: Payload = {"operation": operation, "job": number, **payload}
        child, done, left, first = None, False, timeout, True
        job = self._jobs[number] = _Job(ticket)
        try:
            while not done:
                while not job.answered():
                    with self._lane.turn(ticket, first=first) as held:
                        if held and not job.answers:
                            child = self._child_for(child, pid)
                            self._turn(child, message, left, timeout)
                left, first = left - job.paid_sec(), False
                answer = self._taken(job)
                done = bool(answer["done"])
                if done and operation != LOAD:
                    self._deaths = 0
                yield answer
                message = {"operation": _STEP, "job": number}
        except JobLost:
            ticket.alone = ticket.alone or job.suspect
            raise
        finally:
            del self._jobs[number]
            if child is not None and not done:
                child.send({"operation": _DROP, "job": number})

    def _taken(self, job: _Job) -> Payload:
        answer = job.answers.popleft()
        if answer["event"] == "error":
            self._deaths = 0
            raise _rebuilt(answer)
        return answer

    def _turn(self, child: ChildProcess, message: Payload, left: float, timeout: float) -> None:
        """Have the child do a step, and hand out all that it brings and what each has to pay."""
        began = time.monotonic()
        answers = self._exchange(child, message, left, timeout)
        share = (time.monotonic() - began) / max(1, len(self._sharing))
        for job in self._known(self._sharing or [message["job"]]):
            job.owed_sec += share
        for answer in answers:
            for job in self._known([answer["job"]]):
                job.answers.append(answer)
                job.ticket.served = True
                job.ticket.wake()

    def _known(self, numbers: Iterable[int]) -> list[_Job]:
        """Give those of the jobs that have not been left meanwhile."""
        return [job for number in numbers if (job := self._jobs.get(number))]

    def close(self) -> None:
        """End the child; a call in hand gets ``WorkerDied``. A later call starts a new one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def recycle(self) -> None:
        """Replace the child between two steps; jobs in hand are begun again by their callers."""
        with self._lane.turn(Ticket()):
            child = self._child
            self.close()
        if child is not None:
            self._note("recycled", pid=child.process.pid)

    def stop(self) -> None:
        """End the child for good; calls in hand and to come get ``ServerStopping``."""
        self._stopped = True
        self.close()

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise ServerStopping("the server is stopping")

    def _child_for(self, held_by: ChildProcess | None, pid: int | None) -> ChildProcess:
        """Give the living child: for a job that has begun, or names one, that very one."""
        self._refuse_if_stopped()
        child = self._child
        lives = child is not None and not child.dead and not self._stalled(child)
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
        self._note("started", pid=child.process.pid)
        return child

    def _exchange(
        self, child: ChildProcess, message: Payload, left: float, timeout: float
    ) -> list[Payload]:
        """Give what one step brought, for whichever jobs."""
        self._sharing = set()
        try:
            child.send(message)
            return self._answers(child, left, timeout)
        except BaseException as exc:
            ended = self._end(child)
            if ended and self._sharing and isinstance(exc, WorkerDied | DeadlineExceeded):
                for job in self._known(self._sharing):
                    job.suspect = True
                raise JobLost from exc
            raise

    def _answers(self, child: ChildProcess, left: float, timeout: float) -> list[Payload]:
        answers: list[Payload] = []
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

    def _next_message(self, child: ChildProcess, deadline: float, timeout: float) -> Payload | Died:
        while True:
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(f"{self.role} worker gave no answer within {timeout:g} s")
            if self._stalled(child):
                raise DeadlineExceeded(
                    f"{self.role} worker has been silent for "
                    f"{self.limits.stall_timeout_sec:g} s (stopped or wedged)"
                )
            silent_until = child.last_beat + self.limits.stall_timeout_sec
            wait = max(0.01, min(deadline, silent_until) - time.monotonic())
            with contextlib.suppress(queue.Empty):
                return child.messages.get(timeout=wait)

    def _stalled(self, child: ChildProcess) -> bool:
        return time.monotonic() - child.last_beat > self.limits.stall_timeout_sec

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
        self._note("ended", pid=child.process.pid)
        return died

    def _note(self, what: str, **facts: object) -> None:
        event = Event(Stage.WORKER, "noted", self.role, detail={"what": what, **facts})
        emit(self._observers, event)


def _rebuilt(message: Payload) -> Exception:
    if message["error"] == MemoryError.__name__:
        return OutOfMemory(message["message"])
    cls = all_errors().get(message["error"])
    if cls is not None:
        return cls(message["message"])
    return ChildDefect(message["error_type"], message["message"], message.get("trace") or "")
