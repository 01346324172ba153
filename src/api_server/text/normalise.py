"""Text in one form for comparison (NFKC, case-folded), each character mapped to the original."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence


def fold(original: str) -> tuple[str, Sequence[int]]:
    """Return ``original`` folded, and for each folded character its index in ``original``."""
    folded = original.casefold()
    if unicodedata.is_normalized("NFKC", folded) and len(folded) == len(original):
        return folded, range(len(folded))  # nearly every real transcript: the identity map
    chars: list[str] = []
    offsets: list[int] = []
    for start, cluster in _clusters(original):
        new = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).casefold())
        chars.append(new)
        offsets.extend([start] * len(new))
    return "".join(chars), offsets


def is_combining(char: str) -> bool:
    """Return whether ``char`` attaches to the one before it: a combining mark, a Hangul jamo."""
    return unicodedata.combining(char) > 0 or "\u1160" <= char <= "\u11ff"


def _clusters(text: str) -> Iterator[tuple[int, str]]:
    """Yield each base character with its combining marks or jamo, and where it starts."""
    start = 0
    for index in range(1, len(text) + 1):
        if index == len(text) or not is_combining(text[index]):
            yield start, text[start:index]
            start = index
