"""The transcript as the page shows it: sentences with their marked quotes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from stt_engine.speech import Segment

LEAD_SEC = 0.5
"""So much before a sentence it is played from."""

LONGEST_CLIP_SEC = 300.0
"""More of a recording is not taken away at once."""

_LOW = 0.5


@dataclass(frozen=True, slots=True)
class Piece:
    """Words of a sentence; ``elements``: the findings of which they are evidence."""

    text: str
    elements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sentence:
    """One segment; times in seconds. ``unsure``: the recogniser was not certain of it."""

    id: int
    start: float
    end: float
    channel: int
    speaker: str | None
    pieces: tuple[Piece, ...]
    unsure: bool

    @property
    def at(self) -> str:
        """When it begins, as people write it."""
        return clock(self.start)

    @property
    def play_from(self) -> float:
        """Where to begin to listen."""
        return round(max(0.0, self.start - LEAD_SEC), 2)


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece of evidence; ``start`` and ``end`` are those of its sentence or of its own words."""

    segment_id: int
    start: float | None
    end: float | None
    text: str
    speaker: str | None

    @property
    def clip(self) -> str:
        """What the address of its clip asks for: half a second more on either side."""
        start, end = self.play_from or 0.0, (self.end or 0.0) + LEAD_SEC
        return f"from={start}&to={min(end, start + LONGEST_CLIP_SEC):.2f}"

    @property
    def play_from(self) -> float | None:
        """Where to begin to listen; ``None`` without times."""
        return None if self.start is None else round(max(0.0, self.start - LEAD_SEC), 2)


class MarkedCall:
    """A call's words and where its quotes are in them.

    Args:
        plain: the segments as they were recognised.
        shown: the same, masked: letter by letter in the same places.
    """

    def __init__(self, plain: Sequence[Segment], shown: Sequence[Segment]) -> None:
        self._plain = {one.id: one for one in plain}
        self._shown = {one.id: one for one in shown}
        self._order = [one.id for one in shown]
        self._spans: dict[int, list[tuple[int, int, str]]] = {}

    def mark(self, element: str, evidence: Mapping[str, Any]) -> Quote | None:
        """Mark a quote and return it as it may be shown; ``None`` where it cannot be found."""
        identity = evidence["segment_id"]
        plain, shown = self._plain.get(identity), self._shown.get(identity)
        if plain is None or shown is None:
            return None
        begin = plain.text.find(evidence["quote"])
        if begin < 0:
            return None
        end = begin + len(evidence["quote"])
        span = begin, end, element
        spans = self._spans.setdefault(identity, [])
        if span not in spans:
            spans.append(span)
        return Quote(
            identity,
            evidence["start"],
            evidence["end"],
            shown.text[begin:end],
            shown.speaker,
        )

    def sentences(self) -> list[Sentence]:
        """Return every sentence with its marks, in the order of the call."""
        return [self._sentence(self._shown[one]) for one in self._order]

    def _sentence(self, one: Segment) -> Sentence:
        return Sentence(
            one.id,
            round(one.start, 2),
            round(one.end, 2),
            one.channel,
            one.speaker,
            tuple(_pieces(one.text, self._spans.get(one.id, []))),
            one.confidence is not None and one.confidence < _LOW,
        )


def clock(seconds: float | None) -> str:
    """Return a place in a recording as people write it: ``1:02:03`` or ``2:03``."""
    if seconds is None:
        return "–"
    whole = int(max(0.0, seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _pieces(text: str, spans: Sequence[tuple[int, int, str]]) -> list[Piece]:
    if not spans:
        return [Piece(text)]
    edges = sorted({0, len(text), *(edge for begin, end, _ in spans for edge in (begin, end))})
    found = []
    for begin, end in pairwise(edges):
        elements = tuple(
            dict.fromkeys(name for start, stop, name in spans if start <= begin and end <= stop)
        )
        found.append(Piece(text[begin:end], elements))
    return found
