"""A deadline over everything that a call does, on a monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]
"""Seconds from an arbitrary start; never goes back (``time.monotonic``)."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time, in seconds of ``clock``."""

    at: float
    clock: Clock = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Clock = time.monotonic) -> Deadline:
        """Return the deadline ``seconds`` from now."""
        return cls(clock() + seconds, clock)

    @property
    def remaining(self) -> float:
        """Seconds left, at least zero."""
        return max(0.0, self.at - self.clock())
