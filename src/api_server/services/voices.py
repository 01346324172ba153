"""Who spoke in one go: recognisers cut sentences and numbers where they like."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from stt_engine.speech import Segment


def voice(segment: Segment) -> Hashable:
    """Give what tells one voice from the other."""
    return segment.channel, segment.speaker


def utterances(
    segments: Sequence[Segment],
    max_pause_sec: float,
    voice_of: Callable[[Segment], Hashable] = voice,
) -> Iterator[list[int]]:
    """Group neighbouring segments of one voice, by index; a pause ends a group."""
    voices: dict[Hashable, list[int]] = {}
    for index, segment in enumerate(segments):
        key = voice_of(segment)
        group = voices.setdefault(key, [])
        if group and segment.start - segments[group[-1]].end > max_pause_sec:
            yield group
            group = voices[key] = []
        group.append(index)
    yield from voices.values()
