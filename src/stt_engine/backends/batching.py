"""Chunks of several calls, transcribed together by one model.

The parent decides whose step is next (:mod:`stt_engine.workers.scheduler`). Where that step has a
chunk to transcribe, the next chunks of the other calls are transcribed with it: the first one of
each, the oldest call first, then the second one of each. A result for another call is kept until
that call's own step asks for it, so no call waits for a batch to fill, and none gets another's
words. Where a batch fails, the call whose step it is continues with its first chunk only: a failure
belongs to its own call.

Calls of the background share steps with each other alone, and short ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from stt_engine.backends.base import ChunkResult, Model, SpeechChunk
from stt_engine.backends.gaps import transcribe_whole
from stt_engine.backends.hinted import HintedModel
from stt_engine.native_errors import native_errors
from stt_engine.outcome import capture
from stt_engine.protocol import OnShared, Task
from stt_engine.system.malloc import return_freed

TOGETHER_SEC = 150.0
"""Speech that is transcribed in one step: it bounds the step's time and memory."""

SHARED_SEC = 90.0
"""The same where there are several jobs. Their results are of all lengths, and the memory that the
model has freed stays in pieces: with 16 callers of Whisper base 1,045 to 1,135 MiB, and 929 to 969
with this bound and those pieces given back (for some 4 % of the speed)."""

BACKGROUND_SEC = 30.0
"""The same for jobs of the background: whoever comes meanwhile waits for the end of such a step."""

FIRST_SEC = 15.0
"""The same of the first step of a long call whose text somebody reads as it comes."""

Found = TypeVar("Found")


@dataclass(eq=False)
class WorkItem:
    """A chunk of a job, or the end of a piece without more speech.

    ``channel`` and ``sample`` are the position of its end, ``offset_sec`` that of the chunk's
    beginning; ``facts`` are about how it was found.
    """

    task: Task
    channel: int
    sample: int
    language: str | None
    offset_sec: float = 0.0
    chunk: SpeechChunk | None = None
    result: ChunkResult | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    longest: bool = False
    """No chunk of its piece is longer: where asking costs something, its language is asked for."""
    shared: bool = False
    """Chunks of other calls were in the step that transcribed it, which may change its text."""
    detection_follows: bool = False
    """The next item has to be found by detecting speech, which takes its time."""

    @property
    def pending(self) -> SpeechChunk | None:
        """The chunk, while it is still to be transcribed."""
        return self.chunk if self.result is None else None


class JobStream:
    """One job's items, found only as far ahead as they are needed.

    Args:
        work: its items in order.
        number: the job's.
        single: it may not share a step (one that it shared has ended a process).
        background: its steps are short, and shared with others of the background alone.
        eager: its first step is short, but of so many chunks, since its text is read as it comes.
    """

    def __init__(
        self,
        work: Iterator[WorkItem],
        number: int,
        *,
        single: bool,
        background: bool = False,
        eager: int = 0,
    ) -> None:
        self.number = number
        self.single = single
        self.background = background
        self.eager = eager
        self._work = work
        self._ahead: deque[WorkItem] = deque()
        self._detection_follows = True
        self._ended = False
        self._failure: BaseException | None = None

    def first(self) -> WorkItem | None:
        """Return the next item; ``None`` at the end.

        Raises:
            EngineError: what went wrong in finding it, however early that was.
        """
        if not self._ahead and self._failure is not None:
            raise self._failure
        return self._ahead[0] if self._ahead or self._find_more() else None

    def pop(self) -> WorkItem:
        """Take the next item, which is then done."""
        item = self._ahead.popleft()
        self._detection_follows = item.detection_follows
        return item

    @property
    def ready(self) -> bool:
        """Whether what comes next, be it a failure or the end, is there without any work."""
        if not self._ahead and not self._detection_follows:
            self._kept(self._find_more)
        return self._ahead[0].pending is None if self._ahead else self._ended

    def pending(self, rank: int) -> WorkItem | None:
        """Return the item that is to be transcribed after ``rank`` others of this job."""
        return self._kept(lambda: self._pending(rank))

    def _kept(self, find: Callable[[], Found]) -> Found | None:
        """Find something ahead; a failure is kept for the job's own step, not another's."""
        with capture() as kept:
            return find()
        self._failure, self._ended = kept.error, True
        return None

    def _pending(self, rank: int) -> WorkItem | None:
        while True:
            found = [item for item in self._ahead if item.pending is not None]
            if len(found) > rank:
                return found[rank]
            if self._failure is not None or not self._find_more():
                return None

    def _find_more(self) -> bool:
        item = next(self._work, None)
        if item is not None:
            self._ahead.append(item)
        self._ended = item is None
        return not self._ended


class DynamicBatcher:
    """The streams of one model's jobs, and the only caller of that model."""

    def __init__(self, model: Model, on_shared: OnShared) -> None:
        self._model = model
        self._on_shared = on_shared
        self._streams: list[JobStream] = []

    @contextmanager
    def joined(self, stream: JobStream) -> Iterator[None]:
        """Have a job's chunks batched with those of the others, for the length of a block."""
        self._streams.append(stream)
        try:
            yield
        finally:
            self._streams.remove(stream)

    def ready(self) -> list[int]:
        """Return the jobs that can continue without any work."""
        return [one.number for one in self._streams if one.ready]

    def items(self, stream: JobStream) -> Iterator[WorkItem]:
        """Yield the items of a job that has joined, each with its result."""
        while (item := stream.first()) is not None:
            if item.pending is not None:
                self._transcribe_batch(stream)
            yield stream.pop()

    def _transcribe_batch(self, leader: JobStream) -> None:
        jobs, items = self._batch(leader)
        shared = len(jobs) > 1
        if shared:
            self._on_shared(jobs)
        try:
            self._transcribe_or_first(items, shared=shared)
        finally:
            if shared:
                return_freed()

    def _transcribe_or_first(self, items: list[WorkItem], *, shared: bool) -> None:
        """Transcribe all; where that fails, only the first, which is the leader's."""
        if len(items) > 1:
            with capture():  # each is transcribed by itself then, and fails there
                self._transcribe(items, shared=shared)
                return
        self._transcribe(items[:1], shared=False)

    def _transcribe(self, items: list[WorkItem], *, shared: bool) -> None:
        chunks = [item.chunk for item in items if item.chunk is not None]
        with native_errors():
            found = transcribe_whole(HintedModel(self._model), chunks)
        for item, result in zip(items, found, strict=True):
            item.result, item.shared = result, shared

    def _batch(self, leader: JobStream) -> tuple[list[int], list[WorkItem]]:
        """Choose what is transcribed now; the first is the leader's own next chunk."""
        jobs: dict[int, None] = {}
        items: list[WorkItem] = []
        left_sec = min(TOGETHER_SEC, SHARED_SEC) if len(self._streams) > 1 else TOGETHER_SEC
        left_sec = min(left_sec, BACKGROUND_SEC) if leader.background else left_sec
        left_sec = min(left_sec, FIRST_SEC) if leader.eager else left_sec
        least, leader.eager = max(1, leader.eager), 0
        for stream, item in self._candidates(leader):
            left_sec -= item.chunk.seconds if item.chunk else 0.0
            enough = left_sec < 0 and len(items) >= least
            if enough or len(items) >= self._model.together:
                break
            items.append(item)
            jobs[stream.number] = None
        return list(jobs), items

    def _candidates(self, leader: JobStream) -> Iterator[tuple[JobStream, WorkItem]]:
        others = [
            one
            for one in self._streams
            if one is not leader and not one.single and one.background == leader.background
        ]
        active, rank = [leader, *([] if leader.single else others)], 0
        while active:
            still = []
            for one in active:
                item = one.pending(rank)
                if item is not None:
                    still.append(one)
                    yield one, item
            active, rank = still, rank + 1
