r"""Proof: is a quote in the transcript, and where.

A quote is looked up word for word first, then normalised: Unicode NFKC, upper and lower case,
white space and punctuation do not matter, but a number stays that number (``3.5`` is not ``35``,
and ``5%`` is not found inside ``15%``). An offset map leads back from the normalised text to the
segments, so that evidence always shows the transcript's own words.

Neighbouring segments of one voice are read as one text (a :class:`_Run`), because recognisers cut
sentences where they like; words of another voice or beyond a pause are never stitched together.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from api_server.services.folding import fold, joins
from api_server.services.voices import utterances
from stt_engine.speech import Segment

Match = Literal["exact", "normalised"]

MIN_QUOTE_CHARS = 3
"""Letters and digits that a quote must have: fewer are found in every call and prove nothing."""
MAX_HITS = 5
"""Places reported for one quote."""

_MAX_PAUSE_SEC = 3.0  # longer silence between two segments of a voice: another utterance
_MAX_TAIL_CHARS = 80  # recognisers may leave punctuation out: a sentence does not go on for ever
_SENTENCE_END = re.compile(r"[.?!。…](?=\s|$)")
_IGNORED = re.compile(r"[\W_]+")
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The part of a quote that one segment holds, in the transcript's own words."""

    segment_id: int
    start: float
    end: float
    channel: int
    quote: str
    match: Match


@dataclass(frozen=True, slots=True)
class Hit:
    """One place of a quote: its parts, and ``passage``, the words up to the sentence's end."""

    parts: tuple[Evidence, ...]
    passage: str


@dataclass(frozen=True, slots=True)
class Normalised:
    """``text`` for comparison; ``offsets[i]`` is the index in the original of ``text[i]``."""

    text: str
    offsets: Sequence[int]


def normalise(original: str) -> Normalised:
    """Reduce ``original`` to its letters and digits, with the way back to every one of them."""
    folded, offsets = fold(original)
    kept: list[str] = []
    where: list[int] = []
    position = 0
    for gap in _IGNORED.finditer(folded):
        kept.append(folded[position : gap.start()])
        where.extend(offsets[position : gap.start()])
        separator = _separator(folded, gap.start(), gap.end())
        if separator:
            kept.append(separator)
            where.append(offsets[gap.start()])
        position = gap.end()
    kept.append(folded[position:])
    where.extend(offsets[position:])
    return Normalised("".join(kept), where)


def _separator(text: str, start: int, end: int) -> str:
    """Give what keeps two numbers apart, empty where the gap is not between two digits."""
    if start == 0 or end == len(text) or not (text[start - 1].isdigit() and text[end].isdigit()):
        return ""
    gap = text[start:end]
    if gap == "," and _THOUSANDS.match(text, start):
        return ""
    return gap.strip()[:1] or " "


def is_trivial(quote: str) -> bool:
    """Tell whether ``quote`` is too short to be evidence of anything."""
    return sum(char.isalnum() for char in normalise(quote).text) < MIN_QUOTE_CHARS


class TranscriptIndex:
    """A transcript prepared once, so that many quotes can be looked up.

    ``shown`` are the same segments, letter by letter, as evidence is to show them: quotes are of
    what an agent was given, and that may be masked.
    """

    def __init__(self, segments: Sequence[Segment], shown: Sequence[Segment] | None = None) -> None:
        texts = [segment.text for segment in shown or segments]
        groups = utterances(segments, _MAX_PAUSE_SEC)
        self._runs = [
            _Run([segments[index] for index in group], [texts[index] for index in group])
            for group in groups
        ]

    def find(self, quote: str, *, without_customer: bool = False) -> tuple[Hit, ...]:
        """Give the places of ``quote`` in time order; none where it is absent or trivial.

        ``without_customer`` leaves out what is known to be the customer's words. Places that
        match word for word, where there are any, are given alone.
        """
        if is_trivial(quote):
            return ()
        runs = [r for r in self._runs if not (without_customer and r.speaker == "customer")]
        exact = [hit for run in runs for hit in run.exact(quote.strip())]
        hits = exact or [hit for run in runs for hit in run.normalised(normalise(quote).text)]
        hits.sort(key=lambda hit: (hit.parts[0].start, hit.parts[0].segment_id))
        return tuple(hits[:MAX_HITS])


class _Run:
    """Neighbouring segments of one voice as one text, a line each."""

    def __init__(self, segments: Sequence[Segment], shown: Sequence[str]) -> None:
        self.speaker = segments[0].speaker
        self._segments = segments
        self._shown = shown
        self._text = "\n".join(segment.text for segment in segments)
        self._starts: list[int] = []
        position = 0
        for segment in segments:
            self._starts.append(position)
            position += len(segment.text) + 1

    @cached_property
    def _normal(self) -> Normalised:
        return normalise(self._text)

    def exact(self, quote: str) -> Iterator[Hit]:
        """Places of ``quote`` word for word."""
        for start, end in _spans(self._text, quote):
            yield from self._hits(start, end, "exact")

    def normalised(self, quote: str) -> Iterator[Hit]:
        """Places of an already normalised ``quote``."""
        offsets = self._normal.offsets
        for start, end in _spans(self._normal.text, quote):
            yield from self._hits(offsets[start], self._after(end), "normalised")

    def _after(self, end: int) -> int:
        """Original index behind the normalised characters before ``end``, marks included."""
        last = self._normal.offsets[end - 1] + 1
        while last < len(self._text) and joins(self._text[last]):
            last += 1
        return last

    def _hits(self, start: int, end: int, match: Match) -> Iterator[Hit]:
        parts = tuple(self._parts(start, end, match))
        if parts and not _cuts_number(self._text, start, end):
            yield Hit(parts, self._text[start : self._sentence_end(end)])

    def _parts(self, start: int, end: int, match: Match) -> Iterator[Evidence]:
        first = bisect_right(self._starts, start) - 1
        for number in range(first, len(self._segments)):
            segment, offset = self._segments[number], self._starts[number]
            if offset >= end:
                return
            words = self._shown[number][max(0, start - offset) : end - offset].strip()
            if any(char.isalnum() for char in normalise(words).text):  # "㈜" says 주
                yield Evidence(
                    segment.id, segment.start, segment.end, segment.channel, words, match
                )

    def _sentence_end(self, end: int) -> int:
        limit = min(len(self._text), end + _MAX_TAIL_CHARS)
        # From the last character on: a quote that has its full stop ends there.
        stop = _SENTENCE_END.search(self._text, max(0, end - 1), limit)
        return stop.end() if stop else limit


def _spans(text: str, wanted: str) -> Iterator[tuple[int, int]]:
    start = text.find(wanted) if wanted else -1
    while start >= 0:
        yield start, start + len(wanted)
        start = text.find(wanted, start + len(wanted))


def _cuts_number(text: str, start: int, end: int) -> bool:
    """Tell whether ``text[start:end]`` begins or ends in the middle of a number."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    head = text[start].isdigit() and re.search(r"\d[.,]?$", before)
    tail = text[end - 1].isdigit() and re.match(r"[.,]?\d", after)
    return bool(head or tail)
