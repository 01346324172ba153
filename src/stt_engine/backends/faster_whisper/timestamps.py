"""What a decoder's tokens say: parts of text with their times."""

from __future__ import annotations

from collections.abc import Sequence

TIME_STEP_SEC = 0.02
"""What one timestamp token is apart from the next."""

Part = tuple[float, float, list[int]]


def timed_parts(tokens: Sequence[int], first_time: int, end: int, seconds: float) -> list[Part]:
    """Return ``(start, end, text tokens)`` of each part, in seconds from the start of the chunk.

    ``first_time`` is the token of 0.00 s; those from ``end`` up to it mean no text. A last part
    whose end the decoder did not give ends with the chunk (``seconds``): nothing follows it here.
    """
    parts: list[Part] = []
    start, words = 0.0, list[int]()
    for token in tokens:
        if token >= first_time:
            time = (token - first_time) * TIME_STEP_SEC
            if words:
                parts.append((start, time, words))
            start, words = time, []
        elif token < end:
            words.append(token)
    if words:
        parts.append((start, max(start, seconds), words))
    return parts
