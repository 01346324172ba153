"""Patterns that are tried only where a letter stands that they can begin with.

A pattern of thirty words is tried thirty times at every letter of a call. ``re`` skips quickly to
the next letter of a class when the expression begins with that class, so each pattern is made to
begin so, and looks back at itself from there: half the time that asking at every letter takes
(``benchmarks/rules.py``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

_TOKEN = re.compile(
    r"\\.|\[[^\]]*\]|(?P<around>\(\?<?[=!])|(?P<group>\((?:\?:)?)|\)|\||"
    r"(?P<times>(?:[?*+]|\{\d*,?\d*\})\??)|.",
    re.DOTALL,
)
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")
_NULLABLE = ("?", "*", "{0", "{,")
_ANYTHING = ("[^", "\\", ".", "^", "$")


_Part = tuple[list[str], bool]
"""What a part can begin with, and whether it can be nothing at all."""


class _AnythingError(Exception):
    """The pattern can begin with anything, or this module cannot tell."""


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
    """Give the characters that a regular expression can begin with, as a class; None: any."""
    tokens = _TOKEN.finditer(source)
    try:
        chars, nullable = _choice(tokens)
    except _AnythingError:
        return None
    return None if nullable else f"[{''.join(dict.fromkeys(chars))}]"


def _choice(tokens: Iterator[re.Match[str]]) -> _Part:
    """Read alternatives up to the end of their group."""
    chars: list[str] = []
    some_nullable = False
    nullable = True  # all that was read of this alternative
    last: _Part = ([], True)
    for token in tokens:
        if token["times"]:
            last = (last[0], last[1] or token[0].startswith(_NULLABLE))
            continue
        chars += last[0] if nullable else []
        nullable = nullable and last[1]
        last = ([], True)
        if token[0] == ")":
            return chars, some_nullable or nullable
        if token[0] == "|":
            some_nullable, nullable = some_nullable or nullable, True
        else:
            last = _part(token, tokens, first=nullable)
    chars += last[0] if nullable else []
    return chars, some_nullable or (nullable and last[1])


def _part(token: re.Match[str], tokens: Iterator[re.Match[str]], *, first: bool) -> _Part:
    """Read one letter, class or group."""
    if token["around"]:
        _choice(tokens)
        return [], True
    if token["group"]:
        return _choice(tokens)
    if not token[0].startswith(_ANYTHING):
        return [token[0][1:-1] if token[0].startswith("[") else token[0]], False
    if first:
        raise _AnythingError
    return [], False
