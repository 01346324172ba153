"""A long call in chunks that fit an agent's context; each begins with the end of the one before.

The overlap keeps a statement whole that a cut would divide, and the words that it answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from stt_engine.speech import Segment

OVERLAP_CHARS = 400
"""Characters of a chunk's end that the next one begins with: some five utterances."""


@dataclass(frozen=True, slots=True)
class Slice:
    """``text[start:end]`` of the utterance at ``position``."""

    position: int
    start: int
    end: int

    @property
    def chars(self) -> int:
        """Length in characters."""
        return self.end - self.start


def chunked(texts: Sequence[str], max_chars: int) -> list[tuple[Slice, ...]]:
    """Cut a call's utterances into chunks of at most ``max_chars`` characters."""
    done: list[tuple[Slice, ...]] = []
    here: list[Slice] = []
    fresh = 0
    for piece in _pieces(texts, max_chars // 2):
        if fresh and sum(one.chars for one in here) + piece.chars > max_chars:
            done.append(tuple(here))
            here, fresh = _tail(here, min(OVERLAP_CHARS, max_chars // 4)), 0
        here.append(piece)
        fresh += 1
    return [*done, tuple(here)] if fresh else done


def cut(segments: Sequence[Segment], slices: Sequence[Slice]) -> tuple[Segment, ...]:
    """Give the segments of a chunk; a part of a very long one keeps its id and times."""
    return tuple(
        replace(segments[one.position], text=segments[one.position].text[one.start : one.end])
        for one in slices
    )


def _pieces(texts: Sequence[str], limit: int) -> Iterator[Slice]:
    """Give every utterance, one that is too long in several pieces that end at a space."""
    for position, text in enumerate(texts):
        start = 0
        while len(text) - start > limit:
            space = text.rfind(" ", start + limit // 2, start + limit)
            end = space + 1 if space >= 0 else start + limit
            yield Slice(position, start, end)
            start = end
        yield Slice(position, start, len(text))


def _tail(slices: Sequence[Slice], limit: int) -> list[Slice]:
    kept: list[Slice] = []
    for one in reversed(slices):
        if sum(each.chars for each in kept) + one.chars > limit:
            break
        kept.insert(0, one)
    return kept
