"""Personal data out of a transcript: each character of an identifier becomes ``*``.

Masking keeps the length: offset i of the masked text is offset i of the original, so that evidence
lines up by construction. What is masked: the numbers of residents, foreigners, passports and
driving licences, telephone, account and card numbers, and e-mail addresses, written or spoken.

A number is looked for in the words of one voice, because the other one says ``네`` in between, and
in the call as a whole, because one voice may finish what the other began. The other voice's repeats
of its parts are masked with it. :func:`redact` fails closed: it raises, and no text comes out.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from api_server.services.folding import fold
from api_server.services.identifiers import Identifier, numbers
from api_server.services.lettered import lettered
from api_server.services.spoken_digits import Group, runs
from api_server.services.voices import utterances, voice
from stt_engine.errors import EngineError
from stt_engine.speech import Segment, Word

MASK = "*"

_MAX_PAUSE_SEC = 20.0  # the other voice may ask a long question between two parts of a number
_MAX_ECHO_SEC = 20.0
_MIN_ECHO_DIGITS = 3
_MAX_ROUNDS = 10
_MASKED = frozenset("LNM")  # Unicode's letters, numbers and marks; signs and spaces stay


class RedactionFailed(EngineError):
    """The text could not be masked, and must not be passed on."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """Masked segments, and how many identifiers of each label were masked."""

    segments: tuple[Segment, ...]
    counts: Mapping[str, int]


def redact(segments: Sequence[Segment]) -> Redacted:
    """Mask the identifiers in ``segments``; everything but text and words stays as it is.

    Raises:
        RedactionFailed: anything went wrong; no text was let through.
    """
    try:
        return _redact(tuple(segments))
    except RedactionFailed:
        raise
    except Exception as exc:  # noqa: BLE001 - fails closed: no fault of any kind lets text through
        # Without the cause: its message or its frames may hold the very text.
        raise RedactionFailed(f"masking failed ({type(exc).__name__})") from None


def _redact(segments: tuple[Segment, ...]) -> Redacted:
    counts: Counter[str] = Counter()
    for _ in range(_MAX_ROUNDS):
        masked, found = _round(segments)
        if masked == segments:
            return Redacted(segments, dict(counts))
        counts.update(found)
        segments = masked
    raise RedactionFailed(f"masking found more after {_MAX_ROUNDS} rounds")


@dataclass(frozen=True, slots=True)
class _Found:
    """An identifier as places of segments: (index of the segment, offset in its text)."""

    identifier: Identifier
    places: frozenset[tuple[int, int]]


def _round(segments: tuple[Segment, ...]) -> tuple[tuple[Segment, ...], Counter[str]]:
    """Mask once: what stands there, and the repeats of it."""
    whole = _talks(segments, lambda _: None)
    found = [one for talk in (*_talks(segments, voice), *whole) for one in talk.found()]
    places = {place for one in found for place in one.places}
    for talk in whole:
        places.update(talk.echoes(found))
    hidden: list[set[int]] = [set() for _ in segments]
    for index, offset in places:
        hidden[index].add(offset)
    masked = tuple(map(_mask_segment, segments, hidden))
    return masked, _count(found)


def _count(found: Iterable[_Found]) -> Counter[str]:
    """Count each place once, under its surest label."""
    counts: Counter[str] = Counter()
    seen: set[tuple[int, int]] = set()
    for one in sorted(found, key=_doubt):
        if seen.isdisjoint(one.places):
            counts[one.identifier.label] += 1
        seen |= one.places
    return counts


def _doubt(one: _Found) -> tuple[float, float]:
    return -one.identifier.sureness, -one.identifier.weight


def _talks(segments: tuple[Segment, ...], voice_of: Callable[[Segment], Hashable]) -> list[_Talk]:
    return [_Talk(segments, group) for group in utterances(segments, _MAX_PAUSE_SEC, voice_of)]


class _Talk:
    """Some segments as one folded text, a line each, with the way back."""

    def __init__(self, segments: tuple[Segment, ...], indices: list[int]) -> None:
        self._segments = segments
        self._indices = indices
        lengths = [len(segments[index].text) + 1 for index in indices]
        self._starts = [0, *accumulate(lengths[:-1])]
        self._text = "\n".join(segments[index].text for index in indices)
        self._folded, self._offsets = fold(self._text)

    def found(self) -> Iterator[_Found]:
        """Find identifiers: those with letters first, so that their digits are nobody else's."""
        rest = list(self._folded)
        for one in lettered(self._folded):
            yield _Found(one, self._places(one.spans))
            for start, end in one.spans:
                rest[start:end] = MASK * (end - start)
        for one in numbers("".join(rest)):
            yield _Found(one, self._places(one.spans))

    def echoes(self, found: list[_Found]) -> Iterator[tuple[int, int]]:
        """Give the places of groups that repeat a part of an identifier soon before or after."""
        said = [_Echo(one, self._segments) for one in found if one.identifier.parts]
        for run in runs(self._folded) if said else ():
            for group in run.groups:
                span = _echoed(group, [one for one in said if one.near(self._at(group.start))])
                places = self._places((span,) if span else ())
                if not any(places & one.places for one in found):
                    yield from places

    def _at(self, position: int) -> Segment:
        return self._segments[self._place(self._offsets[position])[0]]

    def _place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset) - 1
        return self._indices[line], offset - self._starts[line]

    def _places(self, spans: Iterable[tuple[int, int]]) -> frozenset[tuple[int, int]]:
        return frozenset(
            self._place(offset)
            for start, end in spans
            for offset in range(self._offsets[start], self._after(end))
            if unicodedata.category(self._text[offset])[0] in _MASKED
        )

    def _after(self, end: int) -> int:
        """Give the original offset behind the folded characters before ``end``."""
        last = self._offsets[end - 1]
        while end < len(self._offsets) and self._offsets[end] == last:
            end += 1
        return self._offsets[end] if end < len(self._offsets) else len(self._text)


class _Echo:
    """What a repeat of an identifier's parts looks like, and when it may come."""

    def __init__(self, found: _Found, segments: tuple[Segment, ...]) -> None:
        self._parts = set(found.identifier.parts)
        self._digits = "".join(found.identifier.parts)
        times = [segments[index] for index in {index for index, _ in found.places}]
        self._start = min(segment.start for segment in times) - _MAX_ECHO_SEC
        self._end = max(segment.end for segment in times) + _MAX_ECHO_SEC

    def near(self, segment: Segment) -> bool:
        return segment.end >= self._start and segment.start <= self._end

    def repeats(self, digits: str) -> bool:
        return digits in self._parts or (len(digits) > _MIN_ECHO_DIGITS and digits in self._digits)


def _echoed(group: Group, said: Sequence[_Echo]) -> tuple[int, int] | None:
    for reading in group.readings:
        repeated = any(one.repeats(reading.digits) for one in said)
        if len(reading.digits) >= _MIN_ECHO_DIGITS and repeated:
            return group.start, reading.end
    return None


def _mask_segment(segment: Segment, hidden: set[int]) -> Segment:
    """Mask a segment's text, and its words where each of them has its certain place."""
    placed = _place_words(segment)
    if placed is None and (hidden or _has_any(segment)):
        return replace(segment, text=_mask(segment.text, hidden, 0), words=None)
    if not hidden:
        return segment
    words = segment.words and tuple(
        replace(word, word=_mask(word.word, hidden, start)) for word, start in placed or ()
    )
    return replace(segment, text=_mask(segment.text, hidden, 0), words=words)


def _place_words(segment: Segment) -> list[tuple[Word, int]] | None:
    """Give each word with the offset of its first character in the text, ``None`` in doubt."""
    placed: list[tuple[Word, int]] = []
    text, position = segment.text, 0
    for word in segment.words or ():
        said = word.word.strip()
        position += len(text[position:]) - len(text[position:].lstrip())
        if not text.startswith(said, position):
            return None
        placed.append((word, position - word.word.index(said)))
        position += len(said)
    return placed if not segment.words or not text[position:].strip() else None


def _has_any(segment: Segment) -> bool:
    """Tell whether words that are not those of the text have something to mask themselves."""
    text = "".join(word.word for word in segment.words or ())
    return any(_Talk((replace(segment, text=text),), [0]).found())


def _mask(text: str, hidden: set[int], start: int) -> str:
    """Mask what is hidden in ``text``, whose first character has the offset ``start``."""
    return "".join(
        MASK if start + index in hidden and not char.isspace() else char
        for index, char in enumerate(text)
    )
