"""How long a dependency that was tried in vain is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable

from stt_engine.events import Event, Stage
from stt_engine.outcome import StageSettled

FIRST_REST_SEC, LONGEST_REST_SEC = 5.0, 300.0
_SETTLED = {Stage.AGENT, Stage.HEALTH}


class Rests:
    """Rests by name: an agent's URL as events show it, or the recogniser.

    As an observer it ends a rest as soon as anybody, a probe too, has an answer of that agent.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rests: dict[str, tuple[float, float]] = {}

    def __call__(self, event: Event) -> None:
        """Learn that an agent is back."""
        if not isinstance(event, StageSettled) or event.outcome.is_dummy:
            return
        if event.stage in _SETTLED and event.subject:
            self.end(event.subject)

    def begin(self, name: str) -> float:
        """Begin a rest, twice as long as the one before; return its seconds."""
        _, before = self._rests.get(name, (0.0, 0.0))
        seconds = min(before * 2, LONGEST_REST_SEC) or FIRST_REST_SEC
        self._rests[name] = self._clock() + seconds, seconds
        return seconds

    def end(self, name: str) -> None:
        """Forget what was tried in vain."""
        self._rests.pop(name, None)

    def is_over(self, name: str) -> bool:
        """Return whether it may be tried."""
        return self._clock() >= self._rests.get(name, (0.0, 0.0))[0]

    def is_doubted(self, name: str) -> bool:
        """Return whether it was last tried in vain: one try is enough to see."""
        return name in self._rests
