"""Notices that this machine's clock was set: leases, days and times in records go by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import anyio

from api_server.jobs.events import ClockJumped
from stt_engine.events import Observer, emit

JUMP_SEC = 5.0
"""What a clock may differ by from the one that only counts before it is told; a time server that
corrects a clock slowly stays below it."""

_INTERVAL_SEC = 5.0


class ClockWatch:
    """Compares the time of day with a clock that only counts.

    Args:
        observers: told of each jump. A machine that slept has jumped forwards, too.
        wall: seconds since 1970.
        counting: seconds that nobody sets.
    """

    def __init__(
        self,
        observers: Iterable[Observer],
        wall: Callable[[], float] = lambda: time.time(),  # noqa: PLW0108 - the one of now
        counting: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observers = tuple(observers)
        self._wall, self._counting = wall, counting
        self._between = wall() - counting()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await anyio.sleep(_INTERVAL_SEC)

    def look(self) -> None:
        """Look once."""
        before, self._between = self._between, self._wall() - self._counting()
        jumped = self._between - before
        if abs(jumped) > JUMP_SEC:
            emit(self._observers, ClockJumped(seconds=jumped))
