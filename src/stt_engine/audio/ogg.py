"""Ogg files by their pages: links of a chain, lost pages, ends, and comments of megabytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from stt_engine.audio.flac import frame_samples
from stt_engine.audio.parts import Begins, Bytes, Hole, Part, unpack_from
from stt_engine.audio.window import Piece, Range
from stt_engine.coverage import Whole

_HEAD = 27
_CONTINUED, _BEGINS, _ENDS = 1, 2, 4
_MAX_COMMENT_BYTES = 256 << 10
"""Comments above it are left out: FFmpeg's time for them grows with their square."""

_MAX_HEADER_BYTES = 64 << 20
REVERSED = bytes(int(f"{number:08b}"[::-1], 2) for number in range(256))
"""Each byte with its bits the other way round."""

_FLAC = b"\x7fFLAC"

_NO_COMMENTS = {b"\x03vorbis": b"\x03vorbis\0\0\0\0\0\0\0\0\1", b"OpusTags": b"OpusTags" + bytes(8)}
_HEADER_PACKETS = {b"\x01vorbis": 3, b"OpusHead": 2}
"""First bytes of the first packet, and how many packets there are before the sound."""


@dataclass(frozen=True, slots=True)
class _Page:
    start: int
    end: int
    flags: int
    serial: int
    sequence: int
    body: int


def checksum(page: bytes) -> int:
    """Return Ogg's CRC of a page whose own is zero: zlib's, with every bit the other way round."""
    reflected = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)


def _page(data: Bytes, at: int) -> _Page | None:
    """Return the page at ``at`` if it is one and nothing in it is damaged."""
    if at + _HEAD > len(data) or data[at : at + 5] != b"OggS\0":
        return None
    flags, serial, sequence = data[at + 5], *unpack_from("<II", data, at + 14)
    count = data[at + 26]
    body = at + _HEAD + count
    end = body + sum(data[at + _HEAD : body])
    if end > len(data):
        return None
    raw = data[at:end]
    if checksum(raw[:22] + bytes(4) + raw[26:]) != unpack_from("<I", raw, 22)[0]:
        return None
    return _Page(at, end, flags, serial, sequence, body)


def _pages(data: Bytes, at: int) -> Iterator[_Page]:
    while True:
        page = _page(data, at)
        if page is None:
            at = data.find(b"OggS", at + 1)
            if at < 0:
                return
            continue
        yield page
        at = page.end


def begins_ogg(data: Bytes, at: int) -> bool:
    """Return whether a page begins at ``at`` that is the first of a stream, and not damaged."""
    page = _page(data, at)
    return page is not None and bool(page.flags & _BEGINS)


def ogg_parts(data: Bytes, at: int, begins: Begins) -> Iterator[Part]:
    """Yield the links of the chain that begins at ``at``, one after the other."""
    link: list[_Page] = []
    number = 0
    for page in _pages(data, at):
        if link and page.start > link[-1].end:
            other = begins(data, link[-1].end, page.start)
            if _ended(link) or other < page.start:
                yield _link(data, link, link[-1].end if _ended(link) else other, number)
                return
        if page.flags & _BEGINS and link and not link[-1].flags & _BEGINS:
            yield _link(data, link, page.start, number)
            link, number = [], number + 1
        link.append(page)
    if link:
        stop = link[-1].end if _ended(link) else begins(data, link[-1].end, len(data))
        yield _link(data, link, stop, number)


def _ended(pages: list[_Page]) -> bool:
    """Return whether every stream of a link has its last page."""
    ends = {page.serial for page in pages if page.flags & _ENDS}
    return {page.serial for page in pages if page.flags & _BEGINS} <= ends


def _link(data: Bytes, pages: list[_Page], stop: int, number: int) -> Part:
    ends = any(page.flags & _ENDS for page in pages)
    last = pages[-1].end
    # Behind the end there may be anything; a page that was begun is a cut file.
    cut = not ends or (last < stop and data[last : last + 4] == b"OggS")
    whole: Whole = "no" if cut else "yes" if _ended(pages) else "unknown"
    head, sound = _without_comments(data, pages)
    shift = len(head) - sound if head else -pages[0].start
    pieces: tuple[Piece, ...] = (
        (head, Range(sound, stop)) if head else (Range(pages[0].start, stop),)
    )
    holes = tuple(Hole(place + shift, lost) for place, lost in _holes(pages) if place >= sound)
    late = () if number else _late(data, pages)
    origin: Literal["first", "zero"] = "first" if number else "zero"
    return Part("ogg", pieces, stop, whole, holes=holes, origin=origin, late=late)


def _late(data: Bytes, pages: list[_Page]) -> tuple[tuple[float, float], ...]:
    """Return of each stream how long its first page of sound is in FLAC, and how much too early.

    A page tells when it ends. FFmpeg has the packets of a stream's first one begin at zero.
    """
    streams: dict[int, list[_Page]] = {}
    for page in pages:
        if page.flags & _BEGINS or page.serial in streams:
            streams.setdefault(page.serial, []).append(page)
    return tuple(_late_stream(data, own) for own in streams.values())


def _late_stream(data: Bytes, pages: list[_Page]) -> tuple[float, float]:
    if not _starts(data, pages[0], _FLAC):
        return 0.0, 0.0
    rate = int.from_bytes(data[pages[0].body + 27 : pages[0].body + 30]) >> 4
    begun: int | None = None
    for page in pages[1:]:
        (end,) = unpack_from("<q", data, page.start + 6)
        places, begun = _packets(data, page, begun)
        found = [frame_samples(data, at) for at in places]
        samples = sum(one for one in found if one is not None)
        if end > 0 and rate and samples and None not in found:
            return samples / rate, max(0, end - samples) / rate
        if end > 0:
            break
    return 0.0, 0.0


def _packets(data: Bytes, page: _Page, begun: int | None) -> tuple[list[int], int | None]:
    """Return where the packets begin that end in a page, and the one that goes on behind it.

    ``begun`` is where one begins that came into this page from the pages before.
    """
    places: list[int] = []
    at, place = page.body if begun is None else begun, page.body
    for lacing in data[page.start + _HEAD : page.body]:
        place += lacing
        if lacing < 255:  # noqa: PLR2004 - a packet ends
            places.append(at)
            at = place
    return places, at if at < place else None


def _holes(pages: list[_Page]) -> Iterator[tuple[int, int]]:
    """Yield where a page is missing, and how many bytes there are instead."""
    expected: dict[int, int] = {}
    end = pages[0].start
    for page in pages:
        lost = page.sequence != expected.get(page.serial, page.sequence)
        if page.start > end or lost:
            yield page.start, page.start - end
        expected[page.serial], end = page.sequence + 1, page.end


def _without_comments(data: Bytes, pages: list[_Page]) -> tuple[bytes, int]:
    """Return small header pages instead of huge ones, and where the sound begins.

    Nothing is returned where the headers are small, or not of one stream that is known.
    """
    first = pages[0]
    count = next((n for key, n in _HEADER_PACKETS.items() if _starts(data, first, key)), 0)
    packets: list[bytes] = []
    unfinished: list[bytes] = []
    total = 0
    for page in pages:
        if page.serial != first.serial or not count or total > _MAX_HEADER_BYTES:
            break
        place = page.body
        for lacing in data[page.start + _HEAD : page.body]:
            unfinished.append(data[place : place + lacing])
            place += lacing
            if lacing < 255:  # noqa: PLR2004 - a packet ends
                packets.append(b"".join(unfinished))
                unfinished = []
        total += page.end - page.start
        if len(packets) >= count:
            if total < _MAX_COMMENT_BYTES or len(packets) > count:
                break
            return _headers(first.serial, packets), page.end
    return b"", first.start


def _starts(data: Bytes, page: _Page, key: bytes) -> bool:
    return data[page.body : page.body + len(key)] == key


def _headers(serial: int, packets: list[bytes]) -> bytes:
    found = b""
    for number, packet in enumerate(packets):
        small = next((bare for key, bare in _NO_COMMENTS.items() if packet.startswith(key)), packet)
        found += _written(serial, number, small)
    return found


def _written(serial: int, number: int, packet: bytes) -> bytes:
    """Return a page of one packet (65,025 bytes are the most that a page holds)."""
    packet = packet[: 255 * 255 - 1]
    lacing = b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])
    flags = 0 if number else _BEGINS
    head = struct.pack("<4sBBqIII", b"OggS", 0, flags, 0, serial, number, 0)
    page = head + bytes([len(lacing)]) + lacing + packet
    return page[:22] + struct.pack("<I", checksum(page)) + page[26:]
