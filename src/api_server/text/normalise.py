"""Text in one form for comparison (NFKC, case-folded), each character mapped to the original."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence


def fold(original: str) -> tuple[str, Sequence[int]]:
    """Return ``original`` folded, and for each folded character its index in ``original``."""
    folded = original.casefold()
    if _UNUSUAL.search(folded) is None and len(folded) == len(original):
        return folded, range(len(folded))  # nearly every real transcript: the identity map
    as_it_is = unicodedata.is_normalized("NFKC", folded) and len(folded) == len(original)
    if as_it_is and not any(map(is_combining, set(folded))):
        return folded, range(len(folded))
    chars: list[str] = []
    offsets: list[int] = []
    done = 0
    for unusual in _UNUSUAL.finditer(original):
        start = unusual.start()
        start -= start > done and is_combining(original[start])
        chars.append(original[done:start].lower())
        offsets.extend(range(done, start))
        _fold_clusters(original, start, unusual.end(), chars, offsets)
        done = unusual.end()
    chars.append(original[done:].lower())
    offsets.extend(range(done, len(original)))
    return "".join(chars), offsets


def _fold_clusters(
    original: str, start: int, end: int, chars: list[str], offsets: list[int]
) -> None:
    for at, cluster in _clusters(original[start:end]):
        new = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).casefold())
        chars.append(new)
        offsets.extend([start + at] * len(new))


_UNUSUAL = re.compile(r"[^\x00-\x7f가-힣]+")  # what folding may change but for its case
_OTHER_DIGIT = re.compile(r"[^\D0-9]")
# Marks that NFKC leaves, and characters that only steer how others are shown.
_INVISIBLE = re.compile(
    "[\u00ad\u0300-\u036f\u0483-\u0489\u061c\u1ab0-\u1aff\u1dc0-\u1dff\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u20d0-\u20ff\u3099\u309a\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\U000e0000-\U000e01ef]"
)


def fold_visible(original: str) -> tuple[str, Sequence[int]]:
    """Return the same as :func:`fold`, in ASCII digits, without what is not seen between them."""
    folded, offsets = fold(original)
    folded = _OTHER_DIGIT.sub(lambda digit: str(int(digit[0])), folded)
    if not _INVISIBLE.search(folded):
        return folded, offsets
    kept = [index for index, char in enumerate(folded) if not _INVISIBLE.match(char)]
    return "".join([folded[index] for index in kept]), [offsets[index] for index in kept]


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
