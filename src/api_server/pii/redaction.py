"""Redact personal data: every letter and digit of a recognised entity becomes ``*``.

The length stays, so that offsets in the masked text are offsets in the original, and evidence can
be shown in either. Entities: resident, foreigner, passport and driving licence numbers, telephone,
account and card numbers, e-mail addresses; written or spoken. Then what only words announce: parts
of these numbers, and security codes of cards.

Each speaker's text is searched alone, because the other speaker says ``네`` in between; then the
whole call, because one speaker may finish a number that the other began. Parts of a number that
somebody repeats are masked too. :func:`redact` fails closed: on any error it raises, and returns no
text.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import itemgetter

from api_server.pii.announced import recognise_announced
from api_server.pii.digit_groups import DigitGroup
from api_server.pii.email_and_passport import recognise_emails_and_passports
from api_server.pii.identifiers import PiiMatch, Span, recognise_numbers
from api_server.pii.number_kinds import STRONG
from api_server.pii.spoken_numbers import find_runs
from api_server.text.normalise import fold_visible
from api_server.text.utterances import group_utterances, speaker_key
from stt_engine.errors import EngineError
from stt_engine.speech import Segment, Word

MASK = "*"
Position = tuple[int, int]
"""The index of a segment, and an offset in its text."""

_MAX_PAUSE_SEC = 20.0  # the other speaker may ask a long question between two parts of a number
_MAX_DUPLICATE_SEC = 20.0
_SHORT_DUPLICATE_SEC = 2.0
_SHORT_DUPLICATE_DIGITS = 2
_PREFIX_DIGITS = 3
_DUPLICATE_DIGITS = 4
_MAX_DUPLICATE_DIGITS = 20
_MAX_ENDING = 2  # unmasked syllables that a masked group may have: its grammatical ending
_MAX_ROUNDS = 10
_NEIGHBOURS = 30  # segments: more than one number is ever split into, with all that is said between
_STAR_AS_HYPHEN = re.compile(r"(?<=\d)\*(?=\d)")  # a masked digit never stands alone
_MASKED = frozenset("LNM")  # Unicode's letters, numbers and marks; punctuation and spaces stay


class RedactionFailed(EngineError):
    """The text could not be masked, and must not be passed on."""


@dataclass(frozen=True, slots=True)
class RedactionResult:
    """Masked segments, and how many entities of each type were masked."""

    segments: tuple[Segment, ...]
    counts: Mapping[str, int]


def redact(segments: Sequence[Segment]) -> RedactionResult:
    """Mask the entities in ``segments``; everything but text and words stays as it is.

    Raises:
        RedactionFailed: anything went wrong; no text is returned.
    """
    try:
        return _redact(tuple(segments))
    except RedactionFailed:
        raise
    except Exception as exc:  # noqa: BLE001 - fails closed, whatever the error is
        # Without the cause: its message or its frames may hold the text itself.
        raise RedactionFailed(f"masking failed ({type(exc).__name__})") from None


def _redact(segments: tuple[Segment, ...]) -> RedactionResult:
    """Mask until a round finds nothing more: a masked number can uncover its neighbour.

    Only neighbours: from the second round on, what is far from all that was masked stays unread.
    """
    counts: Counter[str] = Counter()
    current = list(segments)
    windows = [range(len(current))]
    for _ in range(_MAX_ROUNDS):
        changed: list[int] = []
        for window in windows:
            before = tuple(current[window.start : window.stop])
            masked, found = _mask_once(before)
            if masked != before:
                counts.update(found)
                current[window.start : window.stop] = masked
                pairs = zip(window, before, masked, strict=True)
                changed += [index for index, old, new in pairs if old != new]
        if not changed:
            return RedactionResult(tuple(current), dict(counts))
        windows = _around(changed, len(current))
    raise RedactionFailed(f"masking found more after {_MAX_ROUNDS} rounds")


def _around(changed: Sequence[int], total: int) -> list[range]:
    """Return the ranges of segments that are near those that changed."""
    windows: list[range] = []
    for index in changed:
        first, last = max(0, index - _NEIGHBOURS), min(total, index + _NEIGHBOURS + 1)
        if windows and first <= windows[-1].stop:
            windows[-1] = range(windows[-1].start, last)
        else:
            windows.append(range(first, last))
    return windows


@dataclass(frozen=True, slots=True)
class _LocatedMatch:
    """A match with the positions of its characters in the segments."""

    match: PiiMatch
    positions: frozenset[Position]

    @property
    def is_email(self) -> bool:
        """True for an address: what the other speaker asks for may say where it begins."""
        return self.match.entity_type == "email"

    @property
    def is_strong(self) -> bool:
        """True where the format alone identifies it."""
        return self.match.score >= STRONG


def _mask_once(segments: tuple[Segment, ...]) -> tuple[tuple[Segment, ...], Counter[str]]:
    """Mask the entities found in one round, and duplicate mentions of their parts."""
    by_call = _join_texts(segments, lambda _: None)
    several = len(set(map(speaker_key, segments))) > 1
    by_speaker = _join_texts(segments, speaker_key) if several else []
    matches = [match for text in by_speaker for match in text.find_matches()]
    # A complete number of one speaker is not part of a number that both said together.
    complete = {position for match in matches if match.is_strong for position in match.positions}
    shared = [match for text in by_call for match in text.find_matches()]
    matches += [one for one in shared if one.is_email or complete.isdisjoint(one.positions)]
    positions = {position for match in matches for position in match.positions}
    if positions:
        index = _DuplicateIndex(matches, segments)
        positions.update([p for text in by_call for p in text.find_duplicates(index, positions)])
    hidden: list[set[int]] = [set() for _ in segments]
    for number, offset in positions:
        hidden[number].add(offset)
    masked = tuple(map(_mask_segment, segments, hidden))
    return masked, _count_by_type(matches)


def _count_by_type(matches: Iterable[_LocatedMatch]) -> Counter[str]:
    """Count overlapping matches once, as the entity type of the highest score."""
    counts: Counter[str] = Counter()
    seen: set[Position] = set()
    for located in sorted(matches, key=_confidence_order):
        if seen.isdisjoint(located.positions):
            counts[located.match.entity_type] += 1
        seen |= located.positions
    return counts


def _confidence_order(located: _LocatedMatch) -> tuple[float, float]:
    return -located.match.score, -located.match.weight


def _join_texts(
    segments: tuple[Segment, ...], key: Callable[[Segment], Hashable]
) -> list[_JoinedText]:
    groups = group_utterances(segments, _MAX_PAUSE_SEC, key)
    return [_JoinedText(segments, group) for group in groups]


class _JoinedText:
    """Several segments as one folded text, a line each, with a map back to their positions."""

    def __init__(self, segments: tuple[Segment, ...], indices: list[int]) -> None:
        self._segments = segments
        self._indices = indices
        lengths = [len(segments[index].text) + 1 for index in indices]
        self._starts = [0, *accumulate(lengths[:-1])]
        self._text = "\n".join(segments[index].text for index in indices)
        folded, self._offsets = fold_visible(self._text)
        self._folded = _STAR_AS_HYPHEN.sub("-", folded)

    def find_matches(self) -> Iterator[_LocatedMatch]:
        """Yield e-mails and passports first: their digits are then no part of another number."""
        found = list(recognise_emails_and_passports(self._folded))
        rest = _hide(self._folded, found)
        runs = list(find_runs(rest))
        numbers = list(recognise_numbers(rest, runs))
        announced = recognise_announced(_hide(rest, numbers), runs)
        for match in (*found, *numbers, *announced):
            yield _LocatedMatch(match, self._positions(match.spans))

    def find_duplicates(
        self, index: _DuplicateIndex, taken: AbstractSet[Position]
    ) -> Iterator[Position]:
        """Yield the positions of groups that repeat part of an entity shortly before or after."""
        for run in find_runs(self._folded):
            for group in run.groups:
                segment = self._segments[self._position(self._offsets[group.start])[0]]
                end = index.find_end(group, segment)
                positions = self._positions(((group.start, end),) if end else ())
                if taken.isdisjoint(positions) or len(positions - taken) > _MAX_ENDING:
                    yield from positions

    def _position(self, offset: int) -> Position:
        line = bisect_right(self._starts, offset) - 1
        return self._indices[line], offset - self._starts[line]

    def _positions(self, spans: Iterable[Span]) -> frozenset[Position]:
        return frozenset(
            self._position(offset)
            for start, end in spans
            for offset in range(self._offsets[start], self._original_end(end))
            if unicodedata.category(self._text[offset])[0] in _MASKED
        )

    def _original_end(self, end: int) -> int:
        """Return the original offset after the folded characters before ``end``."""
        last = self._offsets[end - 1]
        while end < len(self._offsets) and self._offsets[end] == last:
            end += 1
        return self._offsets[end] if end < len(self._offsets) else len(self._text)


def _hide(text: str, matches: Sequence[PiiMatch]) -> str:
    """Return the folded ``text`` with ``matches`` masked."""
    chars = list(text)
    for start, end in [span for match in matches for span in match.spans]:
        chars[start:end] = MASK * (end - start)
    return "".join(chars)


class _DuplicateIndex:
    """The digits by which a repeated part of an entity is known, and when it may be repeated."""

    def __init__(self, matches: Sequence[_LocatedMatch], segments: tuple[Segment, ...]) -> None:
        self._times: dict[str, list[tuple[float, float]]] = {}
        for located in matches:
            spoken = [segments[number] for number in {number for number, _ in located.positions}]
            first = min(segment.start for segment in spoken)
            last = max(segment.end for segment in spoken)
            for digits in _duplicate_keys(located.match.digit_groups):
                long = len(digits) > _SHORT_DUPLICATE_DIGITS
                margin = _MAX_DUPLICATE_SEC if long else _SHORT_DUPLICATE_SEC
                times = self._times.setdefault(digits, [])
                times.append((first - margin, last + margin))
        self._times = {digits: _merged(times) for digits, times in self._times.items()}

    def find_end(self, group: DigitGroup, segment: Segment) -> int:
        """Return where the duplicate in ``group`` ends, 0 where it is none."""
        for reading in group.readings:
            times = self._times.get(reading.digits, ())
            at = bisect_right(times, segment.end, key=itemgetter(0)) - 1
            if at >= 0 and segment.start <= times[at][1]:
                return reading.end
        return 0


def _merged(times: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the same times in order, those that overlap as one."""
    merged: list[tuple[float, float]] = []
    for first, last in sorted(times):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def _duplicate_keys(digit_groups: Sequence[str]) -> set[str]:
    """Return the digits that count as a repeat: a group, the prefix, any four or more in a row."""
    digits = "".join(digit_groups)[:_MAX_DUPLICATE_DIGITS]
    parts = (*digit_groups, digits[:_PREFIX_DIGITS])
    keys = {part for part in parts if len(part) >= _SHORT_DUPLICATE_DIGITS}
    for size in range(_DUPLICATE_DIGITS, len(digits) + 1):
        keys.update(digits[start : start + size] for start in range(len(digits) - size + 1))
    return keys


def _mask_segment(segment: Segment, hidden: set[int]) -> Segment:
    """Mask a segment's text, and its words where they can be aligned with the text."""
    aligned = _align_words(segment)
    if aligned is None and (hidden or _words_hold_pii(segment)):
        return replace(segment, text=_mask(segment.text, hidden, 0), words=None)
    if not hidden:
        return segment
    words = segment.words and tuple(
        replace(word, word=_mask(word.word, hidden, start)) for word, start in aligned or ()
    )
    return replace(segment, text=_mask(segment.text, hidden, 0), words=words)


def _align_words(segment: Segment) -> list[tuple[Word, int]] | None:
    """Return each word with its offset in the text, ``None`` where words and text differ."""
    aligned: list[tuple[Word, int]] = []
    text, position = segment.text, 0
    for word in segment.words or ():
        stripped = word.word.strip()
        while text[position : position + 1].isspace():
            position += 1
        if not text.startswith(stripped, position):
            return None
        aligned.append((word, position - word.word.index(stripped)))
        position += len(stripped)
    return aligned if not segment.words or not text[position:].strip() else None


def _words_hold_pii(segment: Segment) -> bool:
    """Return whether words that differ from the text hold an entity themselves."""
    text = "".join(word.word for word in segment.words or ())
    return any(_JoinedText((replace(segment, text=text),), [0]).find_matches())


def _mask(text: str, hidden: set[int], start: int) -> str:
    """Return ``text``, which starts at the offset ``start``, with the ``hidden`` offsets masked."""
    return "".join(
        MASK if start + index in hidden and not char.isspace() else char
        for index, char in enumerate(text)
    )
