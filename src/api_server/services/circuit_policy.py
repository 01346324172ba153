"""The parts of a circuit breaker: states, settings, what it shows of itself, permits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

PROBE_WAIT_SEC = 1.0
"""What a call refused beside a running probe is told to wait."""

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
    """When a circuit opens and how it recovers; durations in seconds, rates from 0 to 1.

    The first wait is ``recovery_timeout``; each failed probe doubles it up to ``max_recovery``,
    shortened by a random part of up to ``jitter``. The rates are over the last ``window`` calls,
    once there are ``minimum_calls``; ``None`` switches a rate off.
    """

    failure_threshold: int = 5
    recovery_timeout: float = 60.0
    max_recovery: float = 600.0
    jitter: float = 0.2
    probes: int = 1
    window: int = 100
    minimum_calls: int = 20
    failure_rate: float | None = None
    slow_call_rate: float | None = None
    slow_call_sec: float = 20.0

    def wait(self, opened: int, chance: float) -> float:
        """Give the seconds to stay open the ``opened``-th time in a row (counted from 1)."""
        if opened <= 1:
            return min(self.max_recovery, self.recovery_timeout)
        grown = self.recovery_timeout * 2.0 ** min(opened - 1, _MAX_DOUBLINGS)
        return min(self.max_recovery, grown) * (1.0 - self.jitter * chance)

    def verdict(
        self, failures: int, window: Collection[tuple[bool, bool]]
    ) -> dict[str, object] | None:
        """Say why a closed circuit has to open (facts for its event), or ``None``.

        ``failures`` are in a row; ``window`` holds (failed, slow) of the last calls.
        """
        calls = len(window)
        failed = sum(failed for failed, _ in window)
        slow = sum(slow for _, slow in window)
        if failures >= self.failure_threshold:
            return {"cause": "consecutive"}
        if calls < self.minimum_calls:
            return None
        if self.failure_rate is not None and failed >= self.failure_rate * calls:
            return {"cause": "failure_rate", "failures": failed}
        if self.slow_call_rate is not None and slow >= self.slow_call_rate * calls:
            return {"cause": "slow_calls", "slow": slow}
        return None


@dataclass(frozen=True, slots=True)
class CircuitSnapshot:
    """One circuit at one moment, for ``/health`` and the metrics.

    ``open`` with a ``retry_after`` of 0 means that the next call is a probe.
    """

    target: str
    state: CircuitState
    failures: int
    retry_after: float | None
    transitions: Mapping[str, int]
    refusals: int


class Permit:
    """The right to make one call. The first of its three results counts, any other is ignored."""

    __slots__ = ("_done", "_report", "began", "epoch")

    def __init__(self, report: Report, epoch: int, began: float) -> None:
        self._report = report
        self._done = False
        self.epoch = epoch
        self.began = began

    def success(self, elapsed: float | None = None) -> None:
        """Say that the call was answered, in ``elapsed`` seconds (measured here if not given)."""
        self._report(self, "success", elapsed)

    def failure(self, elapsed: float | None = None) -> None:
        """Say that the target failed."""
        self._report(self, "failure", elapsed)

    def cancel(self) -> None:
        """Say that the call showed nothing about the target; gives a probe's place back."""
        self._report(self, "nothing", None)

    def finish(self) -> bool:
        """Mark the permit as used; ``False`` where it already was. Called under the lock."""
        done, self._done = self._done, True
        return not done


Result = Literal["success", "failure", "nothing"]

Report = Callable[[Permit, Result, float | None], None]
"""How a permit hands its result and, where known, the seconds it took to its breaker."""


TRANSITIONS = {
    CircuitState.OPEN: "opened",
    CircuitState.FORCED_OPEN: "opened",
    CircuitState.HALF_OPEN: "half_open",
    CircuitState.CLOSED: "closed",
    CircuitState.FORCED_CLOSED: "closed",
}
"""What entering a state is called in events and metrics."""
