"""Whether something that jobs depend on can be used; since when it cannot, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(slots=True)
class Trouble:
    """``reason`` is ``None`` while all is well; ``since`` is a time in UTC."""

    reason: str | None = None
    since: str | None = None

    def note(self, reason: str | None) -> bool:
        """Keep what is known now; return whether it has begun or ended with that."""
        turned = (reason is None) != (self.reason is None)
        self.reason = reason
        if turned:
            began = datetime.now(UTC).isoformat(timespec="seconds")
            self.since = None if reason is None else began
        return turned
