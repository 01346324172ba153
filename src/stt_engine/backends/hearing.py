"""Stretches of several calls, heard together by one model.

The parent says whose step is next (:mod:`stt_engine.turns`). Where that step has something to be
heard, the next stretches of the calls beside it are heard with it: a first one of each, the oldest
call first, then a second one of each. What was heard for another call is kept until its own step
asks for it, so no call waits for a batch to fill, and none gets what another one said. Where a
step fails, whose step it is goes on with one stretch alone: a failure belongs to its own call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from stt_engine.backends.model import Model, Said, Stretch
from stt_engine.backends.native import native_errors
from stt_engine.heaps import return_freed
from stt_engine.outcome import Attempts, Stage

TOGETHER_SEC = 150.0
"""Speech that is heard in one step: it bounds the step's time and memory."""

SHARED_SEC = 90.0
"""The same where there are several jobs. What they bring is of all lengths, and of what the model
has freed pieces remain: with 16 callers of Whisper base 1,045 to 1,135 MiB, and 929 to 969 with
this and those pieces given back (for some 4 % of the speed)."""

Found = TypeVar("Found")

Tell = Callable[[list[int]], None]
"""Told, before a step that several jobs share, which jobs they are."""


@dataclass(eq=False)
class Item:
    """A stretch on its way, or a place without speech that a job has come to.

    ``channel`` and ``sample`` say where it ends, ``offset_sec`` where its stretch begins; ``facts``
    what there is to tell of how it was found.
    """

    task: str
    channel: int
    sample: int
    language: str | None
    offset_sec: float = 0.0
    stretch: Stretch | None = None
    said: Said | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    looks: bool = False
    """What follows it is found by a look for speech, which takes its time."""

    @property
    def unheard(self) -> Stretch | None:
        """What is still to be heard of it."""
        return self.stretch if self.said is None else None


class Listener:
    """One job: what it will come to, found only as far ahead as it is needed.

    Args:
        work: its items in order.
        number: the job's.
        alone: it may not share a step (one that it shared has ended a process).
    """

    def __init__(self, work: Iterator[Item], number: int, *, alone: bool) -> None:
        self.number = number
        self.alone = alone
        self._work = work
        self._ahead: deque[Item] = deque()
        self._looks = True
        self._ended = False
        self._failure: BaseException | None = None

    def first(self) -> Item | None:
        """Give the next item; ``None`` at the end.

        Raises:
            EngineError: what went wrong in finding it, however early that was.
        """
        if not self._ahead and self._failure is not None:
            raise self._failure
        return self._ahead[0] if self._ahead or self._found_more() else None

    def pop(self) -> Item:
        """Take the next item, which is then done."""
        item = self._ahead.popleft()
        self._looks = item.looks
        return item

    @property
    def ready(self) -> bool:
        """Whether what comes next, be it a failure or the end, is there without any work."""
        if not self._ahead and not self._looks:
            self._kept(self._found_more)
        return self._ahead[0].unheard is None if self._ahead else self._ended

    def unheard(self, rank: int) -> Item | None:
        """Give the item of the stretch that is to be heard after ``rank`` others."""
        return self._kept(lambda: self._unheard(rank))

    def _kept(self, find: Callable[[], Found]) -> Found | None:
        """Find something ahead; what goes wrong is kept for the job's own step, not another's."""
        attempts = Attempts(Stage.WORKER)
        with attempts.of("ahead"):
            return find()
        self._failure, self._ended = attempts.failures[-1].error, True
        return None

    def _unheard(self, rank: int) -> Item | None:
        while True:
            found = [item for item in self._ahead if item.unheard is not None]
            if len(found) > rank:
                return found[rank]
            if self._failure is not None or not self._found_more():
                return None

    def _found_more(self) -> bool:
        item = next(self._work, None)
        if item is not None:
            self._ahead.append(item)
        self._ended = item is None
        return not self._ended


class Hearing:
    """The jobs of one model, and the one place where it is asked."""

    def __init__(self, model: Model, tell: Tell) -> None:
        self._model = model
        self._tell = tell
        self._listeners: list[Listener] = []

    @contextmanager
    def joined(self, listener: Listener) -> Iterator[None]:
        """Have a job's stretches heard with those of the others, for the length of a block."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def ready(self) -> list[int]:
        """Give the jobs that can go on without any work."""
        return [one.number for one in self._listeners if one.ready]

    def items(self, listener: Listener) -> Iterator[Item]:
        """Give the items of a job that has joined, each with what was said."""
        while (item := listener.first()) is not None:
            if item.unheard is not None:
                self._hear(listener)
            yield listener.pop()

    def _hear(self, leader: Listener) -> None:
        jobs, items = self._batch(leader)
        if len(jobs) > 1:
            self._tell(jobs)
        try:
            self._ask_together(items)
        finally:
            if len(jobs) > 1:
                return_freed()

    def _ask_together(self, items: list[Item]) -> None:
        if len(items) > 1:
            with Attempts(Stage.WORKER).of("together"):
                self._ask(items)
                return
        self._ask(items[:1])

    def _ask(self, items: list[Item]) -> None:
        stretches = [item.stretch for item in items if item.stretch is not None]
        with native_errors():
            found = self._model.hear(stretches)
        for item, said in zip(items, found, strict=True):
            item.said = said

    def _batch(self, leader: Listener) -> tuple[list[int], list[Item]]:
        """Choose what is heard now; the first is the leader's own next stretch."""
        jobs: dict[int, None] = {}
        items: list[Item] = []
        left_sec = min(TOGETHER_SEC, SHARED_SEC) if len(self._listeners) > 1 else TOGETHER_SEC
        for listener, item in self._candidates(leader):
            left_sec -= item.stretch.seconds if item.stretch else 0.0
            if items and (left_sec < 0 or len(items) >= self._model.together):
                break
            items.append(item)
            jobs[listener.number] = None
        return list(jobs), items

    def _candidates(self, leader: Listener) -> Iterator[tuple[Listener, Item]]:
        others = [one for one in self._listeners if one is not leader and not one.alone]
        going, rank = [leader, *([] if leader.alone else others)], 0
        while going:
            still = []
            for one in going:
                item = one.unheard(rank)
                if item is not None:
                    still.append(one)
                    yield one, item
            going, rank = still, rank + 1
