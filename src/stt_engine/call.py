"""One call on its way: who it is, until when, and whether anybody still waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from stt_engine.errors import CallExpired
from stt_engine.events import Observer

LONGEST_WAIT_SEC = 600.0
"""How long a call may wait for its turns unless its caller decides otherwise."""

_FOREVER = 10 * 365 * 86400.0


class CallCancelled(BaseException):
    """Nobody waits for this call any more. No failure: it propagates and counts nowhere."""


@dataclass(frozen=True, slots=True)
class Work:
    """Seconds of sound to be recognised in a call (length x channels x tasks), and what is left."""

    total_sec: float
    left_sec: float


OnWork = Callable[[Work], None]
"""Called with what is known of a call's work: an estimate first, then after each step. It may
cancel the call, which then ends before more is done."""


def ignore_work(_work: Work) -> None:
    """Do nothing: for a call whose work nobody follows."""


@dataclass(eq=False)
class CallContext:
    """One call: its deadline, and its cancellation by whoever waits for it.

    Args:
        id: names the call.
        max_wait_sec: how long it may wait for its turns in all, beside the time of the work itself.
        clock: monotonic seconds.
        observers: told of this call's progress, and of no other's; called in any thread.
        background: it has a turn only where no call of the foreground wants one.
    """

    id: str = field(default_factory=lambda: uuid4().hex)
    max_wait_sec: float = LONGEST_WAIT_SEC
    clock: Callable[[], float] = time.monotonic
    observers: tuple[Observer, ...] = ()
    background: bool = False
    since: float = field(init=False)
    deadline: float = field(init=False)
    waited_sec: float = field(init=False, default=0.0)
    """Seconds that it has waited for its turns."""
    _cancelled: bool = field(init=False, default=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock, repr=False)
    _waits: set[threading.Event] = field(init=False, default_factory=set, repr=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self.since = self.clock()
        self.deadline = self.since + _FOREVER

    @property
    def cancelled(self) -> bool:
        """True once nobody waits for the call."""
        return self._cancelled

    @property
    def used(self) -> float:
        """Share of its time that the call has used."""
        return (self.clock() - self.since) / max(self.deadline - self.since, 1e-9)

    def allow(self, work_sec: float) -> None:
        """Set the deadline: so many seconds for the work from now, and for the waiting."""
        self.deadline = self.clock() + self.max_wait_sec + work_sec

    def cancel(self) -> None:
        """Have the call end at its next step."""
        with self._lock:
            self._cancelled = True
            for event in self._waits:
                event.set()

    def check(self) -> None:
        """Stop here where nobody waits any more, or the time is over.

        Raises:
            CallCancelled: nobody waits.
            CallExpired: the call's time is over.
        """
        if self._cancelled:
            raise CallCancelled
        if self.clock() >= self.deadline:
            raise CallExpired(f"the call had {self.deadline - self.since:.0f} s, which are over")

    def wait(self, event: threading.Event) -> None:
        """Wait for ``event``, the end of the call's time or its cancellation.

        Raises:
            CallCancelled: nobody waits for the call any more.
            CallExpired: the call's time is over.
        """
        began = time.monotonic()
        with self._lock:
            self._waits.add(event)
        try:
            self.check()
            event.wait(max(0.0, min(self.deadline - self.clock(), threading.TIMEOUT_MAX)))
            self.check()
        finally:
            with self._lock:
                self._waits.discard(event)
            self.waited_sec += time.monotonic() - began
