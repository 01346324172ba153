"""What programs write around the sound of a file and is no sound: tags, and zeros."""

from __future__ import annotations

from stt_engine.audio.parts import Bytes, unpack_from

PADDING = 64
"""So many bytes behind the sound are padding, whatever is in them."""

_ID3V1 = 128
_ID3V1_MORE = 227
_APE_HEAD = 32
_MAX_LYRICS = 1 << 20
_BLOCK = 4_096
_STUFFING = b"\0\0\1\xbe"
"""A packet of an MPEG program stream that only fills a sector."""

_MARKS = (b"ID3", b"APETAGEX", b"TAG", b"LYRICSBEGIN", _STUFFING)


def tag_bytes(data: Bytes, at: int) -> int:
    """Return the length of the tag at ``at``; 0 where there is none, or one that says too much."""
    head = data[at : at + _APE_HEAD]
    size = 0
    if head[:3] == b"ID3":
        size = _id3_bytes(head)
    elif head[:8] == b"APETAGEX" and len(head) == _APE_HEAD:
        size = int(unpack_from("<I", head, 12)[0]) + _APE_HEAD
    elif head[:4] == b"TAG+":
        size = _ID3V1_MORE
    elif head[:3] == b"TAG":
        size = _ID3V1
    elif head.startswith(b"LYRICSBEGIN"):
        ends = (data.find(one, at, at + _MAX_LYRICS) for one in (b"LYRICS200", b"LYRICSEND"))
        size = min((one + 9 - at for one in ends if one >= 0), default=0)
    elif head[:4] == _STUFFING:
        end = at + 6 + int.from_bytes(head[4:6])
        size = 0 if data[at + 6 : end].strip(b"\x0f\xff") else end - at
    return size if at + size <= len(data) else 0


def _id3_bytes(head: bytes) -> int:
    """Return the length of an ID3v2 tag by its header; 0 where it is none."""
    if len(head) < 10 or head[3] > 9 or head[4] > 9 or max(head[6:10]) & 0x80:  # noqa: PLR2004
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return size + (20 if head[5] & 0x10 else 10)


def behind_tags(data: Bytes, at: int) -> int:
    """Return where the tags at ``at`` end."""
    while size := tag_bytes(data, at) or _items_bytes(data, at):
        at += size
    return at


def _items_bytes(data: Bytes, at: int) -> int:
    """Return the length of an APE tag of the first version, which has its name behind it."""
    place = data.find(b"APETAGEX", at + 9, at + _MAX_LYRICS)
    if place < 0 or place + _APE_HEAD > len(data):
        return 0
    size = int(unpack_from("<I", data, place + 12)[0])
    return size if place + _APE_HEAD - size == at else 0


def behind_zeros(data: Bytes, at: int) -> int:
    """Return where the zeros at ``at`` end."""
    while at < len(data) and not any(data[at : at + _BLOCK]):
        at += _BLOCK
    block = data[at : at + _BLOCK]
    return min(len(data), at + len(block) - len(block.lstrip(b"\0")))


def lost_bytes(data: Bytes, start: int, end: int, *, zeros: bool = False) -> int:
    """Return how many of these bytes are no tags; behind the last frame zeros are none either."""
    lost = 0
    while start < end:
        tag = tag_bytes(data, start) or _items_bytes(data, start)
        if tag:
            start += tag
            continue
        stop = _next_tag(data, start + 1, end)
        lost += stop - start if zeros else len(data[start:stop].strip(b"\0"))
        start = stop
    return lost


def _next_tag(data: Bytes, at: int, end: int) -> int:
    for mark in _MARKS:
        place = data.find(mark, at, end)
        while place >= 0 and not tag_bytes(data, place):
            place = data.find(mark, place + 1, end)
        end = place if place >= 0 else end
    return end
