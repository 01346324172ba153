"""Split a long call into overlapping chunks that fit an LLM's context.

The overlap keeps statements at a boundary whole, together with what they answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from stt_engine.speech import Segment

OVERLAP_CHARS = 400
"""Characters at the end of a chunk that the next one repeats: about five utterances."""


@dataclass(frozen=True, slots=True)
class UtteranceSlice:
    """``text[start:end]`` of the utterance at ``position``."""

    position: int
    start: int
    end: int

    @property
    def chars(self) -> int:
        """Length in characters."""
        return self.end - self.start


def split_into_chunks(texts: Sequence[str], max_chars: int) -> list[tuple[UtteranceSlice, ...]]:
    """Split a call's utterances into chunks of at most ``max_chars`` characters."""
    chunks: list[tuple[UtteranceSlice, ...]] = []
    current: list[UtteranceSlice] = []
    chars = fresh = 0
    for piece in _split_long_utterances(texts, max_chars // 2):
        if fresh and chars + piece.chars > max_chars:
            chunks.append(tuple(current))
            current, fresh = _overlap(current, min(OVERLAP_CHARS, max_chars // 4)), 0
            chars = sum(one.chars for one in current)
        current.append(piece)
        chars += piece.chars
        fresh += 1
    return [*chunks, tuple(current)] if fresh else chunks


def slice_segments(
    segments: Sequence[Segment], slices: Sequence[UtteranceSlice]
) -> tuple[Segment, ...]:
    """Return the segments of a chunk; a slice of a very long one keeps its id and times."""
    return tuple(
        replace(segments[one.position], text=segments[one.position].text[one.start : one.end])
        for one in slices
    )


def _split_long_utterances(texts: Sequence[str], limit: int) -> Iterator[UtteranceSlice]:
    """Yield every utterance, split at spaces if it is longer than ``limit``."""
    for position, text in enumerate(texts):
        start = 0
        while len(text) - start > limit:
            space = text.rfind(" ", start + limit // 2, start + limit)
            end = space + 1 if space >= 0 else start + limit
            yield UtteranceSlice(position, start, end)
            start = end
        yield UtteranceSlice(position, start, len(text))


def _overlap(slices: Sequence[UtteranceSlice], limit: int) -> list[UtteranceSlice]:
    first, chars = len(slices), 0
    while first and chars + slices[first - 1].chars <= limit:
        first -= 1
        chars += slices[first].chars
    return list(slices[first:])
