"""Hints as Whisper reads them: as the text that was said before."""

from __future__ import annotations

from typing import Any

from stt_engine.hints import Hints

MOST_TOKENS = 200
"""Of the 448 that a decoder has, 224 are for its answer, the rest for what comes before."""


def hint_tokens(tokenizer: Any, hints: Hints) -> list[int]:
    """Return the tokens that stand before a transcript; none where there are no hints.

    Keywords come last, where they count most, and the end of a prompt before them as far as there
    is room.
    """
    if not hints:
        return []
    words: list[int] = []
    for one in hints.keywords:
        more = tokenizer.encode(f"{',' if words else ''} {one}")
        if len(words) + len(more) > MOST_TOKENS:
            break
        words += more
    before = tokenizer.encode(f" {hints.prompt}") if hints.prompt else []
    room = MOST_TOKENS - len(words)
    return [tokenizer.sot_prev, *(before[-room:] if room else []), *words]
