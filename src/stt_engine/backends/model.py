"""What a recogniser is to the rest: it hears stretches of speech and says what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from stt_engine.backends.vad import Samples
from stt_engine.speech import SAMPLE_RATE

LATE_SEC = 1.0
"""A segment that begins this long after the end of its stretch was not said in it."""

Words = tuple[tuple[float, float, str, float], ...]
"""Words as ``(start, end, word, probability)``; seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Speech to be heard: 16 kHz mono, -1 to 1, at most 30 s of it."""

    samples: Samples
    language: str
    task: str
    words: bool = False

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Heard:
    """One segment as a model gave it; seconds from the start of the stretch."""

    start: float
    end: float
    text: str
    confidence: float | None = None
    words: Words | None = None

    def within(self, seconds: float) -> Heard:
        """Give the same segment with no time beyond the end of its stretch."""
        words = self.words and tuple(
            (min(s, seconds), min(e, seconds), w, p) for s, e, w, p in self.words
        )
        start, end = min(self.start, seconds), min(self.end, seconds)
        return replace(self, start=start, end=end, words=words)

    def moved(self, offset: float) -> Heard:
        """Give the same segment, ``offset`` seconds later."""
        words = self.words and tuple((s + offset, e + offset, w, p) for s, e, w, p in self.words)
        return replace(self, start=self.start + offset, end=self.end + offset, words=words)


@dataclass(frozen=True, slots=True)
class Said:
    """What a model made of one stretch; ``doubts`` are the reasons why it was heard again.

    ``facts`` tell who heard it, where that is not what the model's own facts say.
    """

    segments: tuple[Heard, ...] = ()
    doubts: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class Model(Protocol):
    """A loaded model."""

    multilingual: bool
    facts: dict[str, Any]
    together: int
    """How many stretches it hears best at once."""

    def detect(self, samples: Samples) -> str:
        """Give the language code of what is said."""
        ...

    def hear(self, stretches: Sequence[Stretch]) -> list[Said]:
        """Recognise stretches of speech, whosever they are; what is said of each, in order."""
        ...
