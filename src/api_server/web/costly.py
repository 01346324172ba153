"""A value that many ask for: the dearer it is, the longer it is shown again."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SHARE = 1 / 30
"""Of the time, asking for it takes no more than that: what took a second is half a minute old."""

CHEAP_SEC = 0.05
"""What takes less is asked for each time."""


class Costly(Generic[T]):
    """Keeps what was asked for last.

    Args:
        ask: asks for it.
        clock: seconds that only count.
    """

    def __init__(
        self, ask: Callable[[], Awaitable[T]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask, self._clock = ask, clock
        self._kept: tuple[float, T] | None = None

    async def get(self) -> T:
        """Return the value, which may be as old as :data:`SHARE` says; raises what asking does."""
        if self._kept is not None and self._clock() < self._kept[0]:
            return self._kept[1]
        began = self._clock()
        value = await self._ask()
        now = self._clock()
        took = now - began
        self._kept = (now + took / SHARE, value) if took >= CHEAP_SEC else None
        return value
