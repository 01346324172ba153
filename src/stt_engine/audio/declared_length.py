"""How long a recording is by its own header, so that a cut one can be told from a short one."""

from __future__ import annotations

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from stt_engine.audio.parts import NO_LENGTH, Part
from stt_engine.errors import AudioTooLong, AudioTruncated
from stt_engine.speech import AudioLimits

_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_DECLARED = {"aiff", "au", "matroska,webm", "tta", "wv", "ape", _MP4}
"""Formats of which FFmpeg's length is the header's; of others it may be a guess by the bytes."""

_TOLERATED_SEC = 0.5
_TOLERATED_SHARE = 0.02


def declared_seconds(container: InputContainer, stream: AudioStream, part: Part) -> float | None:
    """Return the length that the header declares, where the format has one that is no estimate."""
    if part.declared_sec is not None:
        return part.declared_sec
    if container.format.name not in _DECLARED or NO_LENGTH in part.notes:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # The container's length is its longest stream's: a picture may go on after the sound.
    alone = len(container.streams) == 1 and container.duration
    return alone / av.time_base if alone else None


def estimated_seconds(container: InputContainer, stream: AudioStream) -> float | None:
    """Return the length in seconds as FFmpeg tells it before decoding: good for a forecast."""
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, container.duration / av.time_base) if container.duration else None


def tolerated(declared: float) -> float:
    """Return how many seconds may be missing of a recording that is whole."""
    return max(_TOLERATED_SEC, declared * _TOLERATED_SHARE)


def check_length(declared: float | None, limits: AudioLimits) -> None:
    """Refuse at once what after hours of decoding would be either too long or cut.

    Raises:
        AudioTooLong: it is longer than the limit by its header.
    """
    if declared is not None and declared - tolerated(declared) > limits.max_duration_sec:
        raise AudioTooLong(
            f"{declared:.0f} s by its header, longer than {limits.max_duration_sec:g} s, "
            "which is the limit"
        )


def check_whole(duration: float, declared: float, *, guessed: bool) -> None:
    """Refuse what is shorter than its header says; ``guessed``: by the share of its bytes.

    Raises:
        AudioTruncated: it is.
    """
    if declared - duration <= tolerated(declared):
        return
    if guessed:
        raise AudioTruncated(
            f"only {duration:.1f} s of about {declared:.1f} s are there, by the bytes that the "
            "file's header declares; send the whole recording"
        )
    raise AudioTruncated(
        f"the file ends after {duration:.1f} s of the {declared:.1f} s that its header "
        "declares; send the whole recording"
    )
