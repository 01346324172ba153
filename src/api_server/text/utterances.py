"""Segments grouped into utterances: recognisers split sentences and numbers at arbitrary points."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from stt_engine.speech import Segment


def speaker_key(segment: Segment) -> Hashable:
    """Return what identifies the speaker of ``segment``."""
    return segment.channel, segment.speaker


def group_utterances(
    segments: Sequence[Segment],
    max_pause_sec: float,
    key: Callable[[Segment], Hashable] = speaker_key,
) -> Iterator[list[int]]:
    """Yield the indices of consecutive segments with the same ``key``; a long pause ends a group.

    Segments of another speaker in between do not.
    """
    open_groups: dict[Hashable, list[int]] = {}
    for index, segment in enumerate(segments):
        speaker = key(segment)
        group = open_groups.setdefault(speaker, [])
        if group and segment.start - segments[group[-1]].end > max_pause_sec:
            yield group
            group = open_groups[speaker] = []
        group.append(index)
    yield from open_groups.values()
