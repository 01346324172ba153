"""A transcript as cues: what a reader sees at once, in lines that fit and at times of its own.

A cue holds at most two lines of :data:`LINE_CELLS` cells; a Korean character takes two. It stays
as long as it takes to read, where the next one leaves the time. Nothing that was said is left out:
what is spoken faster than it can be read is shown for as long as there is.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise, zip_longest

from stt_engine.speech import Segment, Transcript

LINE_CELLS = 42
"""Widest line, in cells of a fixed-width screen."""

LINES = 2
"""Lines that are shown at once."""

CELLS_PER_SEC = 20.0
"""How fast people read: ten Korean characters a second."""

SHORTEST_SEC = 0.7
"""Shortest time that a cue is shown: below that an eye misses it."""

_NAMES: Mapping[str, Mapping[str, str]] = {
    "ko": {"agent": "상담원", "customer": "고객", "voice": "화자"},
    "": {"agent": "Agent", "customer": "Customer", "voice": "Speaker"},
}
_SENTENCE_ENDS = frozenset(".?!。？！…")
_VOWELS_AND_FINALS = range(0x1160, 0x1200)
"""Letters of decomposed Hangul that stand on the cells of the syllable's first letter."""


@dataclass(frozen=True, slots=True)
class Cue:
    """``lines`` are shown from ``start`` to ``end``, in seconds; ``speaker`` is a name to read.

    ``opens``: it begins what that speaker says.
    """

    start: float
    end: float
    lines: tuple[str, ...]
    speaker: str | None = None
    opens: bool = True

    @property
    def text(self) -> str:
        """The lines as one."""
        return " ".join(self.lines)


@dataclass(frozen=True, slots=True)
class _Token:
    """What is never broken over two lines."""

    text: str
    start: float
    end: float


def cells(text: str) -> int:
    """Return how many cells of a screen ``text`` takes."""
    return sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    if ord(character) in _VOWELS_AND_FINALS:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def name_of(speaker: str | None, language: str) -> str | None:
    """Return what a reader of ``language`` calls a speaker; ``None`` where nobody knows who."""
    if speaker is None:
        return None
    return _NAMES.get(language, _NAMES[""]).get(speaker, plain(speaker))


def speakers_of(transcript: Transcript) -> list[str | None]:
    """Return the speaker of each segment as a name to read.

    Where two voices were told apart that have no roles, they are numbered from 1.
    """
    segments = transcript.segments
    several = len({(one.channel, one.voice) for one in segments if one.voice is not None}) > 1
    word = _NAMES.get(transcript.language, _NAMES[""])["voice"]
    return [
        f"{word} {one.voice + 1}"
        if several and one.speaker is None and one.voice is not None
        else name_of(one.speaker, transcript.language)
        for one in segments
    ]


def plain(text: str) -> str:
    """Return ``text`` on one line, without control characters."""
    shown = (" " if c.isspace() else c for c in text)
    return " ".join("".join(c for c in shown if unicodedata.category(c) != "Cc").split())


def cues(transcript: Transcript, *, labelled: bool = False) -> tuple[Cue, ...]:
    """Return the cues of a transcript, in their order, none beginning before another has ended.

    With ``labelled`` the speaker's name stands before the words, and counts as part of the line.
    """
    named = zip(transcript.segments, speakers_of(transcript), strict=True)
    in_order = sorted(named, key=lambda one: (one[0].start, one[0].channel, one[0].id))
    found = [cue for one, speaker in in_order for cue in _cues_of(one, speaker, labelled)]
    return tuple(_one_after_another(found))


def _cues_of(segment: Segment, speaker: str | None, labelled: bool) -> Iterator[Cue]:  # noqa: FBT001
    tokens = list(_tokens(segment))
    if tokens and speaker and labelled:
        label = _Token(f"{speaker}:", tokens[0].start, tokens[0].start)
        tokens = [*_cut(label, [(label.start, label.start)] * len(label.text)), *tokens]
    for number, block in enumerate(_blocks(tokens)):
        yield Cue(block[0].start, block[-1].end, _balanced(block), speaker, opens=number == 0)


def _tokens(segment: Segment) -> Iterator[_Token]:
    """Yield the words of a segment with their times; one that is wider than a line in pieces."""
    text = plain(segment.text)
    times = iter(_times(segment, text.replace(" ", "")))
    for word in text.split():
        timed = [next(times) for _ in word]
        yield from _cut(_Token(word, timed[0][0], timed[-1][1]), timed)


def _times(segment: Segment, letters: str) -> list[tuple[float, float]]:
    """Return from when to when each letter is said: as its word is, else by its share of cells."""
    words = [(plain(one.word).replace(" ", ""), one.start, one.end) for one in segment.words or ()]
    if "".join(word for word, _, _ in words) == letters:
        return [(start, end) for word, start, end in words for _ in word]
    per_cell = (segment.end - segment.start) / max(1, cells(letters))
    behind = accumulate(map(_cells_of, letters), initial=0)
    at = [round(segment.start + per_cell * one, 3) for one in behind]
    return list(pairwise(at))


def _cut(token: _Token, times: Sequence[tuple[float, float]]) -> Iterator[_Token]:
    """Yield ``token``, or pieces of it that fit into a line; ``times`` are those of its letters."""
    begin, width = 0, 0
    for at, letter in enumerate(token.text):
        width += _cells_of(letter)
        if width > LINE_CELLS:
            yield _Token(token.text[begin:at], times[begin][0], times[at - 1][1])
            begin, width = at, _cells_of(letter)
    yield _Token(token.text[begin:], times[begin][0], times[-1][1])


def _blocks(tokens: Sequence[_Token]) -> Iterator[Sequence[_Token]]:
    """Yield what is shown at once: as much as fits, and rather up to the end of a sentence."""
    rest = tokens
    while rest:
        count = _fitting(rest)
        if count < len(rest):
            ends = [n for n in range(1, count + 1) if rest[n - 1].text[-1] in _SENTENCE_ENDS]
            if ends and cells(_line(rest[: ends[-1]])) > LINE_CELLS:
                count = ends[-1]
        yield rest[:count]
        rest = rest[count:]


def _fitting(tokens: Sequence[_Token]) -> int:
    """Return how many tokens fit into the lines of a cue."""
    lines, width = 1, 0
    for count, token in enumerate(tokens):
        wide = cells(token.text)
        if width and width + 1 + wide > LINE_CELLS:
            lines, width = lines + 1, wide
        else:
            width += wide + bool(width)
        if lines > LINES:
            return count
    return len(tokens)


def _balanced(block: Sequence[_Token]) -> tuple[str, ...]:
    """Return the lines of a cue: one, or two that differ in length as little as can be."""
    whole = _line(block)
    if cells(whole) <= LINE_CELLS:
        return (whole,)
    splits = [(_line(block[:n]), _line(block[n:])) for n in range(1, len(block))]
    return min(splits, key=lambda two: _badness(*map(cells, two)))


def _badness(first: int, second: int) -> float:
    return math.inf if max(first, second) > LINE_CELLS else abs(first - second)


def _line(tokens: Iterable[_Token]) -> str:
    return " ".join(one.text for one in tokens)


def _one_after_another(found: Sequence[Cue]) -> Iterator[Cue]:
    """Yield the cues with times that do not overlap; where voices do, the later one waits."""
    free = 0.0
    for cue, following in zip_longest(found, found[1:]):
        start = max(cue.start, free)
        wanted = max(cue.end, start + _reading_sec(cue))
        latest = max(following.start, start + SHORTEST_SEC) if following else wanted
        free = min(wanted, latest)
        yield replace(cue, start=start, end=free)


def _reading_sec(cue: Cue) -> float:
    return max(SHORTEST_SEC, cells(cue.text) / CELLS_PER_SEC)
