"""How much of a recording became text, and where the rest is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal

Whole = Literal["yes", "no", "unknown"]
"""Whether a recording's end is there: by its container, or nobody can know."""

UnheardReason = Literal[
    "no_text", "other_language", "damaged", "lost", "cut", "unknown_codec", "unreadable", "failed"
]
"""Why a stretch has no text. ``no_text``: a model gave none for voice; ``other_language``: its text
is in a language that was not spoken there; ``failed``: nothing was recognised at all; the others
could not be decoded."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """Seconds of the recording without text; ``channel`` ``None`` is all channels.

    ``speech_sec`` is how much voice is in it, where that is known.
    """

    start: float
    end: float
    channel: int | None
    reason: UnheardReason
    speech_sec: float | None = None

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class ChannelCoverage:
    """Seconds of speech that were found on a channel, and of them those that became text.

    Raises:
        ValueError: they are no lengths.
    """

    channel: int
    speech_sec: float
    recognised_sec: float

    def __post_init__(self) -> None:
        """Refuse what is no length."""
        if not (isfinite(self.speech_sec) and 0 <= self.recognised_sec <= self.speech_sec + 1e-6):
            raise ValueError("recognised_sec is from 0 to speech_sec")

    @property
    def share(self) -> float:
        """Recognised over found, 0 to 1."""
        return min(1.0, self.recognised_sec / self.speech_sec) if self.speech_sec else 1.0


@dataclass(frozen=True, slots=True)
class SpeechCoverage:
    """The account of one recording.

    ``share`` is the least that can have become text of what the recording holds, 0 to 1: of the
    decoded part (``decoded_share``), the recognised speech. Both are ``None`` where the recording
    is cut and nothing tells how long it was.

    Raises:
        ValueError: a share is not from 0 to 1.
    """

    share: float | None
    decoded_share: float | None
    whole: Whole
    channels: tuple[ChannelCoverage, ...] = ()
    unheard: tuple[Unheard, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        known = [one for one in (self.share, self.decoded_share) if one is not None]
        if not all(0 <= one <= 1 for one in known):
            raise ValueError("a share is from 0 to 1")

    def as_data(self) -> dict[str, Any]:
        """Return it as what JSON knows."""
        found = asdict(self)
        return {**found, "channels": list(found["channels"]), "unheard": list(found["unheard"])}


def recognised_coverage(
    channels: Sequence[ChannelCoverage],
    unheard: Sequence[Unheard],
    decoded_share: float | None,
    whole: Whole,
) -> SpeechCoverage:
    """Return the account of a recording that was recognised."""
    found = sum(one.speech_sec for one in channels)
    heard = sum(one.recognised_sec for one in channels)
    share = min(1.0, heard / found) if found else 1.0
    in_order = sorted(unheard, key=lambda one: (one.start, one.end, one.channel or 0))
    told = None if decoded_share is None else round(share * decoded_share, 4)
    return SpeechCoverage(told, decoded_share, whole, tuple(channels), tuple(in_order))


def nothing_recognised(duration: float) -> SpeechCoverage:
    """Return the account of a recording of which nothing was recognised."""
    unheard = (Unheard(0.0, duration, None, "failed"),) if duration else ()
    return SpeechCoverage(0.0, 0.0, "unknown", unheard=unheard)
