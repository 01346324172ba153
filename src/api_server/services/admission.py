"""Who may wait for recognition: a bounded queue in order of arrival; full means refused at once."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

ADMITTED = "admitted"
"""``source`` of the event that tells how long a call waited (``wait_sec``) for its turn."""


class QueueFull(Exception):
    """No room to wait. ``retry_after`` is in whole seconds."""

    def __init__(self, waiting: int, retry_after: int) -> None:
        super().__init__(f"the queue is full ({waiting} waiting)")
        self.retry_after = retry_after


class Admission:
    """Lets ``slots`` calls in at once and ``max_waiting`` more wait.

    A place is free again when a call ends, so ``Retry-After`` is the mean of the latest calls.
    """

    def __init__(self, slots: int, max_waiting: int) -> None:
        self.limiter = anyio.CapacityLimiter(slots)
        self._slots = slots
        self._max_waiting = max_waiting
        self._mean_sec = 5.0
        self.inside = 0

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""
        return max(0, self.inside - self._slots)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place in the queue for as long as recognition takes.

        Raises:
            QueueFull: at once, where ``max_waiting`` calls wait already.
        """
        if self.inside >= self._slots + self._max_waiting:
            raise QueueFull(self.waiting, self.retry_after())
        self.inside += 1
        began = time.monotonic()
        try:
            yield
            self._learn(time.monotonic() - began)
        finally:
            self.inside -= 1

    def retry_after(self) -> int:
        """Seconds until a place should be free, at least one."""
        return max(1, math.ceil(self._mean_sec))

    def _learn(self, took_sec: float) -> None:
        self._mean_sec += 0.2 * (took_sec - self._mean_sec)
