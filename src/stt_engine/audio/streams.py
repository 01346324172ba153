"""Streams of packets that tell their own lengths, and no whole: MPEG program streams and LOAS."""

from __future__ import annotations

from collections.abc import Callable

from stt_engine.audio.clocks import begins_again
from stt_engine.audio.parts import (
    Begins,
    Bytes,
    Hole,
    Part,
    unpack_from,
)
from stt_engine.audio.window import Range
from stt_engine.coverage import Whole

PACK = b"\0\0\1\xba"
_END = b"\0\0\1\xb9"
_PREFIX = b"\0\0\1"
_SYSTEM = 0xBB
_CHAIN, _CERTAIN = 3, 12
_PACKETS_IN_PACK = 100
_MAX_HOLES = 10_000

Size = Callable[[Bytes, int], int]
"""Returns the length of the packet at a place; 0 where there is none."""


def _mpeg_size(data: Bytes, at: int) -> int:
    head = data[at : at + 14]
    if len(head) < 14:  # noqa: PLR2004 - the longest header
        return 4 if head[:4] == _END else 0
    if head[:3] != _PREFIX:
        return 0
    if head[:4] == _END:
        return 4
    if head[:4] == PACK:
        if head[4] >> 6 == 1:  # MPEG-2
            return 14 + (head[13] & 7)
        return 12 if head[4] >> 4 == 2 else 0  # noqa: PLR2004 - MPEG-1
    return 6 + int(unpack_from(">H", head, 4)[0]) if head[3] >= _SYSTEM else 0


def _mpeg_clock(data: Bytes, at: int) -> int | None:
    """Return the clock of the pack at ``at`` in units of 90 kHz; ``None`` where there is none."""
    head = data[at : at + 10]
    if len(head) < 10 or head[:4] != PACK:  # noqa: PLR2004 - with its clock
        return None
    bits = int.from_bytes(head[4:]) << (0 if head[4] >> 6 == 1 else 2)  # MPEG-2, MPEG-1
    return (bits >> 43 & 7) << 30 | (bits >> 27 & 0x7FFF) << 15 | bits >> 11 & 0x7FFF


def _loas_size(data: Bytes, at: int) -> int:
    head = data[at : at + 3]
    if len(head) < 3 or head[0] != 0x56 or head[1] & 0xE0 != 0xE0:  # noqa: PLR2004 - its sync word
        return 0
    return ((head[1] & 0x1F) << 8 | head[2]) + 3


def _chained(data: Bytes, at: int, size: Size, count: int) -> bool:
    for number in range(count):
        if at >= len(data):
            return number > 1 and at == len(data)
        length = size(data, at)
        if not length:
            return False
        at += length
    return at <= len(data)


def begins_mpeg(data: Bytes, at: int) -> bool:
    """Return whether packs of an MPEG program stream begin at ``at``."""
    return data[at : at + 4] == PACK and _chained(data, at, _mpeg_size, _CHAIN)


def begins_loas(data: Bytes, at: int) -> bool:
    """Return whether LOAS frames begin at ``at``."""
    return _chained(data, at, _loas_size, _CERTAIN)


def mpeg_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return the MPEG program stream that begins at ``at``."""
    return _part("mpeg", data, at, begins, _mpeg_size, PACK)


def loas_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return the LOAS stream that begins at ``at``."""
    return _part("loas", data, at, begins, _loas_size, b"\x56")


def _part(kind: str, data: Bytes, at: int, begins: Begins, size: Size, sync: bytes) -> Part:
    place, last, end = at, at, len(data)
    clocks: list[int] = []
    holes: list[Hole] = []
    while place < end:
        length = size(data, place)
        clock = _mpeg_clock(data, place) if sync == PACK else None
        if clock is not None:
            if clocks and clock < clocks[-1] and _restarts(data, place, [*clocks, clock]):
                return _whole(kind, at, place, "unknown", holes)
            clocks = [*clocks[-1:], clock]
        if length and place + length <= end:
            last, place = place, place + length
            continue
        cut = length > 0
        again = end if cut else _again(data, place, size, sync)
        other = begins(data, last + 1, again)
        same = sync != PACK and size(data, other) > 0 if other < again else False
        if other < again and sync == PACK:
            clock = _mpeg_clock(data, other)
            same = clock is not None and not _restarts(data, other, [*clocks, clock])
        if same:
            again, cut = other, False  # a wrong length of the frame before it had passed it over
        elif other < again:
            whole: Whole = "no" if other < place or cut else "unknown"
            return _whole(kind, at, min(place, other), whole, holes)
        if again == end:
            return _whole(kind, at, end if cut else place, "no" if cut else "unknown", holes)
        if sync == PACK:
            holes.append(Hole(again - at, max(1, again - place)))
        last = place = again
    return _whole(kind, at, end, "unknown", holes)


def _restarts(data: Bytes, at: int, clocks: list[int]) -> bool:
    """Return whether another recording begins at ``at`` by the last of these clocks."""
    place, last = at, len(clocks) - 1
    for _ in range(_PACKETS_IN_PACK):
        place += _mpeg_size(data, place) or len(data)
        after = _mpeg_clock(data, place)
        if after is not None:
            clocks = [*clocks, after]
            break
    return last > 0 and begins_again(clocks, last)


def _whole(kind: str, at: int, end: int, whole: Whole, holes: list[Hole]) -> Part:
    return Part(kind, (Range(at, end),), end, whole, holes=tuple(holes[:_MAX_HOLES]))


def _again(data: Bytes, at: int, size: Size, sync: bytes) -> int:
    """Return where packets follow each other again, or the end."""
    at = data.find(sync, at + 1)
    while at >= 0 and not _chained(data, at, size, _CHAIN):
        at = data.find(sync, at + 1)
    return len(data) if at < 0 else at
