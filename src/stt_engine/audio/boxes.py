"""MP4 files by their boxes, Matroska files by their elements: ends, several in one, damage."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from stt_engine.audio.edit_lists import corrections
from stt_engine.audio.parts import (
    EDIT_LIST,
    NO_INDEX,
    NO_LENGTH,
    Begins,
    Bytes,
    Hole,
    Part,
    unpack_from,
)
from stt_engine.audio.window import Piece, Range
from stt_engine.coverage import Whole

_HEAD = 8
_MAX_BOXES = 500_000
_KNOWN = {b"ftyp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"udta", b"meta", b"uuid",
          b"sidx", b"ssix", b"styp", b"mfra", b"pdin", b"prft", b"emsg",
          b"pnot", b"PICT", b"junk"}  # fmt: skip

_MAX_FTYP = 4_096
_MAX_MOOF = 4_096

_EBML = b"\x1aE\xdf\xa3"
_SEGMENT, _INFO, _CLUSTER, _TAGS = 0x18538067, 0x1549A966, 0x1F43B675, 0x1254C367
_LEVEL_1 = {0x114D9B74, _INFO, _CLUSTER, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, _TAGS,
            0xEC, 0xBF}  # fmt: skip
_IN_CLUSTER = {0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0xAF, 0x5854, 0xEC, 0xBF}
_MAX_TAGS_BYTES = 64 << 10
"""Tags above it are hidden: FFmpeg's time for them grows with their square."""


def is_mp4(data: Bytes, at: int) -> bool:
    """Return whether an MP4 or QuickTime file begins at ``at``."""
    return (
        data[at + 4 : at + 8] in {b"ftyp", b"moov", b"mdat", b"wide"} and _size(data, at) >= _HEAD
    )


def begins_mp4(data: Bytes, at: int) -> bool:
    """Return whether an MP4 file begins at ``at``: its first box is known, and so is the next."""
    after = at + _size(data, at)
    if not is_mp4(data, at) or (data[at + 4 : at + 8] == b"ftyp" and after - at > _MAX_FTYP):
        return False
    return after >= len(data) or data[after + 4 : after + 8] in _KNOWN


def _size(data: Bytes, at: int) -> int:
    """Return the bytes of the box at ``at``; 0 where there is none."""
    if at + _HEAD > len(data):
        return 0
    size = int(unpack_from(">I", data, at)[0])
    if size == 1 and at + 16 <= len(data):
        size = int(unpack_from(">Q", data, at + 8)[0])
        return size if size >= 16 else 0  # noqa: PLR2004 - its own header
    return len(data) - at if size == 0 else size if size >= _HEAD else 0


def mp4_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return the MP4 file that begins at ``at``; what is no box is hidden from FFmpeg."""
    pieces: list[Piece] = []
    holes: list[Hole] = []
    seen: set[bytes] = set()
    clocks: dict[int, int] = {}
    place, kept, cut, edited, size = at, at, False, False, len(data)
    for _ in range(_MAX_BOXES):
        name, length = data[place + 4 : place + 8], _size(data, place)
        if place >= size or (name == b"ftyp" and b"ftyp" in seen and seen & {b"moov", b"mdat"}):
            break
        if name not in _KNOWN or not length:
            found = _next_box(data, place + 1)
            complete = {b"moov", b"mdat"} <= seen and b"moof" not in seen
            if complete or begins(data, place, found) < found:
                break
            if not any(data[place : min(found, place + 65_536)]):
                break
            pieces += [Range(kept, place), *_hidden(place, found)]
            holes.append(Hole(place - at, found - place))
            place = kept = found
            continue
        if name == b"moof" and _goes_back(data, place, length, clocks):
            break  # FFmpeg plays nothing of what is behind it
        seen.add(name)
        cut = place + length > size
        if name == b"moov" and not cut:
            for at_list, raw in corrections(data, place + _HEAD, place + length):
                pieces += [Range(kept, at_list), raw]
                kept, edited = at_list + len(raw), True
        if name == b"udta" and length > _MAX_TAGS_BYTES:
            pieces += [Range(kept, place), *_hidden(place, min(place + length, size))]
            kept = min(place + length, size)
        place = min(place + length, size)
    pieces.append(Range(kept, place))
    whole: Whole = "no" if cut else "unknown" if b"moof" in seen and b"mfra" not in seen else "yes"
    pieces = [one for one in pieces if one]
    live = b"moof" in seen and (cut or bool(holes))  # FFmpeg adds up the fragments that are there
    notes = (NO_LENGTH,) * live + (NO_INDEX,) * (b"moov" not in seen and place >= size)
    notes += (EDIT_LIST,) * edited
    return Part("mp4", tuple(pieces), place, "unknown" if holes and not cut else whole,
                holes=tuple(holes), notes=notes)  # fmt: skip


def _goes_back(data: Bytes, at: int, length: int, clocks: dict[int, int]) -> bool:
    """Return whether the fragment at ``at`` is before those whose time ``clocks`` has."""
    head = data[at : at + min(length, _MAX_MOOF)]
    track, time = head.find(b"tfhd"), head.find(b"tfdt")
    if not 0 <= track < time < len(head) - 16:
        return False
    wide = head[time + 4] == 1
    (number,) = struct.unpack_from(">I", head, track + 8)
    (new,) = struct.unpack_from(">Q" if wide else ">I", head, time + 8)
    known, clocks[number] = clocks.get(number, -1), new
    return bool(new < known)


def _hidden(start: int, end: int) -> tuple[Piece, ...]:
    """Return a box that says nothing instead of these bytes, so that no other one moves."""
    if end - start < _HEAD:
        return (Range(start, end),)
    return (struct.pack(">I", min(end - start, 0xFFFFFFFF)) + b"free", Range(start + _HEAD, end))


def _next_box(data: Bytes, at: int) -> int:
    """Return where a box of a fragment, or another file, begins again; or the end."""
    size = len(data)
    found = []
    for name in (b"moof", b"ftyp", b"mfra"):
        place = data.find(name, at + 4)
        while place >= 0 and not _HEAD <= _size(data, place - 4) <= size - place + 4:
            place = data.find(name, place + 4)
        if place >= 0:
            found.append(place - 4)
    return min(found, default=size)


def is_matroska(data: Bytes, at: int) -> bool:
    """Return whether a Matroska or WebM file begins at ``at``."""
    head = data[at : at + 64]
    return head.startswith(_EBML) and (b"matroska" in head or b"webm" in head)


def begins_matroska(data: Bytes, at: int) -> bool:
    """Return whether a Matroska file begins at ``at``, with its segment behind its header."""
    head = _element(data, at) if is_matroska(data, at) else None
    segment = _element(data, head[1] + head[2]) if head and head[2] >= 0 else None
    return segment is not None and segment[0] == _SEGMENT


def _vint(data: Bytes, at: int, *, marked: bool) -> tuple[int, int]:
    """Return a number and its bytes; -1 for an unknown length, no bytes for none."""
    first = data[at] if at < len(data) else 0
    width = 9 - first.bit_length()
    if not first or at + width > len(data):
        return 0, 0
    raw = int.from_bytes(data[at : at + width], "big")
    if marked:
        return raw, width
    value = raw & ((1 << 7 * width) - 1)
    return (-1 if value == (1 << 7 * width) - 1 else value), width


def _element(data: Bytes, at: int) -> tuple[int, int, int] | None:
    """Return identity, first byte and length of the element at ``at``."""
    identity, wide = _vint(data, at, marked=True)
    length, more = _vint(data, at + wide, marked=False) if wide else (0, 0)
    return (identity, at + wide + more, length) if more else None


def matroska_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return the Matroska file that begins at ``at``; big tags are hidden from FFmpeg."""
    size = len(data)
    head = _element(data, at)
    segment = _element(data, head[1] + head[2]) if head and head[2] >= 0 else None
    if segment is None or segment[0] != _SEGMENT:
        return Part("matroska", (Range(at, size),), size)
    _, place, length = segment
    told = length >= 0
    end = min(place + length, size) if told else size
    cut = told and place + length > size
    patches: list[tuple[int, bytes]] = []
    notes: tuple[str, ...] = (NO_LENGTH,)
    holes: list[Hole] = []
    for start, identity, body, inner in _children(data, place, end):
        if identity == 0:
            other = begins(data, start, body)
            if other < body:
                end, cut = other, told
                break
            holes.append(Hole(start - at, body - start))
        elif identity == int.from_bytes(_EBML, "big"):
            end = start
            break
        elif identity == _INFO and b"\x44\x89" in data[body : body + min(inner, 65_536)]:
            notes = ()
        elif identity == _TAGS and inner > _MAX_TAGS_BYTES:
            patches.append((start, _void(body - start, inner)))
    pieces: list[Piece] = []
    kept = at
    for start, raw in patches:
        pieces += [Range(kept, start), raw]
        kept = start + len(raw)
    whole: Whole = "no" if cut else "yes" if told else "unknown"
    return Part("matroska", (*pieces, Range(kept, end)), end, whole,
                holes=tuple(holes), notes=notes)  # fmt: skip


def _children(data: Bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield start, identity, body and length; identity 0 where there is no element."""
    for _ in range(_MAX_BOXES):
        found = _element(data, at) if at < end else None
        if at >= end:
            return
        if found is not None and found[0] == int.from_bytes(_EBML, "big"):
            yield at, *found
            return
        if found is None or found[0] not in _LEVEL_1 or found[1] + found[2] > end:
            after = data.find(b"\x1fC\xb6u", at + 1, end)
            after = end if after < 0 else after
            if found is None or found[0] not in _LEVEL_1:
                yield at, 0, after, 0
            at = after
            continue
        yield at, *found
        at = found[1] + found[2] if found[2] >= 0 else _live_end(data, found[1], end)


def _live_end(data: Bytes, at: int, end: int) -> int:
    """Return where a cluster ends that does not say how long it is: behind its last block."""
    while at < end:
        found = _element(data, at)
        if found is None or found[0] not in _IN_CLUSTER or not 0 <= found[2] <= end - found[1]:
            return at
        at = found[1] + found[2]
    return end


def _void(header: int, length: int) -> bytes:
    """Return the header of an element that says nothing, in place of one of ``header`` bytes."""
    width = min(8, header - 1)
    value = length + header - 1 - width
    return b"\xec" + (value | 1 << 7 * width).to_bytes(width, "big") + bytes(header - 1 - width)
