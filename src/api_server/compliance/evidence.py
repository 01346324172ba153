r"""Evidence: locate a quote in the transcript.

A quote is searched for exactly first, then normalised: Unicode NFKC, without case, white space
and punctuation, except that numbers stay distinct (``3.5`` is not ``35``, and ``5%`` is not found
in ``15%``). Offsets map the normalised text back to the segments, so that evidence always shows
the transcript's own words.

Consecutive segments of one speaker are searched as one text (a :class:`_SpeakerText`), because
recognisers split sentences at arbitrary points. Words of different speakers, or separated by a
long pause, are never joined.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from api_server.text.normalise import fold, is_combining
from api_server.text.utterances import group_utterances
from stt_engine.speech import Segment

MatchType = Literal["exact", "normalised"]

MIN_QUOTE_CHARS = 3
"""Letters and digits that a quote must have: shorter ones are found in every call."""
MAX_MATCHES = 5
"""Matches reported for one quote."""

_MAX_PAUSE_SEC = 3.0  # a longer pause between two segments of a speaker ends an utterance
_MAX_TAIL_CHARS = 80  # limit of a sentence, since recognisers may omit punctuation
_SENTENCE_END = re.compile(r"[.?!。…](?=\s|$)")
_NOT_COMPARED = re.compile(r"[\W_]+")
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The part of a quote within one segment, in the transcript's own words."""

    segment_id: int
    start: float
    end: float
    channel: int
    quote: str
    match: MatchType


@dataclass(frozen=True, slots=True)
class QuoteMatch:
    """One occurrence of a quote; ``sentence`` is the text from there to the sentence's end.

    ``places``: the index of each segment that has a part of it, and where it starts and ends there.
    """

    evidence: tuple[Evidence, ...]
    sentence: str
    places: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class NormalisedText:
    """Text for comparison; ``offsets[i]`` is the index in the original of ``text[i]``."""

    text: str
    offsets: Sequence[int]


def normalise(original: str) -> NormalisedText:
    """Reduce ``original`` to its letters and digits, with the index of each in ``original``."""
    folded, offsets = fold(original)
    kept: list[str] = []
    where: list[int] = []
    position = 0
    for gap in _NOT_COMPARED.finditer(folded):
        kept.append(folded[position : gap.start()])
        where.extend(offsets[position : gap.start()])
        separator = _separator(folded, gap.start(), gap.end())
        if separator:
            kept.append(separator)
            where.append(offsets[gap.start()])
        position = gap.end()
    kept.append(folded[position:])
    where.extend(offsets[position:])
    return NormalisedText("".join(kept), where)


def _separator(text: str, start: int, end: int) -> str:
    """Return the separator of two numbers; empty unless the gap is between two digits."""
    if start == 0 or end == len(text) or not (text[start - 1].isdigit() and text[end].isdigit()):
        return ""
    gap = text[start:end]
    if gap == "," and _THOUSANDS.match(text, start):
        return ""
    return gap.strip()[:1] or " "


def is_trivial(quote: str) -> bool:
    """Return whether ``quote`` is too short to be evidence."""
    return sum(char.isalnum() for char in normalise(quote).text) < MIN_QUOTE_CHARS


class TranscriptIndex:
    """A transcript prepared for searching many quotes.

    ``shown`` are the same segments, character by character, as evidence shows them: the LLM quotes
    the text that it was sent, which may be masked.
    """

    def __init__(self, segments: Sequence[Segment], shown: Sequence[Segment] | None = None) -> None:
        texts = [segment.text for segment in shown or segments]
        groups = group_utterances(segments, _MAX_PAUSE_SEC)
        self._texts = [
            _SpeakerText(group, [segments[index] for index in group], [texts[i] for i in group])
            for group in groups
        ]

    def find(self, quote: str, *, without_customer: bool = False) -> tuple[QuoteMatch, ...]:
        """Return the matches of ``quote`` in time order; none if it is absent or trivial.

        ``without_customer`` excludes segments known to be the customer's. If there are exact
        matches, only those are returned; of too many, those of known speakers.
        """
        if is_trivial(quote):
            return ()
        texts = [t for t in self._texts if not (without_customer and t.speaker == "customer")]
        texts.sort(key=lambda text: text.speaker is None)
        exact = [match for text in texts for match in text.find_exact(quote.strip())]
        normalised = normalise(quote).text
        matches = exact or [match for text in texts for match in text.find_normalised(normalised)]
        return tuple(sorted(matches[:MAX_MATCHES], key=_place))


def _place(match: QuoteMatch) -> tuple[float, int]:
    return match.evidence[0].start, match.evidence[0].segment_id


class _SpeakerText:
    """Consecutive segments of one speaker as one text, a line each."""

    def __init__(
        self, indices: Sequence[int], segments: Sequence[Segment], shown: Sequence[str]
    ) -> None:
        self.speaker = segments[0].speaker
        self._indices = indices
        self._segments = segments
        self._shown = shown
        self._text = "\n".join(segment.text for segment in segments)
        self._starts: list[int] = []
        position = 0
        for segment in segments:
            self._starts.append(position)
            position += len(segment.text) + 1

    @cached_property
    def _normal(self) -> NormalisedText:
        return normalise(self._text)

    def find_exact(self, quote: str) -> Iterator[QuoteMatch]:
        """Yield the exact matches of ``quote``."""
        for start, end in _find_all(self._text, quote):
            yield from self._matches(start, end, "exact")

    def find_normalised(self, quote: str) -> Iterator[QuoteMatch]:
        """Yield the matches of ``quote``, which is normalised already."""
        offsets = self._normal.offsets
        for start, end in _find_all(self._normal.text, quote):
            yield from self._matches(offsets[start], self._original_end(end), "normalised")

    def _original_end(self, end: int) -> int:
        """Return the original index after the normalised characters before ``end``."""
        last = self._normal.offsets[end - 1] + 1
        while last < len(self._text) and is_combining(self._text[last]):
            last += 1
        return last

    def _matches(self, start: int, end: int, match: MatchType) -> Iterator[QuoteMatch]:
        evidence = tuple(self._evidence(start, end, match))
        if evidence and not _cuts_number(self._text, start, end):
            sentence = self._text[start : self._sentence_end(end)]
            yield QuoteMatch(evidence, sentence, tuple(self._places(start, end)))

    def _places(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        first = bisect_right(self._starts, start) - 1
        for number in range(first, len(self._segments)):
            offset = self._starts[number]
            if offset >= end:
                return
            last = min(end - offset, len(self._segments[number].text))
            yield self._indices[number], max(0, start - offset), last

    def _evidence(self, start: int, end: int, match: MatchType) -> Iterator[Evidence]:
        first = bisect_right(self._starts, start) - 1
        for number in range(first, len(self._segments)):
            segment, offset = self._segments[number], self._starts[number]
            if offset >= end:
                return
            words = self._shown[number][max(0, start - offset) : end - offset].strip()
            compared = normalise(words).text  # not the words: "㈜" has a letter only here
            if any(char.isalnum() for char in compared):
                yield Evidence(
                    segment.id, segment.start, segment.end, segment.channel, words, match
                )

    def _sentence_end(self, end: int) -> int:
        limit = min(len(self._text), end + _MAX_TAIL_CHARS)
        # From the last character on: a quote may include the full stop.
        stop = _SENTENCE_END.search(self._text, max(0, end - 1), limit)
        return stop.end() if stop else limit


def _find_all(text: str, wanted: str) -> Iterator[tuple[int, int]]:
    start = text.find(wanted) if wanted else -1
    while start >= 0:
        yield start, start + len(wanted)
        start = text.find(wanted, start + len(wanted))


def _cuts_number(text: str, start: int, end: int) -> bool:
    """Return whether ``text[start:end]`` starts or ends within a number."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    head = text[start].isdigit() and re.search(r"\d[.,]?$", before)
    tail = text[end - 1].isdigit() and re.match(r"[.,]?\d", after)
    return bool(head or tail)
