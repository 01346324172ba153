"""Who may wait for recognition: one bounded queue with a forecast; no room means refused at once.

The forecast is seconds of sound that are waiting x the factor at which this server has lately
worked them off. Calls take turns (:mod:`stt_engine.workers.scheduler`), so a call waits for no
other longer than that one would take if it were of its own length.

A call of the background (a job's) stands in no queue: it counts for no forecast, and rests after
each of its steps for as long as another call is inside.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from stt_engine.call import CallCancelled, CallContext, Work
from stt_engine.workers.scheduler import OLDEST_EVERY

AT_WORK = 2
"""Calls that do not count as waiting: while one is recognised, the next is decoded."""

_FIRST_FACTOR = 0.5
_MEMORY = 0.9
_LONGEST_RETRY_SEC = 3600.0
_TYPICAL_WORK_SEC = 60.0
_MARGIN_SEC = 1.0

_BACKGROUND_WAIT_SEC = 365 * 86400.0
"""A call of the background waits for its turns as long as others come."""


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
        self.background_limiter = anyio.CapacityLimiter(math.inf)
        self._quiet = threading.Event()
        self._quiet.set()
        self._max_waiting = max_waiting
        self._max_wait_sec = max_wait_sec
        self._clock = clock
        self._lock = threading.Lock()
        self._inside: set[Place] = set()
        self._pace = _Pace(clock)
        self._booked_until = 0.0

    def limiter_of(self, context: CallContext) -> anyio.CapacityLimiter:
        """Return what bounds the threads in which calls like this one wait."""
        return self.background_limiter if context.background else self.limiter

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return max(0, len(self._inside) - AT_WORK)

    @property
    def quiet(self) -> bool:
        """True while no call is inside but those of the background."""
        return self._quiet.is_set()

    @property
    def factor(self) -> float:
        """Seconds that this server lately took for a second of sound."""
        return self._pace.factor

    @property
    def work_waiting_sec(self) -> float:
        """Seconds of sound that are still to be recognised."""
        with self._lock:
            return sum(one.left_sec for one in self._inside)

    @contextmanager
    def place(self, context: CallContext) -> Iterator[Place | BackgroundPlace]:
        """Hold a place in the queue for as long as recognition takes.

        A call of the background is always let in.

        Raises:
            QueueFull: at once, where ``max_waiting`` calls wait already. At the end, where the work
                that was reported to the place would have had to wait too long.
        """
        if context.background:
            context.max_wait_sec = _BACKGROUND_WAIT_SEC
            yield BackgroundPlace(context, self._quiet)
            return
        place = self._taken_place(context)
        try:
            yield place
        except CallCancelled:
            place.check()
            raise
        finally:
            self._leave(place)

    def _taken_place(self, context: CallContext) -> Place:
        with self._lock:
            if len(self._inside) >= AT_WORK + self._max_waiting:
                raise QueueFull(
                    f"the queue is full ({self.waiting} waiting)",
                    self._book(self._first_out_sec(), self._typical_work_sec()),
                )
            if not self._inside:
                self._pace.rest()
            context.max_wait_sec = self._max_wait_sec
            place = Place(context, self._refusal_of)
            self._inside.add(place)
            self._quiet.clear()
            return place

    def _leave(self, place: Place) -> None:
        with self._lock:
            self._pace.note(sum(one.done_sec for one in self._inside))
            self._inside.discard(place)
            if not self._inside:
                self._quiet.set()
            self._pace.forget(place.done_sec)

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

    def _refusal_of(self, place: Place) -> QueueFull | None:
        """Return why a call of this much work may not wait; ``None`` where it may."""
        work_sec = place.left_sec
        with self._lock:
            among = [one.left_sec for one in self._inside if one is not place]
            wait = self.forecast_sec(work_sec, among)
            if wait <= self._max_wait_sec:
                return None
            return QueueFull(
                f"the wait would be {wait:.0f} s, which is more than "
                f"{self._max_wait_sec:g} s ({len(among)} calls are before it)",
                self._book(self.room_in_sec(work_sec, among), work_sec),
            )

    def _first_out_sec(self) -> float:
        shortest = min((one.left_sec for one in self._inside), default=0.0)
        return shortest * self.factor * OLDEST_EVERY / (OLDEST_EVERY - 1)

    def _typical_work_sec(self) -> float:
        """Return the mean work of the calls inside: that of the next one is not known yet."""
        known = [one.work.total_sec for one in self._inside if one.work is not None]
        return sum(known) / len(known) if known else _TYPICAL_WORK_SEC

    def _book(self, free_in_sec: float, work_sec: float) -> int:
        """Return the wait after which there is room; those turned away together come one by one."""
        now = self._clock()
        at = max(now + free_in_sec + _MARGIN_SEC, self._booked_until)
        at = min(at, now + _LONGEST_RETRY_SEC)
        self._booked_until = at + work_sec * self.factor
        return max(1, math.ceil(at - now))


class Place:
    """A call's place in the queue, which follows its work.

    Args:
        context: the call.
        refusal_of: decides, once its work is known, whether it may wait.
    """

    def __init__(
        self, context: CallContext, refusal_of: Callable[[Place], QueueFull | None]
    ) -> None:
        self._context = context
        self._refusal_of = refusal_of
        self._refusal: QueueFull | None = None
        self.work: Work | None = None

    @property
    def left_sec(self) -> float:
        """Seconds of sound that are still to be recognised; a typical call's until known."""
        return _TYPICAL_WORK_SEC if self.work is None else self.work.left_sec

    @property
    def done_sec(self) -> float:
        """Seconds of sound that are recognised."""
        return 0.0 if self.work is None else self.work.total_sec - self.work.left_sec

    def report(self, work: Work) -> None:
        """Take what is known of the call's work; the first time, cancel a call that cannot wait."""
        first, self.work = self.work is None, work
        if first:
            self._refusal = self._refusal_of(self)
        if self._refusal is not None:
            self._context.cancel()

    def check(self) -> None:
        """Return where the call may wait.

        Raises:
            QueueFull: it was refused.
        """
        if self._refusal is not None:
            raise self._refusal


class BackgroundPlace:
    """The place of a call of the background: beside the queue.

    Args:
        context: the call.
        quiet: set while no other call is inside.
    """

    def __init__(self, context: CallContext, quiet: threading.Event) -> None:
        self._context = context
        self._quiet = quiet

    def report(self, _work: Work) -> None:
        """Rest for as long as another call is inside.

        Raises:
            CallCancelled: the call was cancelled meanwhile.
        """
        self._context.wait(self._quiet)


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
