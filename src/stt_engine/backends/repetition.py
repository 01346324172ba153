"""Text that repeats itself: what a decoder writes when it has lost the sound."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence

MAX_COMPRESSION_RATIO = 2.4
"""Text that zlib shrinks more than this repeats itself (openai-whisper's own threshold)."""

_LOOPS = re.compile(r"(.{1,5}?)\1{11,}|(.{6,20}?)\2{3,}|(.{21,100}?)\3{4,}")
"""A few letters twelve times on end, a short phrase four times, or a sentence, which a person may
well say again, five times."""

_SHORTEST = 6

_SUSPECTS = re.compile(r"(.{1,5}?)\1{7,}|(.{4,60}?)\2{3,}|(.{30,300}?)\3")
"""What a person may say, but a decoder writes more often: an announcement comes twice, too."""


def compression_ratio(text: str) -> float:
    """Bytes of ``text`` over its bytes after zlib; high means repetition."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))


def is_suspect(text: str) -> bool:
    """Return whether ``text`` repeats itself so much that it should be transcribed again."""
    ratio = compression_ratio(text)
    return ratio > MAX_COMPRESSION_RATIO or _SUSPECTS.search(letters_of(text)) is not None


def looped(texts: Sequence[str]) -> set[int]:
    """Return which of the texts, one after the other, repeat themselves or each other too often.

    A loop has to be seen over all of them: a decoder says a short question ten times in ten parts.
    A text that only shares a few letters with a loop beside it is none.
    """
    found = {at for at, text in enumerate(texts) if compression_ratio(text) > MAX_COMPRESSION_RATIO}
    letters = [letters_of(text) for text in texts]
    owners = [at for at, text in enumerate(letters) for _ in text]
    for run in _LOOPS.finditer("".join(letters)):
        phrase = max(_SHORTEST, len(run[1] or run[2] or run[3]))
        for at, count in Counter(owners[run.start() : run.end()]).items():
            if count >= phrase or 2 * count >= len(letters[at]):
                found.add(at)
    return found


def letters_of(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())
