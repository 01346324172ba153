"""Text that repeats itself: what a decoder says when it has lost the sound."""

from __future__ import annotations

import zlib

MAX_COMPRESSION_RATIO = 2.4
"""Text that zlib shrinks more than this repeats itself (openai-whisper's own threshold)."""


def compression_ratio(text: str) -> float:
    """Bytes of ``text`` over its bytes after zlib; high means repetition."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))


def is_loop(text: str) -> bool:
    """Tell whether ``text`` repeats itself too much to have been said."""
    return compression_ratio(text) > MAX_COMPRESSION_RATIO
