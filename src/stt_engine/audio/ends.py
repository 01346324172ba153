"""Where a container ends by its own header, and how much of what it declares is there."""

from __future__ import annotations

import zlib

from stt_engine.audio.chunks import Form, Sound, rejoined
from stt_engine.audio.parts import Begins, Bytes, Hole, Part, unpack_from
from stt_engine.audio.window import Range
from stt_engine.coverage import Whole

_UNKNOWN = 0xFFFFFFFF
W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
VOC = b"Creative Voice File\x1a"
_VOC_BLOCKS = 9
_WV, _WV_INITIAL = b"wvpk", 0x800
_CAF_CHUNKS = {b"desc", b"data", b"free", b"chan", b"info", b"kuki", b"pakt", b"mark", b"regn",
               b"inst", b"midi", b"ovvw", b"peak", b"uuid", b"edct", b"umid", b"strg"}  # fmt: skip
_W64 = Form("<q", _W64_DATA, align=8, whole=True)
_CAF = Form(">q", b"data", align=1, before=4, packed=b"pakt")
_AIFF = Form(">I", b"SSND", before=8)
_TTA_HEAD = 22
_MAX_CHUNKS = 1_000_000


def _told(
    kind: str, at: int, declared: int | None, data: Bytes, extra: float | None = None
) -> Part:
    """Return a part that ends at ``declared``, or at the end of the file where that is before."""
    size = len(data)
    end = size if declared is None else min(declared, size)
    whole: Whole = "unknown" if declared is None else "no" if declared > size else "yes"
    share = (end - at) / (declared - at) if declared is not None and declared > at else None
    return Part(kind, (Range(at, end),), end, whole, present_share=share, declared_sec=extra)


def _untold(kind: str, at: int, begin: int, data: Bytes, begins: Begins) -> Part:
    """Return a part that does not say where it ends: at the next file."""
    end = begins(data, begin, len(data))
    return Part(kind, (Range(at, end),), end)


def _in_one(kind: str, form: Form, data: Bytes, at: int, first: int, outer: int, begins: Begins
            ) -> Part | None:  # fmt: skip
    """Return a file whose chunks are not what FFmpeg plays as one whose are; else ``None``."""
    return rejoined(kind, Sound(form, data, outer, len(data), begins), at, first)


def w64_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return the W64 file that begins at ``at``."""
    total = int(unpack_from("<q", data, at + 16)[0])
    place = at + 40
    if made := _in_one("w64", _W64, data, at, place, at + total, begins):
        return made
    for _ in range(_MAX_CHUNKS):
        if place + 24 > len(data):
            break
        length = int(unpack_from("<q", data, place + 16)[0])
        if data[place : place + 16] == _W64_DATA:
            if length <= 24:  # noqa: PLR2004 - its own header
                return _untold("w64", at, place, data, begins)
            return _told("w64", at, max(place + length, at + total), data)
        if length < 24:  # noqa: PLR2004 - its own header
            break
        place += length + -length % 8
    return _untold("w64", at, at + 40, data, begins)


def _caf_end(data: Bytes, place: int) -> int:
    """Return where the last chunk ends; 0 where that is not known."""
    for _ in range(_MAX_CHUNKS):
        if place + 12 > len(data) or data[place : place + 4] not in _CAF_CHUNKS:
            return place
        length = int(unpack_from(">q", data, place + 4)[0])
        if length < 0:
            return 0
        place += 12 + length
    return place


def caf_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return the CAF file that begins at ``at``."""
    end = _caf_end(data, at + 8)
    if not end:
        return _untold("caf", at, at + 8, data, begins)
    made = _in_one("caf", _CAF, data, at, at + 8, end, begins)
    return made or _told("caf", at, end, data)


def aiff_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return the AIFF file that begins at ``at``."""
    total = int(unpack_from(">I", data, at + 4)[0])
    if 0 < total < _UNKNOWN - 8:
        made = _in_one("aiff", _AIFF, data, at, at + 12, at + 8 + total, begins)
        return made or _told("aiff", at, at + 8 + total, data)
    return _untold("aiff", at, at + 12, data, begins)


def au_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return the AU file that begins at ``at``."""
    head, length = unpack_from(">II", data, at + 4)
    if 0 < length < _UNKNOWN:
        return _told("au", at, at + head + length, data)
    return _untold("au", at, at + head, data, begins)


def asf_part(data: Bytes, at: int, _begins: Begins) -> Part:
    """Return the ASF (WMA) file that begins at ``at``."""
    place = data.find(_ASF_FILE, at, at + 65_536)
    if place < 0 or place + 104 > len(data):
        return _told("asf", at, None, data)
    size, _, _, played, _, preroll, flags = unpack_from("<QQQQQQI", data, place + 40)
    if flags & 1 or not size:  # it was sent live: nothing in it is true
        return _told("asf", at, None, data)
    return _told("asf", at, at + size, data, max(0.0, played / 1e7 - preroll / 1e3) or None)


def voc_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return the VOC file that begins at ``at``, by its blocks."""
    place, size = at + int(unpack_from("<H", data, at + 20)[0]), len(data)
    for _ in range(_MAX_CHUNKS):
        if place >= size:
            return _told("voc", at, place if place > size else None, data)
        if data[place] == 0:
            return _told("voc", at, place + 1, data)
        if data[place] > _VOC_BLOCKS:
            return _untold("voc", at, place, data, begins)
        if place + 4 > size:
            break
        place += 4 + int.from_bytes(data[place + 1 : place + 4], "little")
    return _told("voc", at, size + 1, data)


def wavpack_part(data: Bytes, at: int, begins: Begins) -> Part:
    """Return a WavPack file without what is between its blocks; each block has its time."""
    spans: list[tuple[int, int]] = []
    holes: list[Hole] = []
    place, size, kept, window, last, ended = at, len(data), at, 0, at, False
    while place < size and len(spans) < _MAX_CHUNKS:
        end = _wv_block(data, place)
        if end and end <= size and (place == at or not begins_wavpack(data, place)):
            last, place, ended = place, end, _is_last(data, at, place)
            continue
        again = _wv_again(data, last + 1)
        follows = begins_wavpack(data, again)
        other = again if follows else begins(data, last + 1, again)
        if follows or other < again or ended:
            spans.append((kept, min(place, other)))
            return _spans(data, spans, min(place, other), holes, ended=ended)
        if again == size:
            break
        stop = place if again >= place else last  # bytes of the last block are missing
        spans.append((kept, stop))
        window += stop - kept
        holes.append(Hole(window, again - stop))
        place = kept = last = again
    spans.append((kept, size))
    return _spans(data, spans, size, holes, ended=ended)


def _spans(
    data: Bytes, spans: list[tuple[int, int]], end: int, holes: list[Hole], *, ended: bool
) -> Part:
    told = 0 < unpack_from("<I", data, spans[0][0] + 12)[0] < _UNKNOWN
    whole: Whole = "yes" if ended else "no" if told else "unknown"
    pieces = tuple(Range(*one) for one in spans if one[0] < one[1])
    return Part("wv", pieces, end, whole, holes=tuple(holes))


def _is_last(data: Bytes, begin: int, at: int) -> bool:
    """Return whether the WavPack block at ``at`` holds the last sample, by the first block."""
    total = unpack_from("<I", data, begin + 12)[0]
    first, count = unpack_from("<II", data, at + 16)
    return bool(0 < total < _UNKNOWN and first + count >= total)


def _wv_again(data: Bytes, at: int) -> int:
    """Return where a WavPack block begins again, or the end."""
    while (at := data.find(_WV, at)) >= 0:
        if _wv_block(data, at):
            return at
        at += 1
    return len(data)


def _wv_block(data: Bytes, at: int) -> int:
    """Return where the block at ``at`` ends; 0 where there is none."""
    head = data[at : at + 32]
    if len(head) < 32 or head[:4] != _WV or not 0x402 <= head[8] | head[9] << 8 <= 0x410:  # noqa: PLR2004
        return 0
    return at + 8 + int(unpack_from("<I", head, 4)[0])


def tta_part(data: Bytes, at: int, _begins: Begins) -> Part:
    """Return a TTA file: the table behind its header tells the length of each frame."""
    rate, total = unpack_from("<II", data, at + 10)
    count = -(-total // max(1, rate * 256 // 245))
    table = at + _TTA_HEAD
    sizes = unpack_from(f"<{min(count, _MAX_CHUNKS)}I", data, table)
    return _told("tta", at, table + 4 * len(sizes) + 4 + sum(sizes), data)


def begins_tta(data: Bytes, at: int) -> bool:
    """Return whether a TTA file begins at ``at``: its header has a checksum."""
    head = data[at : at + _TTA_HEAD]
    return len(head) == _TTA_HEAD and zlib.crc32(head[:18]) == unpack_from("<I", head, 18)[0]


def begins_au(data: Bytes, at: int) -> bool:
    """Return whether an AU file begins at ``at``."""
    head, _, code, rate, channels = unpack_from(">IIIII", data, at + 4)
    return bool(24 <= head <= 1 << 20 and 1 <= code <= 27 and 1_000 <= rate <= 768_000  # noqa: PLR2004
                and 1 <= channels <= 255)  # noqa: PLR2004  # fmt: skip


def begins_caf(data: Bytes, at: int) -> bool:
    """Return whether a CAF file begins at ``at``."""
    return data[at + 8 : at + 20] == b"desc" + bytes(7) + b"\x20"


def begins_aiff(data: Bytes, at: int) -> bool:
    """Return whether an AIFF file begins at ``at``."""
    return data[at + 8 : at + 12] in {b"AIFF", b"AIFC"} and data[at + 12 : at + 16].isalnum()


def begins_wavpack(data: Bytes, at: int) -> bool:
    """Return whether WavPack blocks begin at ``at``: the first one has the first sample."""
    if not _wv_block(data, at):
        return False
    first, _, flags = unpack_from("<III", data, at + 16)
    return first == 0 and bool(flags & _WV_INITIAL)
