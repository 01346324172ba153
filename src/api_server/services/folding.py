"""One way of writing for comparison: Unicode NFKC and lower case, with the way back."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence


def fold(original: str) -> tuple[str, Sequence[int]]:
    """Give ``original`` folded, and for every folded character its index in the original."""
    folded = original.casefold()
    if unicodedata.is_normalized("NFKC", folded) and len(folded) == len(original):
        return folded, range(len(folded))  # nearly every real transcript: no map needed
    chars: list[str] = []
    offsets: list[int] = []
    for start, cluster in _clusters(original):
        new = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).casefold())
        chars.append(new)
        offsets.extend([start] * len(new))
    return "".join(chars), offsets


def joins(char: str) -> bool:
    """Tell whether ``char`` belongs to the character before it: a mark, a jamo of a syllable."""
    return unicodedata.combining(char) > 0 or "\u1160" <= char <= "\u11ff"


def _clusters(text: str) -> Iterator[tuple[int, str]]:
    """Cut ``text`` where composing stops: a base with its marks, a syllable with its jamo."""
    start = 0
    for index in range(1, len(text) + 1):
        if index == len(text) or not joins(text[index]):
            yield start, text[start:index]
            start = index
