"""Whose turn it is: calls share a process step by step, so that a long one cannot hold it.

Of the calls that wait, the one with the least work left goes first; a three-second call overtakes a
two-hour one at its next step. Every fourth turn goes to the call that has used the largest share of
its time, so that none is overtaken for ever. A call that has not begun comes before those that
have: only then can its chunks be batched with theirs. At most :data:`BEGINNINGS` come in a row.

A call of the background has a turn where no other call waits; among themselves they take turns by
the same rules.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from stt_engine.call import CallContext

OLDEST_EVERY = 4
"""One turn in so many is for the call that has waited longest, measured by its own allowance."""

BEGINNINGS = 16
"""First steps in a row, as many calls as are batched together; then it is the turn of another."""


@dataclass(eq=False)
class QueueEntry:
    """A call in the queue of one process."""

    context: CallContext
    left_sec: float = 0.0
    """Work that is left; nothing while it is unknown, so that it becomes known soon."""
    spent_sec: float = 0.0
    """Seconds that the process has worked on it."""
    single: bool = False
    """It may share no step: one that it shared has ended a process, and it may be the reason."""
    served: bool = False
    """What it wants a turn for has come within another's."""
    _awake: threading.Event = field(init=False, default_factory=threading.Event, repr=False)

    def serve(self) -> None:
        """Have it leave the queue: what it waits for is there."""
        self.served = True
        self._awake.set()

    def wake(self) -> None:
        """Have it take its turn."""
        self._awake.set()

    def queue_up(self) -> None:
        """Forget the sign to wake of an earlier turn."""
        self._awake.clear()

    def wait(self) -> None:
        """Wait for a turn or to be served.

        Raises:
            CallCancelled: nobody waits for the call any more.
            CallExpired: the call's time is over.
        """
        self.context.wait(self._awake)


class StepScheduler:
    """Decides who has the process for the next step; one entry at a time has it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = False
        self._waiting: list[QueueEntry] = []
        self._beginning: set[QueueEntry] = set()
        self._begun = 0
        self._turns = count(1)

    @contextmanager
    def turn(self, entry: QueueEntry, *, first: bool = False) -> Iterator[bool]:
        """Hold the process for one step; ``first``: the call has not begun.

        Yields false, without the process, to an entry that was served while it waited.

        Raises:
            CallCancelled: nobody waits for the call any more.
            CallExpired: the call's time is over.
        """
        held = self._enter(entry, first=first)
        try:
            yield held
        finally:
            if held:
                self._leave()

    def _enter(self, entry: QueueEntry, *, first: bool) -> bool:
        entry.context.check()
        with self._lock:
            if not self._held:
                self._held = True
                return True
            entry.queue_up()
            self._waiting.append(entry)
            if first:
                self._beginning.add(entry)
        try:
            while self._waits(entry):
                if entry.served:
                    return not self._withdrawn(entry)
                entry.wait()
        except BaseException:
            self._give_up(entry)
            raise
        else:
            return True
        finally:
            self._beginning.discard(entry)

    def _waits(self, entry: QueueEntry) -> bool:
        with self._lock:
            return entry in self._waiting

    def _give_up(self, entry: QueueEntry) -> None:
        if not self._withdrawn(entry):
            self._leave()

    def _withdrawn(self, entry: QueueEntry) -> bool:
        """Wait no more; false where its turn has just come."""
        with self._lock:
            waiting = entry in self._waiting
            if waiting:
                self._waiting.remove(entry)
        return waiting

    def _leave(self) -> None:
        with self._lock:
            if not self._waiting:
                self._held = False
                return
            chosen = self._next()
            self._waiting.remove(chosen)
            chosen.wake()

    def _next(self) -> QueueEntry:
        live = [one for one in self._waiting if not one.context.background]
        waiting = live or self._waiting
        beginning = [one for one in waiting if one in self._beginning]
        others = [one for one in waiting if one not in self._beginning]
        if beginning and (self._begun < BEGINNINGS or not others):
            self._begun += 1
            return beginning[0]
        self._begun = 0
        if next(self._turns) % OLDEST_EVERY == 0:
            return max(others, key=lambda one: one.context.used)
        return min(others, key=lambda one: one.left_sec)
