"""What a model is to the rest: it transcribes chunks of speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from stt_engine.backends.vad import Samples
from stt_engine.hints import NO_HINTS, Hints
from stt_engine.protocol import Provenance
from stt_engine.speech import SAMPLE_RATE

LATE_SEC = 1.0
"""A segment that begins this long after the end of its chunk was not said in it."""

Words = tuple[tuple[float, float, str, float], ...]
"""Words as ``(start, end, word, probability)``; seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class SpeechChunk:
    """Speech to be transcribed: 16 kHz mono, -1 to 1, at most 30 s of it."""

    samples: Samples
    language: str
    task: str
    words: bool = False
    voiced: tuple[tuple[float, float], ...] = ()
    """Where the voice is, in seconds from its start; the rest of it is pauses and margin."""
    language_check: bool = True
    """Whether it is asked of it what language it is in."""
    hints: Hints = NO_HINTS
    temperature: float = 0.0
    """Above 0, words are drawn by their probability instead of the best ones taken."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE

    def voice_between(self, start: float, end: float) -> float:
        """Return the seconds of voice in a part of it."""
        return sum(max(0.0, min(end, last) - max(start, first)) for first, last in self.voiced)


@dataclass(frozen=True, slots=True)
class LanguageGuess:
    """What a part of a chunk sounds like, in seconds from its start, with the voice in that part.

    ``other``: clearly not the language that was asked for, whose probability is
    ``asked_probability``.
    """

    start: float
    end: float
    speech_sec: float
    language: str
    probability: float
    asked_probability: float
    other: bool


SEQUENTIAL = "sequential"
"""The pipeline whose text depends on no other chunk."""


@dataclass(frozen=True, slots=True)
class RawSegment:
    """One segment as a model returned it; seconds from the start of the chunk."""

    start: float
    end: float
    text: str
    confidence: float | None = None
    words: Words | None = None
    pipeline: str = SEQUENTIAL
    """What transcribed it: the library's own way, unless a backend has others."""

    def within(self, seconds: float) -> RawSegment:
        """Return the same segment with no time beyond the end of its chunk."""
        words = self.words and tuple(
            (min(s, seconds), min(e, seconds), w, p) for s, e, w, p in self.words
        )
        start, end = min(self.start, seconds), min(self.end, seconds)
        return replace(self, start=start, end=end, words=words)

    def moved(self, offset: float) -> RawSegment:
        """Return the same segment, ``offset`` seconds later."""
        words = self.words and tuple((s + offset, e + offset, w, p) for s, e, w, p in self.words)
        return replace(self, start=self.start + offset, end=self.end + offset, words=words)


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What a model made of one chunk; ``low_confidence``: why it was transcribed again.

    ``facts`` are about how, where that differs from the model's own facts. ``languages`` are what
    it sounds like; ``None``: nobody looked.
    """

    segments: tuple[RawSegment, ...] = ()
    low_confidence: tuple[str, ...] = ()
    languages: tuple[LanguageGuess, ...] | None = field(default=None, compare=False)
    facts: Mapping[str, object] = field(default_factory=dict)
    hinted: str = ""
    """What came of its hints, if it had any: ``same``, ``taken`` or ``refused``."""


class Model(Protocol):
    """A loaded model."""

    multilingual: bool
    facts: Provenance
    together: int
    """How many chunks it transcribes best at once."""

    def detect(self, samples: Samples) -> Mapping[str, float]:
        """Return the probabilities of the languages that the speech may be in."""
        ...

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        """Transcribe chunks of speech, of whichever calls; return their results in order."""
        ...
