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


def _choice(tokens: Iterator[re.Match[str]]) -> tuple[list[str], bool]:
    """Read alternatives up to the end of their group."""
    chars: list[str] = []
    some_nullable = False
    nullable = True  # all that was read of this alternative
    last: tuple[list[str], bool] = ([], True)
    for token in tokens:
        text = token[0]
        if token["times"]:
            last = (last[0], last[1] or text.startswith(_NULLABLE))
            continue
        if nullable:
            chars += last[0]
        nullable = nullable and last[1]
        last = ([], True)
        if text == ")":
            return chars, some_nullable or nullable
        if text == "|":
            some_nullable, nullable = some_nullable or nullable, True
        elif token["around"]:
            _choice(tokens)
        elif token["group"]:
            last = _choice(tokens)
        elif text.startswith(_ANYTHING):
            if nullable:
                raise _AnythingError
            last = ([], False)
        else:
            last = ([text[1:-1] if text.startswith("[") else text], False)
    if nullable:
        chars += last[0]
    return chars, some_nullable or (nullable and last[1])
