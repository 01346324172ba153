"""How long a recording is by its own header, so that a cut one can be told from a short one."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from stt_engine.errors import AudioTooLong, AudioTruncated, NotAudio
from stt_engine.speech import AudioLimits

_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_DECLARED = {"wav", "w64", "flac", "aiff", "au", "caf", "matroska,webm", "mp3", "tta", _MP4}
"""Formats whose header declares a length, so that a cut file can be told from a short one."""

_UNKNOWN_LENGTH = 0x7FFFF000
"""What sox writes for the length of a stream; FFmpeg writes 0xFFFFFFFF, others in between."""

_MAX_CHUNKS = 1_000
"""Chunks before the samples of a WAV file; recorders write a handful, a hostile file millions."""

_FMT_BYTES = 40
"""The longest ``fmt`` chunk there is; one that says more would have us take gigabytes."""

_TOLERATED_SEC = 0.5
_TOLERATED_SHARE = 0.02


def declared_seconds(
    container: InputContainer, stream: AudioStream, file: BinaryIO
) -> float | None:
    """Give the length that the header declares, where the format has one that is no estimate."""
    name = container.format.name
    if name not in _DECLARED or (name == "mp3" and not _has_frame_count(file)):
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # The container's length is its longest stream's: a picture may go on after the sound.
    alone = len(container.streams) == 1 and container.duration
    return alone / av.time_base if alone else None


def _has_frame_count(file: BinaryIO) -> bool:
    """Tell whether an mp3 has a Xing, Info or VBRI header; without one its length is a guess."""
    place = file.tell()  # FFmpeg reads on from here
    file.seek(0)
    head = file.read(10)
    if head[:3] == b"ID3":
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        file.seek(10 + size)
        head = b""
    head += file.read(4096)
    file.seek(place)
    return any(tag in head for tag in (b"Xing", b"Info", b"VBRI"))


def declared_wav_seconds(file: BinaryIO) -> float | None:
    """Give the length of a RIFF file that is cut; FFmpeg shortens it without a word.

    Raises:
        NotAudio: a file made to be read for ever.
    """
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    byte_rate = 0
    found = None
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        for _ in range(_MAX_CHUNKS):
            chunk = file.read(8)
            if len(chunk) < 8:  # noqa: PLR2004 - a chunk header
                break
            name, length = struct.unpack("<4sI", chunk)
            if name == b"data":
                present = size - file.tell()
                # Whole or streamed: recorders are known to lie about the byte rate.
                cut = byte_rate and 0 <= present < length < _UNKNOWN_LENGTH
                found = length / byte_rate if cut else None
                break
            after = file.tell() + length + length % 2
            if name == b"fmt ":
                body = file.read(min(length, _FMT_BYTES))
                byte_rate = struct.unpack_from("<I", body, 8)[0] if len(body) >= 16 else 0  # noqa: PLR2004
            file.seek(after)
        else:
            raise NotAudio(f"a WAV file with more than {_MAX_CHUNKS} chunks before its samples")
    file.seek(0)
    return found


def _tolerated(declared: float) -> float:
    return max(_TOLERATED_SEC, declared * _TOLERATED_SHARE)


def check_length(declared: float | None, limits: AudioLimits) -> None:
    """Refuse at once what after hours of decoding would be either too long or cut.

    Raises:
        AudioTooLong: it is longer than the limit by its header.
    """
    if declared is not None and declared - _tolerated(declared) > limits.max_duration_sec:
        raise AudioTooLong(
            f"{declared:.0f} s by its header, longer than {limits.max_duration_sec:g} s, "
            "which is the limit"
        )


def check_whole(duration: float, declared: float | None) -> None:
    """Refuse what is shorter than its header says; a length of ``None`` tells nothing.

    Raises:
        AudioTruncated: it is.
    """
    if declared is None:
        return
    missing = declared - duration
    if missing > _tolerated(declared):
        raise AudioTruncated(
            f"the file ends after {duration:.1f} s of the {declared:.1f} s that its header "
            "declares; send the whole recording"
        )
