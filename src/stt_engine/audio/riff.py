"""WAV files by their chunks: RIFF, RIFX, RF64; several in one file, and lengths that lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from stt_engine.audio.chunks import RIFF, RIFX, Sound
from stt_engine.audio.frames import frames_part
from stt_engine.audio.parts import Begins, Bytes, Part, unpack_from
from stt_engine.coverage import Whole
from stt_engine.errors import NotAudio

_UNKNOWN_LENGTH = 0x7FFFF000
"""What sox writes for the length of a stream; FFmpeg writes 0xFFFFFFFF, others in between."""

_MAX_CHUNKS = 1_000
"""Chunks of one part; recorders write a handful, a hostile file millions."""

_FMT_BYTES = 40
"""The longest ``fmt`` chunk there is; one that says more would have us take gigabytes."""

KINDS = {b"RIFF": RIFF, b"RIFX": RIFX, b"RF64": RIFF, b"BW64": RIFF}
_FIRST = {b"fmt ", b"JUNK", b"junk", b"bext", b"ds64", b"LIST", b"iXML", b"fact", b"PAD ", b"FLLR",
          b"cart", b"axml", b"chna", b"id3 ", b"ID3 ", b"cue ", b"minf", b"elm1"}  # fmt: skip
"""Chunks with which a WAV file begins."""

_FRAMED = {0x50: "mp3", 0x55: "mp3", 0x2000: "ac3"}
"""WAV's format to that of bare frames."""

_HEAD = 12
_CHUNK = 8
_MIN_FMT = 16
_PLAIN, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_BIG_ENDIAN = {(1, 16): 3, (1, 24): 4, (1, 32): 5, (3, 32): 6, (3, 64): 7, (6, 8): 27, (7, 8): 1}
"""WAV's format and bits to the code of an AU file, which is big-endian."""


def is_wav(data: Bytes, at: int = 0) -> bool:
    """Return whether a WAV file begins at ``at``."""
    return data[at : at + 4] in KINDS and data[at + 8 : at + 12] == b"WAVE"


def _never(_data: Bytes, _at: int, stop: int) -> int:
    return stop


@dataclass
class _Walk:
    sound: Sound
    fmt: bytes = b""
    fact: bytes = b""
    long_size: int | None = None
    frames: str = ""
    begins: Begins = _never

    def parts(self, end: int) -> Part | None:
        sound, present = self.sound, self.sound.present
        if len(self.fmt) < _MIN_FMT or not sound.ranges:
            return None
        rate, byte_rate = unpack_from(sound.form.length[0] + "II", self.fmt, 4)
        return self._framed(end) or Part(
            "wav",
            (self._head(rate, present), *sound.ranges),
            end,
            sound.whole,
            present_share=sound.share,
            estimate_sec=present / byte_rate if byte_rate else None,
            notes=tuple(sound.notes),
        )

    def _framed(self, end: int) -> Part | None:
        """Return samples that are frames of mp3 or AC-3 as these: nothing tells their times."""
        sound, only = self.sound, self.sound.ranges[0]
        if not self.frames or len(sound.ranges) > 1:
            return None
        found = frames_part(sound.data, only.start, self.frames, self.begins, only.end)
        if found is None:
            return None
        other = found.end < only.end
        cut: Whole = "no" if other or "no" in {sound.whole, found.whole} else sound.whole
        return replace(found, kind="wav", end=found.end if other else end, whole=cut,
                       present_share=sound.share, notes=tuple(sound.notes))  # fmt: skip

    def length(self, said: int) -> int | None:
        """Return a chunk's length; ``None`` where the recorder did not know it."""
        if said == 0xFFFFFFFF and self.long_size is not None:  # noqa: PLR2004 - RF64
            return self.long_size
        return said if 0 < said < _UNKNOWN_LENGTH else None

    def _head(self, rate: int, present: int) -> bytes:
        if self.sound.form is RIFX:
            code, channels, _, _, _, bits = unpack_from(">HHIIHH", self.fmt, 0)
            if code == _EXTENSIBLE and len(self.fmt) >= 26:  # noqa: PLR2004 - its sub-format
                code = unpack_from(">H", self.fmt, 24)[0]
            au = _BIG_ENDIAN.get((code, bits))
            if au:
                return struct.pack(">4sIIIII", b".snd", 24, 0xFFFFFFFF, au, rate, channels)
            if (code, bits) != (_PLAIN, 8):
                raise NotAudio(f"a big-endian WAV file of format {code} with {bits} bits")
            fmt = struct.pack("<HHIIHH", *unpack_from(">HHIIHH", self.fmt, 0))
        else:
            fmt = self.fmt
        body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"\0" * (len(fmt) % 2)
        if self.fact:
            body += b"fact" + struct.pack("<I", len(self.fact)) + self.fact
        length = present if present < _UNKNOWN_LENGTH else 0xFFFFFFFF
        body += b"data" + struct.pack("<I", length)
        return b"RIFF" + struct.pack("<I", min(len(body) + length, 0xFFFFFFFF)) + body


def begins_wav(data: Bytes, at: int) -> bool:
    """Return whether a WAV file begins at ``at``, by its first chunk too."""
    known = data[at + _HEAD : at + _HEAD + 4] in _FIRST or at + _HEAD >= len(data)
    return is_wav(data, at) and known


def wav_part(data: Bytes, at: int, begins: Begins) -> Part | None:
    """Return the WAV file that begins at ``at``; ``None`` where no chunk tells of samples.

    Raises:
        NotAudio: a file made to be read for ever, or a format that nobody writes.
    """
    form = KINDS[data[at : at + 4]]
    riff_end = at + 8 + int(unpack_from(form.length, data, at + 4)[0])
    place, size = at + _HEAD, len(data)
    walk = _Walk(Sound(form, data, riff_end, size, begins))
    for _ in range(_MAX_CHUNKS):
        sounding = bool(walk.sound.ranges)
        if place + _CHUNK > size or (sounding and begins(data, place, place + 1) == place):
            break
        name, length = data[place : place + 4], form.length_at(data, place)
        body = place + _CHUNK
        if name == b"data":
            place = walk.sound.keep(body, walk.length(length))
            continue
        if sounding and not form.is_chunk(data, place, size):
            break
        if not sounding:
            _header(walk, name, data, body, length)
        place = min(body + length + length % 2, size)
    else:
        if not walk.sound.ranges:
            raise NotAudio(f"a WAV file with more than {_MAX_CHUNKS} chunks before its samples")
    return walk.parts(place)


def _header(walk: _Walk, name: bytes, data: Bytes, body: int, length: int) -> None:
    if name == b"fmt ":
        walk.fmt = data[body : body + min(length, _FMT_BYTES)]
        code = int.from_bytes(walk.fmt[:2], "little" if walk.sound.form is RIFF else "big")
        walk.frames = _FRAMED.get(code, "")
        if walk.frames:  # they are no other file; what comes behind them is looked for there
            walk.begins, walk.sound.begins = walk.sound.begins, _never
    elif name == b"fact":
        walk.fact = data[body : body + min(length, 4)]
    elif name == b"ds64":
        walk.long_size = int(unpack_from("<Q", data, body + 8)[0]) if length >= 16 else None  # noqa: PLR2004
