"""What a voice is known by later: made of a recording in which it speaks alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from stt_engine.errors import InvalidRequest
from stt_engine.speech import DecodedAudio
from stt_engine.voice_messages import DiariseResult

LEAST_SEC = 1.5
"""Seconds of speech that it takes."""


@dataclass(frozen=True, slots=True)
class Voiceprint:
    """``embedding`` has 192 numbers; ``seconds`` of speech are behind it, out of ``duration``."""

    embedding: tuple[float, ...] = field(repr=False)
    seconds: float
    duration: float


def print_of(audio: DecodedAudio, found: DiariseResult) -> Voiceprint:
    """Return the voiceprint of what was looked at.

    Raises:
        InvalidRequest: it holds several voices or channels, or too little of one.
    """
    if len(audio.files) != 1:
        raise InvalidRequest(f"it has {len(audio.files)} channels that differ, and not one")
    if (found["voices"] or 0) > 1:
        raise InvalidRequest("more than one voice speaks in it")
    seconds = len(found["starts"]) * found["step_sec"]
    if seconds < LEAST_SEC:
        raise InvalidRequest(f"{seconds:.1f} s of speech are in it; {LEAST_SEC} s are needed")
    return Voiceprint(tuple(found["embedding"]), seconds, audio.duration)
