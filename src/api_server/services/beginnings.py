"""Which letters a pattern can begin with.

A pattern of thirty words is tried thirty times at every letter of a call; asked first whether the
letter begins any of them, it is three times as fast (``benchmarks/rules.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"\\.|\[[^\]]*\]|(?P<around>\(\?<?[=!])|(?P<group>\((?:\?:)?)|\)|\||"
    r"(?P<times>(?:[?*+]|\{\d*,?\d*\})\??)|.",
    re.DOTALL,
)
_NULLABLE = ("?", "*", "{0", "{,")
_ANYTHING = ("[^", "\\", ".", "^", "$")


_Part = tuple[list[str], bool]
"""What a part can begin with, and whether it can be nothing at all."""


class _AnythingError(Exception):
    """The pattern can begin with anything, or this module cannot tell."""


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
