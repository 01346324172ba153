"""Who said what: by a channel, where that proves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stt_engine.speech import DecodedAudio, Segment

_PAIR = 2
"""Channels of a call whose speakers may be known by them; of more, nobody knows whose they are."""

_COPIED_SHARE = 0.2
"""Of a segment, in what is the same on both channels: nobody knows whose words it is."""


def with_speakers(
    segments: Sequence[Segment], audio: DecodedAudio, agent_channel: int
) -> tuple[Segment, ...]:
    """Return the segments with their speakers, where the channels show them.

    Two channels show them where each has words of its own: one channel with all the words may hold
    both speakers, and so may what is on both.
    """
    spoken = {one.channel for one in segments}
    if len(audio.files) != _PAIR or len(spoken) != _PAIR:
        return tuple(segments)
    copies = [(float(start), float(end)) for start, end in audio.sound.get("copies", ())]
    return tuple(
        one
        if _is_copied(one, copies)
        else replace(
            one,
            speaker="agent" if one.channel == agent_channel else "customer",
            speaker_source="channel",
        )
        for one in segments
    )


def _is_copied(segment: Segment, copies: Sequence[tuple[float, float]]) -> bool:
    common = sum(
        max(0.0, min(end, segment.end) - max(start, segment.start)) for start, end in copies
    )
    return common > _COPIED_SHARE * (segment.end - segment.start)
