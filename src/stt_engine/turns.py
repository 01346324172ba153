"""Whose turn it is: calls share a process step by step, so that a long one cannot hold it.

Of the calls that wait, the one with the least work left goes first; a three-second call passes a
two-hour one at its next step. Every fourth turn goes to the call that has used the largest share
of its time, so that none is passed for ever. A call that has not begun comes before those that
have: only then can it be heard in the steps of others. At most :data:`BEGINNINGS` come in a row.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from stt_engine.errors import CallExpired

OLDEST_EVERY = 4
"""One turn in so many is for the call that has waited longest, measured by its own allowance."""

BEGINNINGS = 16
"""First steps in a row, as many calls as are heard together; then it is the turn of another."""

_FOREVER = 10 * 365 * 86400.0


class CallCancelled(BaseException):
    """Nobody waits for this call any more. No failure: it passes every stage and counts nowhere."""


@dataclass(eq=False)
class Ticket:
    """One call on its way: what is left to do, until when, and whether anybody still wants it.

    Args:
        on_work: told once how much work the call is; it may raise to turn the call away.
        clock: monotonic seconds.
    """

    on_work: Callable[[Ticket], None] | None = None
    clock: Callable[[], float] = time.monotonic
    work_sec: float | None = None
    """Seconds of sound to be recognised: length x channels x passes; ``None`` until known."""
    left_sec: float = 0.0
    """What is left of it; nothing while it is unknown, so that it becomes known soon."""
    spent_sec: float = 0.0
    """Seconds that the processes have worked on it."""
    waited_sec: float = 0.0
    """Seconds that it has waited for its turns."""
    cancelled: bool = False
    alone: bool = False
    """It may share no step: one that it shared has ended a process, and it may be the reason."""
    served: bool = False
    """What it wants a turn for has come within another's."""
    since: float = field(init=False)
    deadline: float = field(init=False)
    _awake: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self.since = self.clock()
        self.deadline = self.since + _FOREVER

    def measured(self, work_sec: float, allowed_sec: float) -> None:
        """Learn how much work the call is and how many seconds it may take from now.

        Raises:
            Exception: whatever ``on_work`` turns the call away with.
        """
        first, self.work_sec = self.work_sec is None, work_sec
        self.left_sec = work_sec
        self.deadline = self.clock() + allowed_sec
        if first and self.on_work is not None:
            self.on_work(self)

    def cancel(self) -> None:
        """Have the call end at its next step."""
        self.cancelled = True
        self._awake.set()

    def check(self) -> None:
        """Stop here where nobody waits any more, or the time is over.

        Raises:
            CallCancelled: nobody waits.
            CallExpired: the call's time is over.
        """
        if self.cancelled:
            raise CallCancelled
        now = self.clock()
        if now >= self.deadline:
            raise CallExpired(f"the call had {self.deadline - self.since:.0f} s, which are over")

    @property
    def used(self) -> float:
        """Share of its time that the call has used."""
        return (self.clock() - self.since) / max(self.deadline - self.since, 1e-9)

    def sleep(self) -> None:
        """Wait for a turn, the end of the call's time or its cancellation."""
        self._awake.wait(max(0.0, min(self.deadline - self.clock(), threading.TIMEOUT_MAX)))

    def wake(self, *, later: bool = False) -> None:
        """Give the sign that :meth:`sleep` waits for, or take it back."""
        if later and not self.cancelled:
            self._awake.clear()
        else:
            self._awake.set()


class Lane:
    """One place, held for one step at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = False
        self._waiting: list[Ticket] = []
        self._beginning: set[Ticket] = set()
        self._begun = 0
        self._turns = count(1)

    @contextmanager
    def turn(self, ticket: Ticket, *, first: bool = False) -> Iterator[bool]:
        """Hold the place for one step; ``first`` tells that the call has not begun.

        Gives false, without the place, to a call that was served while it waited.

        Raises:
            CallCancelled: nobody waits for the call any more.
            CallExpired: the call's time is over.
        """
        held = self._enter(ticket, first=first)
        try:
            yield held
        finally:
            if held:
                self._leave()

    def _enter(self, ticket: Ticket, *, first: bool) -> bool:
        ticket.check()
        with self._lock:
            if not self._held:
                self._held = True
                return True
            ticket.wake(later=True)
            self._waiting.append(ticket)
            if first:
                self._beginning.add(ticket)
        began = time.monotonic()
        try:
            while self._waits(ticket):
                if ticket.served:
                    return not self._withdrawn(ticket)
                ticket.sleep()
                ticket.check()
        except BaseException:
            self._give_up(ticket)
            raise
        else:
            return True
        finally:
            self._beginning.discard(ticket)
            ticket.waited_sec += time.monotonic() - began

    def _waits(self, ticket: Ticket) -> bool:
        with self._lock:
            return ticket in self._waiting

    def _give_up(self, ticket: Ticket) -> None:
        if not self._withdrawn(ticket):
            self._leave()

    def _withdrawn(self, ticket: Ticket) -> bool:
        """Wait no more; false where its turn has just come."""
        with self._lock:
            waiting = ticket in self._waiting
            if waiting:
                self._waiting.remove(ticket)
        return waiting

    def _leave(self) -> None:
        with self._lock:
            if not self._waiting:
                self._held = False
                return
            chosen = self._next()
            self._waiting.remove(chosen)
            chosen.wake()

    def _next(self) -> Ticket:
        beginning = [one for one in self._waiting if one in self._beginning]
        others = [one for one in self._waiting if one not in self._beginning]
        if beginning and (self._begun < BEGINNINGS or not others):
            self._begun += 1
            return beginning[0]
        self._begun = 0
        if next(self._turns) % OLDEST_EVERY == 0:
            return max(others, key=lambda one: one.used)
        return min(others, key=lambda one: one.left_sec)
