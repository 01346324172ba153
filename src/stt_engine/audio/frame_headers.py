"""The headers of frames that carry no container (mp3, AAC, AMR, AC-3): how long each one is."""

from __future__ import annotations

from collections.abc import Callable

from stt_engine.audio.parts import Bytes

Frame = tuple[int, float]
"""Bytes and seconds of one frame."""

AMR_MAGIC = (b"#!AMR\n", b"#!AMR-WB\n")
_MP3_RATES = (44_100, 48_000, 32_000)
_MP3_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000,
              11_025, 8_000, 7_350)  # fmt: skip
_AMR_BYTES = (13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1)
_AMR_WIDE_BYTES = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1)
_AC3_KBITS = (
    32,
    40,
    48,
    56,
    64,
    80,
    96,
    112,
    128,
    160,
    192,
    224,
    256,
    320,
    384,
    448,
    512,
    576,
    640,
)
_AC3_RATES = (48_000, 44_100, 32_000)


def _mp3_table() -> dict[int, Frame]:
    """Return bytes and seconds by the 15 bits of a header that tell them."""
    table: dict[int, Frame] = {}
    for version, layer, bits, rate_bits, pad in (
        (v, n, b, r, p) for v in (0, 2, 3) for n in (1, 2, 3) for b in range(1, 15)
        for r in range(3) for p in (0, 1)
    ):  # fmt: skip
        low = 1 if version == 3 else 2  # noqa: PLR2004 - MPEG 1, or 2 and 2.5
        rate = _MP3_RATES[rate_bits] >> {3: 0, 2: 1, 0: 2}[version]
        kbits = _MP3_KBITS[low, layer][bits - 1]
        samples = 384 if layer == 1 else 576 if (layer, low) == (3, 2) else 1152
        slot = 4 if layer == 1 else 1
        size = (samples // 8 // slot * kbits * 1000 // rate + pad) * slot
        key = version << 10 | (4 - layer) << 8 | bits << 4 | rate_bits << 2 | pad << 1
        table[key] = (size, samples / rate)
    return table


_MP3 = _mp3_table()


def mp3_frame(data: Bytes, at: int) -> Frame | None:
    """Return the MPEG audio frame whose header is at ``at``; ``None`` where there is none."""
    if data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:  # noqa: PLR2004 - the sync word
        return None
    second, third = data[at + 1], data[at + 2]
    return _MP3.get((second >> 3 & 3) << 10 | (second >> 1 & 3) << 8 | third & 0xFE)


def _aac_frame(data: Bytes, at: int) -> Frame | None:
    if data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:  # noqa: PLR2004 - the sync word
        return None
    rate = data[at + 2] >> 2 & 15
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if rate >= len(_AAC_RATES) or size < 8:  # noqa: PLR2004 - a header and a byte
        return None
    return size, 1024 * ((data[at + 6] & 3) + 1) / _AAC_RATES[rate]


def _amr_frame(data: Bytes, at: int, sizes: tuple[int, ...] = _AMR_BYTES) -> Frame | None:
    first = data[at]
    if first & 0x83 or 9 - (sizes is _AMR_BYTES) < first >> 3 < 15:  # noqa: PLR2004
        return None
    if not first and not any(data[at : at + sizes[0]]):
        return None  # zeros where there was something else
    return sizes[first >> 3], 0.02


def amr_wide_frame(data: Bytes, at: int) -> Frame | None:
    """Return the wide-band AMR frame whose header is at ``at``; ``None`` where there is none."""
    return _amr_frame(data, at, _AMR_WIDE_BYTES)


def _ac3_frame(data: Bytes, at: int) -> Frame | None:
    if data[at] != 0x0B or data[at + 1] != 0x77:  # noqa: PLR2004 - the sync word
        return None
    if data[at + 5] >> 3 > 10:  # noqa: PLR2004 - E-AC-3
        words = ((data[at + 2] & 7) << 8 | data[at + 3]) + 1
        code = data[at + 4] >> 6
        rate = _AC3_RATES[code] if code < 3 else 24_000  # noqa: PLR2004
        blocks = (1, 2, 3, 6)[data[at + 4] >> 4 & 3] if code < 3 else 6  # noqa: PLR2004
        return words * 2, 256 * blocks / rate
    code, size = data[at + 4] >> 6, data[at + 4] & 63
    if code > 2 or size >= 2 * len(_AC3_KBITS):  # noqa: PLR2004
        return None
    rate = _AC3_RATES[code]
    words = 96_000 * _AC3_KBITS[size >> 1] // rate
    return 2 * (words + (size & 1 if code == 1 else 0)), 1536 / rate


ReadFrame = Callable[[Bytes, int], Frame | None]

WALKERS: dict[str, ReadFrame] = {
    "mp3": mp3_frame,
    "aac": _aac_frame,
    "ac3": _ac3_frame,
    "eac3": _ac3_frame,
    "amr": _amr_frame,
}
"""FFmpeg's name of the format to what reads a frame's header."""

AMR_READERS: dict[str, ReadFrame] = {"amrnb": _amr_frame, "amrwb": amr_wide_frame}
"""The same by FFmpeg's name of the codec, for packets of any container."""

HEADER_BYTES = 8
CHAIN = 3
"""Frames in a row that are no chance."""

SYNC = {"mp3": b"\xff", "aac": b"\xff", "ac3": b"\x0b\x77", "eac3": b"\x0b\x77"}
"""How a frame of each format begins; those of AMR begin with any byte."""

_FIXED = {"mp3": (0xFE, 0x0C), "aac": (0xFE, 0xFC), "ac3": (0xFF, 0), "eac3": (0xFF, 0)}
"""Bits of the second and third byte of a header that all frames of a recording have in common."""


_TAGS = (b"Xing", b"Info", b"VBRI")


def form(data: Bytes, at: int, kind: str) -> tuple[int, int]:
    """Return what the header at ``at`` has in common with all others of its recording."""
    second, third = _FIXED.get(kind, (0, 0))
    return data[at + 1] & second, data[at + 2] & third


def begins_tagged(data: Bytes, at: int, kind: str) -> bool:
    """Return whether the frame at ``at`` holds the tag of an mp3's first one."""
    found = mp3_frame(data, at) if kind == "mp3" else None
    return found is not None and any(one in data[at : at + found[0]] for one in _TAGS)


def chained(data: Bytes, at: int, stop: int, kind: str, count: int) -> bool:
    """Return whether ``count`` frames of one form follow each other, or the last ones of all."""
    read = WALKERS[kind]
    common = form(data, at, kind) if at + 2 < stop else (0, 0)
    for number in range(count):
        if at > stop - HEADER_BYTES:
            return number >= CHAIN and at <= stop
        found = read(data, at)
        if found is None or form(data, at, kind) != common:
            return False
        at += found[0]
    return at <= stop
