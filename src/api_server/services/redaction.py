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
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import accumulate

from api_server.services.folding import fold
from api_server.services.identifiers import Identifier, numbers
from api_server.services.lettered import lettered
from api_server.services.number_forms import STRICT
from api_server.services.spoken_digits import Group, runs
from api_server.services.voices import utterances, voice
from stt_engine.errors import EngineError
from stt_engine.speech import Segment, Word

MASK = "*"
Place = tuple[int, int]
"""The index of a segment, and the offset in its text."""

_MAX_PAUSE_SEC = 20.0  # the other voice may ask a long question between two parts of a number
_MAX_ECHO_SEC = 20.0
_SHORT_ECHO_SEC = 2.0
_SHORT_ECHO_DIGITS = 2
_PREFIX = 3
_ECHO_DIGITS = 4
_MAX_ECHO_DIGITS = 20
_MAX_ENDING = 2  # syllables of a masked group that were left because they are its ending
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
    """An identifier with the places of its characters."""

    identifier: Identifier
    places: frozenset[Place]

    @property
    def is_sure(self) -> bool:
        """True where its form alone says what it is."""
        return self.identifier.sureness >= STRICT


def _round(segments: tuple[Segment, ...]) -> tuple[tuple[Segment, ...], Counter[str]]:
    """Mask once: what stands there, and the repeats of it."""
    whole = _talks(segments, lambda _: None)
    voices = _talks(segments, voice) if len(set(map(voice, segments))) > 1 else []
    found = [one for talk in voices for one in talk.found()]
    # A complete number of one voice is no part of another one of both.
    complete = {place for one in found if one.is_sure for place in one.places}
    of_both = [one for talk in whole for one in talk.found()]
    found += [one for one in of_both if complete.isdisjoint(one.places)]
    places = {place for one in found for place in one.places}
    if places:
        repeats = _Repeats(found, segments)
        places.update([place for talk in whole for place in talk.echoes(repeats, places)])
    hidden: list[set[int]] = [set() for _ in segments]
    for index, offset in places:
        hidden[index].add(offset)
    masked = tuple(map(_mask_segment, segments, hidden))
    return masked, _count(found)


def _count(found: Iterable[_Found]) -> Counter[str]:
    """Count each place once, under its surest label."""
    counts: Counter[str] = Counter()
    seen: set[Place] = set()
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

    def echoes(self, repeats: _Repeats, taken: AbstractSet[Place]) -> Iterator[Place]:
        """Give the places of groups that repeat a part of an identifier soon before or after."""
        for run in runs(self._folded):
            for group in run.groups:
                segment = self._segments[self._place(self._offsets[group.start])[0]]
                end = repeats.end_in(group, segment)
                places = self._places(((group.start, end),) if end else ())
                if taken.isdisjoint(places) or len(places - taken) > _MAX_ENDING:
                    yield from places

    def _place(self, offset: int) -> Place:
        line = bisect_right(self._starts, offset) - 1
        return self._indices[line], offset - self._starts[line]

    def _places(self, spans: Iterable[tuple[int, int]]) -> frozenset[Place]:
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


class _Repeats:
    """What repeats of the identifiers' parts look like, and when they may come."""

    def __init__(self, found: Sequence[_Found], segments: tuple[Segment, ...]) -> None:
        self._times: dict[str, list[tuple[float, float]]] = {}
        for one in found:
            said = [segments[index] for index in {index for index, _ in one.places}]
            first = min(segment.start for segment in said)
            last = max(segment.end for segment in said)
            for part in _repeatable(one.identifier.parts):
                margin = _MAX_ECHO_SEC if len(part) > _SHORT_ECHO_DIGITS else _SHORT_ECHO_SEC
                times = self._times.setdefault(part, [])
                times.append((first - margin, last + margin))

    def end_in(self, group: Group, segment: Segment) -> int:
        """Give where a repeat in ``group`` ends, 0 where it is none."""
        for reading in group.readings:
            for first, last in self._times.get(reading.digits, ()):
                if segment.end >= first and segment.start <= last:
                    return reading.end
        return 0


def _repeatable(parts: Sequence[str]) -> set[str]:
    """Give the parts of an identifier by which a repeat is known: its groups, any four digits."""
    digits = "".join(parts)[:_MAX_ECHO_DIGITS]
    found = {part for part in (*parts, digits[:_PREFIX]) if len(part) >= _SHORT_ECHO_DIGITS}
    for size in range(_ECHO_DIGITS, len(digits) + 1):
        found.update(digits[start : start + size] for start in range(len(digits) - size + 1))
    return found


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
        while text[position : position + 1].isspace():
            position += 1
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
