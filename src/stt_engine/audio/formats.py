"""The containers that are known: how each begins, what proves it, and what reads it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stt_engine.audio import avi, boxes, ends, flac, frames, mpegts, ogg, riff, streams
from stt_engine.audio.frame_headers import AMR_MAGIC
from stt_engine.audio.parts import Begins, Bytes, Part

_BLOCK = 1 << 20
_AROUND = 2 * mpegts.PACKET + 1
"""Bytes behind a block that have to be seen with it."""

_MAX_TRIED = 100_000
"""Places that look like a beginning and are none, before a search gives up; half a second."""

_FRAME, _AC3, _LOAS, _PACKET = 0xFF, (0x0B, 0x77), (0x56, 0xE0), 0x47
"""First bytes of frames and packets that have no magic number."""


def _which(allowed: Callable[[int], bool]) -> npt.NDArray[np.bool_]:
    return np.array([allowed(byte) for byte in range(256)])


_MPEG = (_which(lambda one: one >= 0xE0 and one & 6 > 0 and one & 0x18 != 8),  # noqa: PLR2004
         _which(lambda one: 0 < one >> 4 < 15))  # noqa: PLR2004  # fmt: skip
_ADTS = (_which(lambda one: one & 0xF6 == 0xF0),  # noqa: PLR2004
         _which(lambda one: one >> 2 & 15 < 13))  # noqa: PLR2004  # fmt: skip
"""Which second and third bytes a frame's header may have."""


@dataclass(frozen=True, slots=True)
class Format:
    """``magic`` is at ``offset``; without one only frames that follow each other are a proof."""

    magic: bytes
    offset: int
    proved: Callable[[Bytes, int], bool]
    read: Callable[[Bytes, int, Begins], Part | Iterable[Part] | None]


def _always(_data: Bytes, _at: int) -> bool:
    return True


def _frames(kind: str) -> Format:
    return Format(
        b"", 0,
        lambda data, at: frames.begins_frames(data, at, kind),
        lambda data, at, begins: frames.frames_part(data, at, kind, begins),
    )  # fmt: skip


def _amr(data: Bytes, at: int, begins: Begins) -> Part | None:
    return frames.frames_part(data, at, "amr", begins)


_BARE = {
    _FRAME: (_frames("mp3"), _frames("aac")),
    _AC3[0]: (_frames("ac3"),),
    _LOAS[0]: (Format(b"", 0, streams.begins_loas, streams.loas_part),),
    _PACKET: (Format(b"", 0, mpegts.begins_mpegts, mpegts.mpegts_parts),),
}
"""Frames and packets that have no magic number, by their first byte."""

_NAMED = (
    *(Format(one, 0, riff.begins_wav, riff.wav_part) for one in riff.KINDS),
    Format(b"RIFF", 0, avi.begins_avi, avi.avi_part),
    Format(b"OggS\0", 0, ogg.begins_ogg, ogg.ogg_parts),
    Format(b"ftyp", 4, boxes.begins_mp4, boxes.mp4_part),
    Format(b"\x1aE\xdf\xa3", 0, boxes.begins_matroska, boxes.matroska_part),
    Format(b"fLaC", 0, flac.begins_flac, flac.flac_part),
    *(Format(one, 0, frames.begins_amr, _amr) for one in AMR_MAGIC),
    Format(ends.W64_RIFF, 0, _always, ends.w64_part),
    Format(b"caff\0\1", 0, ends.begins_caf, ends.caf_part),
    Format(b"FORM", 0, ends.begins_aiff, ends.aiff_part),
    Format(b".snd", 0, ends.begins_au, ends.au_part),
    Format(ends.ASF, 0, _always, ends.asf_part),
    Format(ends.VOC, 0, _always, ends.voc_part),
    Format(b"wvpk", 0, ends.begins_wavpack, ends.wavpack_part),
    Format(b"TTA1", 0, ends.begins_tta, ends.tta_part),
    Format(streams.PACK, 0, streams.begins_mpeg, streams.mpeg_part),
)

_BOXES = Format(b"", 0, boxes.begins_mp4, boxes.mp4_part)
"""QuickTime files of old begin with any box."""


def format_at(data: Bytes, at: int) -> Format | None:
    """Return the format of the file that provably begins at ``at``."""
    known = (*_NAMED, _BOXES, *_BARE.get(data[at], ()))
    return next((one for one in known if _proved(one, data, at)), None)


def _proved(one: Format, data: Bytes, at: int) -> bool:
    begin = at + one.offset
    if data[begin : begin + len(one.magic)] != one.magic:
        return False
    try:
        return one.proved(data, at)
    except (struct.error, IndexError):  # a header that ends with the file
        return False


def begins(data: Bytes, at: int, stop: int) -> int:
    """Return where between two places another file provably begins, or the second of them."""
    left = _MAX_TRIED
    for start in range(at, stop, _BLOCK):
        count = min(_BLOCK, stop - start)
        block = data[start : start + count + _AROUND].ljust(count + _AROUND, b"\0")
        places = [start + one for one in _candidates(block, count)]
        for place in places[:left]:
            if format_at(data, place):
                return place
        left -= len(places)
        if left <= 0:
            break
    return stop


def _candidates(block: bytes, count: int) -> list[int]:
    """Return where a file may begin in the first ``count`` bytes of a block."""
    found = set(_syncs(block, count))
    for one in _NAMED:
        place = block.find(one.magic)
        while place >= 0:
            found.add(place - one.offset)
            place = block.find(one.magic, place + 1)
    return sorted(one for one in found if 0 <= one < count)


def _syncs(block: bytes, count: int) -> list[int]:
    """Return where frames or packets without a magic number may begin."""
    raw = np.frombuffer(block, np.uint8)
    first, second, third = (raw[n : n + count] for n in range(3))
    found = (first == _FRAME) & (
        _MPEG[0][second] & _MPEG[1][third] | _ADTS[0][second] & _ADTS[1][third]
    )
    found |= (first == _AC3[0]) & (second == _AC3[1])
    found |= (first == _LOAS[0]) & (second >= _LOAS[1])
    packets = [raw[n * mpegts.PACKET :][:count] == _PACKET for n in range(3)]
    found |= np.logical_and.reduce(packets)
    return [int(one) for one in np.flatnonzero(found)]
