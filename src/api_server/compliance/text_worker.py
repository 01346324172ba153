"""Who does the tasks on text: a thread of this process, or a child process that can be killed.

A server takes the child: ``re`` and ``json`` hold the interpreter, so that one text could hold up
every other call, and a health answer. The child has a deadline by the length of the text, and a
ceiling on its memory; calls share it step by step, the shortest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import anyio
from anyio import to_thread

from api_server.compliance.findings import MIN_PRECISION, RuleFinding
from api_server.compliance.request_body import ReadRequest
from api_server.compliance.rubric import Rubric
from api_server.compliance.text_tasks import (
    MAX_ELEMENTS,
    CallSegments,
    CallText,
    Closed,
    GivenCall,
    Judgement,
    PreparedCall,
    ReadCall,
    ReviewedCall,
    TextTasks,
)
from api_server.pii.redaction import RedactionResult
from api_server.text.json_adapter import JsonAdapter
from stt_engine.call import CallContext
from stt_engine.errors import WorkerDied
from stt_engine.events import Observer
from stt_engine.outcome import capture
from stt_engine.protocol import TEXT, TextJob
from stt_engine.workers.process import WorkerLimits
from stt_engine.workers.worker import Worker

Given = TypeVar("Given")
Found = TypeVar("Found")

BASE_SEC = 10.0
CHARS_PER_SEC = 5_000
"""Work on a text may take :data:`BASE_SEC`, and a second for so many of its characters: ten times
what it takes on one core of a small machine."""
READ = "read"
READS: JsonAdapter[ReadRequest] = JsonAdapter(ReadRequest)
"""The task of reading a request's body, and what it gives; nobody takes a body apart here."""

_WAITING = 256  # threads that wait for a turn at most; more calls than a server lets in


@dataclass(frozen=True)
class Task(Generic[Given, Found]):
    """A method of :class:`TextTasks`, with what it takes and returns as JSON."""

    name: str
    takes: JsonAdapter[Given]
    gives: JsonAdapter[Found]


MASK: Task[CallSegments, RedactionResult] = Task(
    "mask", JsonAdapter(CallSegments), JsonAdapter(RedactionResult)
)
PREPARE: Task[GivenCall, PreparedCall] = Task(
    "prepare", JsonAdapter(GivenCall), JsonAdapter(PreparedCall)
)
WITHHOLD: Task[ReadCall, PreparedCall] = Task(
    "withhold", JsonAdapter(ReadCall), JsonAdapter(PreparedCall)
)
EXAMINE: Task[CallText | Closed, Mapping[str, RuleFinding]] = Task(
    "examine", JsonAdapter(CallText | Closed), JsonAdapter(Mapping[str, RuleFinding])
)
JUDGE: Task[ReviewedCall, Judgement] = Task(
    "judge", JsonAdapter(ReviewedCall), JsonAdapter(Judgement)
)
TASKS: Mapping[str, Task[Any, Any]] = {
    task.name: task for task in (MASK, PREPARE, WITHHOLD, EXAMINE, JUDGE)
}


@dataclass(frozen=True, slots=True)
class TextOptions:
    """What is the same for every call; see :class:`TextTasks`."""

    rubric: Rubric
    mask: bool
    mask_evidence: bool
    chunk_chars: int
    max_elements: int = MAX_ELEMENTS
    min_precision: float = MIN_PRECISION
    max_chars: int = 500_000
    max_segments: int = 20_000


OPTIONS: JsonAdapter[TextOptions] = JsonAdapter(TextOptions)


class TextRunner(Protocol):
    """Does tasks on text."""

    async def run(self, task: Task[Given, Found], given: Given, chars: int) -> Found:
        """Do ``task`` on ``given``, which holds so many characters.

        Raises:
            EngineError: it cannot be done, or not in time.
        """
        ...


class TextInThread:
    """Does tasks in a thread of this process, for a library's or a command's single calls."""

    def __init__(self, tasks: TextTasks) -> None:
        self._tasks = tasks

    async def run(self, task: Task[Given, Found], given: Given, chars: int) -> Found:  # noqa: ARG002
        """Do ``task``; nothing bounds it."""
        found: Found = await to_thread.run_sync(getattr(self._tasks, task.name), given)
        return found


class TextInChild:
    """Does tasks in a child process, under a deadline and a ceiling."""

    def __init__(
        self,
        options: TextOptions,
        observers: Iterable[Observer] = (),
        limits: WorkerLimits | None = None,
        *,
        worker: Worker | None = None,
    ) -> None:
        self._given = options
        self._options = OPTIONS.dump_json(options)
        # Every child does nothing well first: else three texts in a row that end theirs would look
        # like a child that cannot live, and other callers would have to wait for its rest.
        nothing = self._job(MASK.name, MASK.takes.dump_json(()))
        self.worker = worker or Worker(TEXT, limits or WorkerLimits(), observers, proof=nothing)
        self._limiter = anyio.CapacityLimiter(_WAITING)

    def with_rubric(self, rubric: Rubric) -> TextInChild:
        """Return one for another rubric, which does its tasks in the same child."""
        return TextInChild(replace(self._given, rubric=rubric), worker=self.worker)

    async def run(self, task: Task[Given, Found], given: Given, chars: int) -> Found:
        """Do ``task``; a call that is cancelled leaves the queue, or is dropped after its step.

        Raises:
            DeadlineExceeded: it took longer than the length of the text allows.
            WorkerError: the child died, or may not be started again yet.
            OutOfMemory: it needs more than the ceiling.
            EngineError: what the task itself raised.
        """
        found = await self._queued(task.name, partial(task.takes.dump_json, given), chars)
        return await to_thread.run_sync(task.gives.validate_json, found)

    async def read(self, body: bytes) -> ReadRequest:
        """Return what a body asks for.

        Raises:
            BodyRejected: it says no such request.
            EngineError: as :meth:`run`.
        """
        found = await self._queued(READ, lambda: body, len(body))
        return await to_thread.run_sync(READS.validate_json, found)

    async def _queued(self, task: str, data: Callable[[], bytes], chars: int) -> bytes:
        context = CallContext()
        work = partial(self._done_or_again, task, data, chars, context)
        try:
            return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        except anyio.get_cancelled_exc_class():
            context.cancel()
            raise

    def _done_or_again(
        self, task: str, data: Callable[[], bytes], chars: int, context: CallContext
    ) -> bytes:
        """Do a task; once more where its child died, which may have been another's doing."""
        try:
            return self._done(task, data, chars, context)
        except WorkerDied:
            return self._done(task, data, chars, context)

    def _done(
        self, task: str, data: Callable[[], bytes], chars: int, context: CallContext
    ) -> bytes:
        job = self._job(task, data())
        seconds = BASE_SEC + chars / CHARS_PER_SEC
        context.allow(seconds)
        entry = self.worker.entry(context)
        entry.left_sec = seconds
        result = self.worker.call(job, timeout=seconds, entry=entry)
        if result["kind"] != "text_done":
            raise TypeError(f"a {result['kind']} for a task on text")
        return result["data"]

    def _job(self, task: str, data: bytes) -> TextJob:
        return {"operation": "text", "task": task, "options": self._options, "data": data}

    async def mask(self, segments: CallSegments) -> RedactionResult:
        """Return a call masked.

        Raises:
            RedactionFailed: it cannot be masked.
            EngineError: as :meth:`run`.
        """
        return await self.run(MASK, segments, sum(len(one.text) for one in segments))

    async def begin(self) -> None:
        """Have the child ready before the first call; if it cannot be, that call says why."""
        with capture():
            await self.mask(())

    def close(self) -> None:
        """End the child; a later call starts another."""
        self.worker.close()

    def stop(self) -> None:
        """End the child for good."""
        self.worker.stop()
