"""Types of the circuit breaker: states, policy, snapshots, permits."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

PROBE_WAIT_SEC = 1.0
"""``retry_after`` of a call that is rejected while a probe runs."""

_MAX_DOUBLINGS = 32


class CircuitState(StrEnum):
    """The five states; the forced ones stay until ``release()``."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """When a circuit opens and how it recovers. Durations are in seconds, rates from 0 to 1.

    The first open period lasts ``recovery_timeout``; each failed probe doubles it, up to
    ``max_recovery``, minus a random share of up to ``jitter``. ``probes`` run at a time; one that
    takes ``probe_sec`` has failed. Rates are computed over the last
    ``window`` calls, from ``minimum_calls`` on; ``None`` switches a rate off.
    """

    failure_threshold: int = 5
    recovery_timeout: float = 60.0
    max_recovery: float = 600.0
    jitter: float = 0.2
    probes: int = 1
    probe_sec: float = math.inf
    window: int = 100
    minimum_calls: int = 20
    failure_rate: float | None = None
    slow_call_rate: float | None = None
    slow_call_sec: float = 20.0

    def open_duration(self, opened: int, random_unit: float) -> float:
        """Return the seconds to stay open, the ``opened``-th time in a row (counted from 1)."""
        if opened <= 1:
            return min(self.max_recovery, self.recovery_timeout)
        grown = self.recovery_timeout * 2.0 ** min(opened - 1, _MAX_DOUBLINGS)
        return min(self.max_recovery, grown) * (1.0 - self.jitter * random_unit)

    def find_reason_to_open(
        self, failures: int, window: Collection[tuple[bool, bool]]
    ) -> OpenReason | None:
        """Return why a closed circuit has to open, or ``None``.

        ``failures`` are consecutive; ``window`` holds (failed, slow) for each of the last calls.
        """
        calls = len(window)
        failed = sum(failed for failed, _ in window)
        slow = sum(slow for _, slow in window)
        if failures >= self.failure_threshold:
            return OpenReason("consecutive")
        if calls < self.minimum_calls:
            return None
        if self.failure_rate is not None and failed >= self.failure_rate * calls:
            return OpenReason("failure_rate", failures=failed)
        if self.slow_call_rate is not None and slow >= self.slow_call_rate * calls:
            return OpenReason("slow_calls", slow=slow)
        return None


@dataclass(frozen=True, slots=True)
class OpenReason:
    """Why a circuit changed its state. ``failures``: those that count, where not those in a row."""

    cause: str
    failures: int | None = None
    slow: int = 0


@dataclass(frozen=True, slots=True)
class CircuitSnapshot:
    """The state of one circuit, for ``/health`` and the metrics.

    ``open`` with a ``retry_after`` of 0 means that the next call is a probe.
    """

    target: str
    state: CircuitState
    failures: int
    retry_after: float | None
    transitions: Mapping[str, int]
    refusals: int


class Permit:
    """Permission for one call. Its first reported result is recorded; any other is ignored."""

    __slots__ = ("_done", "_report", "began", "conclusive", "epoch")

    def __init__(
        self, report: Report, epoch: int, began: float, *, conclusive: bool = True
    ) -> None:
        self._report = report
        self.conclusive = conclusive
        self._done = False
        self.epoch = epoch
        self.began = began

    def success(self, elapsed: float | None = None) -> None:
        """Report that the call succeeded, after ``elapsed`` seconds (default: since acquired)."""
        self._report(self, "success", elapsed)

    def failure(self, elapsed: float | None = None) -> None:
        """Report that the target failed."""
        self._report(self, "failure", elapsed)

    def cancel(self) -> None:
        """Report that the call showed nothing about the target, and release a probe's slot."""
        self._report(self, "nothing", None)

    def finish(self) -> bool:
        """Mark the permit as used; return ``False`` if it already was. Called under the lock."""
        done, self._done = self._done, True
        return not done


Result = Literal["success", "failure", "nothing"]

Report = Callable[[Permit, Result, float | None], None]
"""Takes a permit's result and, where known, its seconds."""


TRANSITIONS = {
    CircuitState.OPEN: "opened",
    CircuitState.FORCED_OPEN: "opened",
    CircuitState.HALF_OPEN: "half_open",
    CircuitState.CLOSED: "closed",
    CircuitState.FORCED_CLOSED: "closed",
}
"""The name of each transition in events and metrics, by the state that is entered."""
