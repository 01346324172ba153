"""FLAC files: their sound without their comments, and where their last frame ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stt_engine.audio.parts import Begins, Bytes, Part
from stt_engine.audio.tags import behind_tags, behind_zeros
from stt_engine.audio.window import Piece, Range

_MAGIC = b"fLaC"
_INFO_BYTES = 34
_INFO_HEADS = (b"\0\0\0\x22", b"\x80\0\0\x22")
_MAX_HEAD = 16
_MAX_FRAME = 1 << 20
_BLOCK = 1 << 20
_SYNC = re.compile(rb"\xff[\xf8\xf9][\x10-\xff][\x00-\xaf]", re.DOTALL)


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    found = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ polynomial if value >> bits - 1 else value << 1
            value &= (1 << bits) - 1
        found.append(value)
    return tuple(found)


_CRC_8, _CRC_16 = _table(0x07, 8), _table(0x8005, 16)


@dataclass(frozen=True, slots=True)
class _Frame:
    """``number``: of the frame, or of its first sample where frames differ in length."""

    start: int
    number: int
    samples: int
    form: bytes


def _frame(data: Bytes, at: int) -> _Frame | None:
    """Return the frame whose header is at ``at``, if its checksum is right."""
    head = data[at : at + _MAX_HEAD]
    if len(head) < 6 or not _SYNC.match(head):  # noqa: PLR2004 - the shortest
        return None
    coded = 8 - (head[4] ^ 0xFF).bit_length()  # as UTF-8 has it: leading ones
    wide = coded or 1
    block, rate = head[2] >> 4, head[2] & 15
    end = 4 + wide + {6: 1, 7: 2}.get(block, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if coded in {1, 8} or rate == 15 or end >= len(head):  # noqa: PLR2004 - they do not exist
        return None
    value = 0
    for byte in head[:end]:
        value = _CRC_8[value ^ byte]
    if value != head[end]:
        return None
    number = head[4] & (0x7F if not coded else 0x7F >> coded)
    for byte in head[5 : 4 + wide]:
        number = number << 6 | byte & 0x3F
    told = head[4 + wide : end]
    samples = {6: told[0] + 1, 7: int.from_bytes(told[:2], "big") + 1}.get(block) if told else None
    known = 192 if block == 1 else 576 << block - 2 if block < 6 else 256 << max(0, block - 8)  # noqa: PLR2004
    return _Frame(at, number, samples or known, head[1:2])


def _frames(data: Bytes, at: int, stop: int) -> Iterator[_Frame]:
    """Yield what looks like a frame; one in millions is none."""
    for start in range(at, stop, _BLOCK):
        for one in _SYNC.finditer(data[start : min(stop, start + _BLOCK + 3)]):
            frame = _frame(data, start + one.start())
            if frame is not None and frame.start < stop:
                yield frame


def frame_samples(data: Bytes, at: int) -> int | None:
    """Return how many samples the frame has whose header is at ``at``; ``None`` for no frame."""
    frame = _frame(data, at)
    return frame.samples if frame else None


def begins_flac(data: Bytes, at: int) -> bool:
    """Return whether a FLAC file begins at ``at``: a header of the only length that it has."""
    info = data[at + 8 : at + 8 + _INFO_BYTES]
    sane = len(info) == _INFO_BYTES and info[:2] <= info[2:4] and info[:2] >= b"\0\x10"
    return data[at : at + 4] == _MAGIC and data[at + 4 : at + 8] in _INFO_HEADS and sane


def flac_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return a FLAC file with nothing but its sound: its comments may be megabytes."""
    place, last, size = at + 4, False, len(data)
    while not last and place + 4 <= size:
        last = bool(data[place] & 0x80)
        place += 4 + int.from_bytes(data[place + 1 : place + 4], "big")
    info = data[at + 8 : at + 8 + _INFO_BYTES]
    if place > size:
        return Part("flac", (Range(at, size),), size)
    facts = int.from_bytes(info[10:18], "big")
    rate, total = facts >> 44, facts & (1 << 36) - 1
    end = _told_end(data, place, int.from_bytes(info[:2], "big"), total, begins)
    end = end or _broken_end(data, place, begins)
    seconds = total / rate if rate and total else None
    head = _MAGIC + b"\x80\0\0\x22" + info
    pieces: tuple[Piece, ...] = (head, Range(place, end))
    return Part("flac", pieces, end, declared_sec=seconds, estimate_sec=seconds)


def _told_end(data: Bytes, at: int, block: int, total: int, begins: Begins) -> int:
    """Return where the frame ends that holds the last sample of ``total``; 0 if it is not there."""
    if not total:
        return 0
    for frame in _frames(data, at, len(data)):
        first = frame.number if frame.form == b"\xf9" else frame.number * block
        if first + frame.samples == total:
            ends = list(_ends(data, frame.start))
            free = next((one for one in ends if _is_free(data, one, begins)), 0)
            if free + 1 in ends and _is_free(data, free + 1, begins):
                return free + 1  # a checksum that ends in zero is right without its last byte, too
            return free or (ends[0] if ends else 0)
    return 0


def _ends(data: Bytes, start: int) -> Iterator[int]:
    """Yield where the frame may end: its checksum is over all of it."""
    value = 0
    for place, byte in enumerate(data[start : start + _MAX_FRAME], start + 1):
        value = (value << 8 & 0xFFFF) ^ _CRC_16[value >> 8 ^ byte]
        if not value and place > start + _MAX_HEAD // 2:
            yield place


def _is_free(data: Bytes, at: int, begins: Begins) -> bool:
    """Return whether nothing follows ``at``, or another file."""
    after = behind_tags(data, behind_zeros(data, at))
    return after >= len(data) or begins(data, max(at, after - 3), after + 1) <= after


def _broken_end(data: Bytes, at: int, begins: Begins) -> int:
    """Return where another file begins, and no frame of this one comes behind it; or the end."""
    size = len(data)
    place = begins(data, at, size)
    while place < size:
        before = [one.number for one in _frames(data, max(at, place - _MAX_FRAME), place)]
        after = next(_frames(data, place, size), None)
        if after is None or not before or after.number <= before[-1]:
            return place
        place = begins(data, place + 1, size)
    return size
