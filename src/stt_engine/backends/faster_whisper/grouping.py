"""Which chunks are decoded together: of like length, and as much work for every worker."""

from __future__ import annotations

import math
from collections.abc import Sequence

LARGEST = 12
"""Chunks in a group. A long call on a CPU takes 7 % less with 12 than with 8 (Whisper base), and
with 16 another 2 to 4 % less, for over a hundred MiB."""

_HALVINGS = 24


def groups_of(
    seconds: Sequence[float], workers: int, most_sec: float, padding_sec: float = 0.0
) -> list[list[int]]:
    """Return groups of indices, the dearest first; ``most_sec`` bounds the sound of one group.

    That is, for each chunk, as much as for the longest, and ``padding_sec``.

    All chunks of a group cost as much as its longest, so neighbours in length go together. There
    are as many groups as workers where the bounds allow it, and the dearest one is as cheap as can
    be.
    """
    order = sorted(range(len(seconds)), key=lambda at: -seconds[at])
    longest_first = [seconds[at] for at in order]
    sizes = _bounded(longest_first, float("inf"), most_sec, padding_sec)
    workers = (
        math.ceil(len(sizes) / workers) * workers
    )  # one group more would leave the others idle
    low, high = 0.0, _cost(longest_first)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = _bounded(longest_first, middle, most_sec, padding_sec)
        if len(found) <= workers:
            sizes, high = found, middle
        else:
            low = middle
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    groups = [order[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    return sorted(groups, key=lambda group: -_cost([seconds[at] for at in group]))


def _bounded(
    longest_first: list[float], most_cost: float, most_sec: float, padding_sec: float
) -> list[int]:
    """Cut greedily into groups within the bounds (one chunk is always within); their sizes."""
    sizes: list[int] = []
    start = 0
    for at in range(len(longest_first)):
        group = longest_first[start : at + 1]
        fits = (
            len(group) <= LARGEST
            and len(group) * (group[0] + padding_sec) <= most_sec
            and _cost(group) <= most_cost
        )
        if sizes and fits:
            sizes[-1] += 1
        else:
            sizes.append(1)
            start = at
    return sizes


def _cost(longest_first: list[float]) -> float:
    """Milliseconds, roughly: a step of the decoder costs something for the group and each chunk.

    Whisper base, int8, beam 5, one core: 20 ms a second of the longest chunk; for each chunk 14
    ms a second of that too, 7 ms a second of its own to encode it, and 45 ms for its silence.
    """
    length = longest_first[0] if longest_first else 0.0
    encoding = 7 * sum(longest_first) + 45 * len(longest_first)
    return (20 + 14 * len(longest_first)) * length + encoding
