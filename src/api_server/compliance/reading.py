"""Proof that an LLM read a chunk of a call: it copies marks that were put at chance into it.

A mark is a number in square brackets before a word, such as ``[4821]``; a caller's words have no
square brackets (:mod:`.untrusted`). Where the marks stand and what they say follows from a nonce
that is new for each check. So neither an answer that is always the same nor a model that received
a part of the chunk can give all of them, with the words behind each.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from api_server.compliance.evidence import normalise
from api_server.compliance.untrusted import neutralise

MIN_READ_CHARS = 6
"""Letters and digits that have to be copied from behind a mark, or all that stand near it."""
NEAR_CHARS = 12
"""Characters behind a mark that are near it; a prompt asks for so many."""
MARK_EVERY_CHARS = 1000
"""Characters of a chunk that one mark stands for."""
FEWEST_MARKS, MOST_MARKS = 2, 6
END_PLACES = 3
"""The first mark is at one of so many first places, the last one at one of so many last ones."""

_LONG_LINE_CHARS = 160  # a longer line has places inside, so many characters apart
_WHOLE_WORDS = 3  # letters that a line has to have at least
_MARK = re.compile(r"\[(\d{4})\]")
_GREETING = re.compile(
    r"\W*(?:네|예|아|음|여보세요|안녕|반갑|감사|고맙|수고|들어가|좋은\s?하루|hello|hi\b|good|thank|bye)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A number in ``lines[line]``, before the character at ``offset``."""

    code: str
    line: int
    offset: int


@dataclass(frozen=True, slots=True)
class MarkedText:
    """The lines of a chunk, without the speakers' names, and the marks in them."""

    lines: tuple[str, ...]
    marks: tuple[Mark, ...]

    @classmethod
    def of(cls, texts: Sequence[str], nonce: str) -> MarkedText:
        """Return what is said in a chunk with the marks that ``nonce`` puts into it."""
        lines = tuple(map(neutralise, texts))
        chance = random.Random(nonce)  # noqa: S311 - nobody knows the nonce but who made it
        places = list(_choose(_places(lines), chance))
        codes = chance.sample(range(1000, 10000), len(places))
        marks = (
            Mark(str(code), place.line, place.offset)
            for code, place in zip(codes, sorted(places), strict=True)
        )
        return cls(lines, tuple(marks))

    def render(self) -> Iterator[str]:
        """Yield the lines with their marks."""
        for number, line in enumerate(self.lines):
            text = line
            for mark in reversed(self.marks):
                if mark.line == number:
                    text = f"{text[: mark.offset]}[{mark.code}] {text[mark.offset :]}"
            yield text

    def is_proved_by(self, read: str) -> bool:
        """Return whether ``read`` has every mark in turn, with the words behind it."""
        parts = _MARK.split(read)
        copied = list(zip(parts[1::2], parts[2::2], strict=True))
        if not self.marks or [code for code, _ in copied] != [one.code for one in self.marks]:
            return False
        return all(
            _copies(words, self.lines[mark.line][mark.offset :])
            for mark, (_, words) in zip(self.marks, copied, strict=True)
        )


def without_marks(copied: str) -> str:
    """Return copied words without marks, which are no words of the call."""
    return _MARK.sub(" ", copied)


def _copies(copied: str, words: str) -> bool:
    expected = normalise(words[:NEAR_CHARS]).text[:MIN_READ_CHARS]
    return normalise(copied).text.startswith(expected)


class _Place(NamedTuple):
    """Where a mark can stand: its offset in the chunk, its line, and its offset in the line."""

    at: int
    line: int
    offset: int
    tells: bool
    """What follows is no greeting, which stands in every call."""


def _places(lines: Sequence[str]) -> list[_Place]:
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    return [
        _Place(starts[number] + offset, number, offset, _tells(line[offset:]))
        for number, line in enumerate(lines)
        for offset in _word_starts(line)
        if _letters(line[offset : offset + NEAR_CHARS]) >= _WHOLE_WORDS
    ]


def _word_starts(line: str) -> Iterator[int]:
    """Yield the start of a line and, where it is long, those of words that lie far enough apart."""
    start = 0
    while start < len(line):
        yield start
        start += _LONG_LINE_CHARS
        space = line.find(" ", start, start + _LONG_LINE_CHARS)
        start = space + 1 if space >= 0 else start


def _tells(words: str) -> bool:
    return _letters(words[:NEAR_CHARS]) >= MIN_READ_CHARS and not _GREETING.match(words)


def _letters(words: str) -> int:
    return sum(char.isalnum() for char in normalise(words).text)


def _choose(places: Sequence[_Place], chance: random.Random) -> Iterator[_Place]:
    """Yield one place of each part of the chunk, at chance: before a greeting only if need be."""
    if not places:
        return
    length = places[-1].at + 1
    count = min(MOST_MARKS, max(FEWEST_MARKS, length // MARK_EVERY_CHARS), len(places))
    parts: list[list[_Place]] = [[] for _ in range(count)]
    for place in places:
        parts[place.at * count // length].append(place)
    parts[0], parts[-1] = parts[0][:END_PLACES], parts[-1][-END_PLACES:]
    for part in filter(None, parts):
        yield chance.choice([one for one in part if one.tells] or part)
