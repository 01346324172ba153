"""Patterns that are tried only where a letter stands that they can begin with.

A pattern of thirty words is tried thirty times at every letter of a call. ``re`` skips quickly to
the next letter of a class when the expression begins with that class, so each pattern is made to
begin so and to look at the second letter; where both fit, it looks back at itself from there. That
takes half the time of asking at every letter (``benchmarks/rules.py``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\\.|\[[^\]]*\]|(?P<around>\(\?<?[=!])|(?P<group>\((?:\?:)?)|\)|\||"
    r"(?P<times>(?:[?*+]|\{\d*,?\d*\})\??)|.",
    re.DOTALL,
)
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")
_UNREAD = re.compile(r"\(\?(?![:=!]|<[=!])")  # groups with names, flags, conditions
_NULLABLE = ("?", "*", "{0", "{,")
_ANYTHING = ("[^", "\\", ".", "^", "$")

_Letters = frozenset[str] | None
"""What can stand at a place, as parts of a class; ``None``: anything, or it cannot be told."""


@dataclass(frozen=True, slots=True)
class _Start:
    """The first two letters that a part of an expression can have."""

    first: _Letters = frozenset()
    second: _Letters = frozenset()
    empty: bool = True
    """It can be nothing at all."""
    one: bool = False
    """It can be a single letter."""

    def then(self, other: _Start) -> _Start:
        """Give the start of this with ``other`` behind it."""
        first, second = self.first, self.second
        if self.one:
            second = _any_of(second, other.first)
        if self.empty:
            first, second = _any_of(first, other.first), _any_of(second, other.second)
        one = (self.one and other.empty) or (self.empty and other.one)
        return _Start(first, second, self.empty and other.empty, one)

    def or_else(self, other: _Start) -> _Start:
        """Give the start of either."""
        return _Start(
            _any_of(self.first, other.first),
            _any_of(self.second, other.second),
            self.empty or other.empty,
            self.one or other.one,
        )

    def times(self, how_often: str) -> _Start:
        """Give the start of this, repeated."""
        again = self.one and not how_often.startswith("?")
        second = _any_of(self.second, self.first) if again else self.second
        empty = self.empty or how_often.startswith(_NULLABLE)
        return _Start(self.first, second, empty, self.one)


def _any_of(one: _Letters, other: _Letters) -> _Letters:
    return None if one is None or other is None else one | other


class Pattern:
    """A regular expression, ready to be looked for.

    Raises:
        re.error: it cannot be read, or refers back to a group (the numbers are this class's own).
    """

    def __init__(self, source: str) -> None:
        if _BACK_REFERENCE.search(source):
            raise re.error("references to groups are not possible", source)
        first = beginnings(source)
        self._re = re.compile(rf"{first}(?<=(?=({source}))(?s:.))" if first else f"({source})")

    def spans(self, text: str, low: int = 0, high: int = sys.maxsize) -> Iterator[tuple[int, int]]:
        """Give every place in ``text[low:high]``, from left to right, none over another."""
        behind = 0
        for hit in self._re.finditer(text, low, high):
            start, end = hit.span(1)
            if start >= behind:
                yield start, end
                behind = end

    def begins(self, text: str, low: int = 0, high: int = sys.maxsize) -> bool:
        """Tell whether it stands at ``low``."""
        return self._re.match(text, low, high) is not None


def beginnings(source: str) -> str | None:
    """Give an expression for the first letter of whatever ``source`` matches; None: any letter.

    It also looks at the letter behind it, where that can be told.
    """
    if _UNREAD.search(source):
        return None
    start = _choice(_TOKEN.finditer(source))
    if start.empty or start.first is None:
        return None
    behind = "" if start.one or start.second is None else f"(?={_class(start.second)})"
    return f"{_class(start.first)}{behind}"


def _class(letters: frozenset[str]) -> str:
    return f"[{''.join(sorted(letters))}]"


def _choice(tokens: Iterator[re.Match[str]]) -> _Start:
    """Read alternatives up to the end of their group."""
    found: _Start | None = None
    before, last = _Start(), _Start()  # of this alternative: all but its last part, and that
    for token in tokens:
        if token["times"]:
            last = last.times(token[0])
            continue
        before, last = before.then(last), _Start()
        if token[0] == ")":
            break
        if token[0] == "|":
            found, before = before if found is None else found.or_else(before), _Start()
        else:
            last = _part(token, tokens)
    before = before.then(last)
    return before if found is None else found.or_else(before)


def _part(token: re.Match[str], tokens: Iterator[re.Match[str]]) -> _Start:
    """Read one letter, class or group."""
    if token["around"]:
        _choice(tokens)
        return _Start()
    if token["group"]:
        return _choice(tokens)
    if token[0].startswith(_ANYTHING):
        return _Start(None, empty=False, one=True)
    letter = token[0][1:-1] if token[0].startswith("[") else re.escape(token[0])
    return _Start(frozenset([letter]), empty=False, one=True)
