"""Who may wait for recognition: one bounded queue with a forecast; no room means refused at once.

The forecast is seconds of sound that are waiting x the factor at which this server has lately
worked them off. Calls take turns (:mod:`stt_engine.turns`), so a call waits for no other longer
than that one would take if it were of its own length.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from stt_engine.turns import OLDEST_EVERY, Ticket

ADMITTED = "admitted"
"""``source`` of the event that tells how long a call waited (``wait_sec``) for its turns."""

GIVEN_UP = "given_up"
"""``source`` of the event of a call that was stopped because its caller hung up."""

AT_WORK = 2
"""Calls that do not count as waiting: while one is recognised, the next is decoded."""

_FIRST_FACTOR = 0.5
_MEMORY = 0.9
_LONGEST_RETRY_SEC = 3600.0
_TYPICAL_WORK_SEC = 60.0
_MARGIN_SEC = 1.0


class QueueFull(Exception):
    """No room to wait. ``retry_after`` is in whole seconds."""

    def __init__(self, why: str, retry_after: int) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Admission:
    """Knows every call inside, how fast they are worked off, and whether one more may come in.

    Args:
        max_waiting: calls that may wait.
        max_wait_sec: longest wait that a call may be let in for.
        clock: monotonic seconds.
    """

    def __init__(
        self, max_waiting: int, max_wait_sec: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limiter = anyio.CapacityLimiter(AT_WORK + max_waiting)
        self._max_waiting = max_waiting
        self._max_wait_sec = max_wait_sec
        self._clock = clock
        self._lock = threading.Lock()
        self._inside: set[Ticket] = set()
        self._pace = _Pace(clock)
        self._booked_until = 0.0

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return max(0, len(self._inside) - AT_WORK)

    @property
    def factor(self) -> float:
        """Seconds that this server lately took for a second of sound."""
        return self._pace.factor

    @property
    def work_waiting_sec(self) -> float:
        """Seconds of sound that are still to be recognised."""
        with self._lock:
            return sum(_left(one) for one in self._inside)

    @contextmanager
    def place(self, ticket: Ticket) -> Iterator[None]:
        """Hold a place in the queue for as long as recognition takes.

        Raises:
            QueueFull: at once, where ``max_waiting`` calls wait already. Later, from the ticket
                (``on_work``), where the call would have to wait too long.
        """
        with self._lock:
            if len(self._inside) >= AT_WORK + self._max_waiting:
                raise QueueFull(
                    f"the queue is full ({self.waiting} waiting)",
                    self._book(self._first_out_sec(), self._typical_work_sec()),
                )
            ticket.on_work = self._judge
            if not self._inside:
                self._pace.rest()
            self._inside.add(ticket)
        try:
            yield
        finally:
            with self._lock:
                self._pace.note(sum(map(_done, self._inside)))
                self._inside.discard(ticket)
                self._pace.forget(_done(ticket))

    def forecast_sec(self, work_sec: float, among: list[float]) -> float:
        """Seconds that a call of ``work_sec`` waits beside calls that have ``among`` left."""
        return sum(min(left, work_sec) for left in among) * self.factor

    def room_in_sec(self, work_sec: float, among: list[float]) -> float:
        """Seconds after which the forecast for a call of ``work_sec`` will be short enough."""
        excess = (self.forecast_sec(work_sec, among) - self._max_wait_sec) / self.factor
        work = 0.0
        for left in sorted(among):  # the shortest is worked off first
            counted = min(left, work_sec)
            if excess <= counted:
                work += left - counted + max(0.0, excess)
                break
            excess -= counted
            work += left
        return work * self.factor * OLDEST_EVERY / (OLDEST_EVERY - 1)

    def _judge(self, ticket: Ticket) -> None:
        work_sec = ticket.left_sec
        with self._lock:
            among = [_left(one) for one in self._inside if one is not ticket]
            wait = self.forecast_sec(work_sec, among)
            if wait > self._max_wait_sec:
                raise QueueFull(
                    f"the wait would be {wait:.0f} s, which is more than "
                    f"{self._max_wait_sec:g} s ({len(among)} calls are before it)",
                    self._book(self.room_in_sec(work_sec, among), work_sec),
                )

    def _first_out_sec(self) -> float:
        shortest = min(map(_left, self._inside), default=0.0)
        return shortest * self.factor * OLDEST_EVERY / (OLDEST_EVERY - 1)

    def _typical_work_sec(self) -> float:
        """Give the mean work of the calls inside: that of the next one is not known yet."""
        known = [one.work_sec for one in self._inside if one.work_sec is not None]
        return sum(known) / len(known) if known else _TYPICAL_WORK_SEC

    def _book(self, free_in_sec: float, work_sec: float) -> int:
        """Give the wait after which there is room; those turned away together come one by one."""
        now = self._clock()
        at = max(now + free_in_sec + _MARGIN_SEC, self._booked_until)
        at = min(at, now + _LONGEST_RETRY_SEC)
        self._booked_until = at + work_sec * self.factor
        return max(1, math.ceil(at - now))


class _Pace:
    """How fast work is worked off, from what is finished and how long that took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._work = _TYPICAL_WORK_SEC
        self._time = _TYPICAL_WORK_SEC * _FIRST_FACTOR
        self._counted = 0.0
        self._since = clock()

    @property
    def factor(self) -> float:
        return self._time / self._work

    def rest(self) -> None:
        """Begin anew after a time without work."""
        self._since, self._counted = self._clock(), 0.0

    def note(self, done_sec: float) -> None:
        """Learn that the calls inside have ``done_sec`` behind them by now."""
        now = self._clock()
        work = done_sec - self._counted
        if work > 0:
            # What is remembered fades with work, not with calls: short ones weigh little.
            kept = _MEMORY ** (work / _TYPICAL_WORK_SEC)
            self._work = self._work * kept + work
            self._time = self._time * kept + now - self._since
            self._since, self._counted = now, done_sec

    def forget(self, done_sec: float) -> None:
        """Leave a call out that has left."""
        self._counted -= done_sec


def _left(ticket: Ticket) -> float:
    return _TYPICAL_WORK_SEC if ticket.work_sec is None else ticket.left_sec


def _done(ticket: Ticket) -> float:
    return (ticket.work_sec or 0.0) - ticket.left_sec if ticket.work_sec else 0.0
