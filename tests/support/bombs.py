"""Small files that ask for much: hours out of kilobytes, counts and sizes that no recorder writes.

All are built byte by byte, so that each says one thing that no encoder would let it say.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

FLAC_BLOCK = 65_535


def _crc_table(width: int, polynomial: int) -> list[int]:
    mask = (1 << width) - 1
    table = []
    for byte in range(256):
        crc = byte << (width - 8)
        for _ in range(8):
            crc = crc << 1 ^ (polynomial if crc >> (width - 1) & 1 else 0)
        table.append(crc & mask)
    return table


_CRC8, _CRC16 = _crc_table(8, 0x07), _crc_table(16, 0x8005)


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
    return crc


def flac(path: Path, seconds: float, rate: int = 16_000, channels: int = 1, **said: int) -> Path:
    """Write silence as FLAC: some twenty bytes for 65,535 samples.

    ``said``: ``total`` samples that the header declares instead of the true number (0: unknown),
    ``blocks`` that are there instead of all.
    """
    samples = round(seconds * rate)
    total = said.get("total", samples)
    facts = rate << 44 | (channels - 1) << 41 | 15 << 36 | total
    info = struct.pack(">HH", FLAC_BLOCK, FLAC_BLOCK) + bytes(6) + facts.to_bytes(8, "big")
    blocks = said.get("blocks", -(-samples // FLAC_BLOCK))
    with path.open("wb") as out:
        out.write(b"fLaC\x80\x00\x00\x22" + info + bytes(16))
        for number in range(blocks):
            head = b"\xff\xf8\x70" + bytes([(channels - 1) << 4 | 8])  # 16-bit size, 16-bit samples
            head += chr(number).encode("utf-8", "surrogatepass") + struct.pack(">H", FLAC_BLOCK - 1)
            frame = head + bytes([_crc8(head)]) + bytes(3 * channels)  # constant subframes
            out.write(frame + struct.pack(">H", _crc16(frame)))
    return path


def amr(path: Path, seconds: float) -> Path:
    """Write AMR frames without data: one byte for 20 ms."""
    path.write_bytes(b"#!AMR\n" + b"\x7c" * round(seconds * 50))
    return path


def chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    """Return a RIFF chunk; ``length`` is what it says of itself."""
    return name + struct.pack("<I", len(body) if length is None else length) + body


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav_format(
    code: int = 1, channels: int = 1, rate: int = 16_000, align: int | None = None, bits: int = 16
) -> bytes:
    """Return a ``fmt`` chunk that says so."""
    align = channels * bits // 8 if align is None else align
    average = min(rate * align, 0xFFFFFFFF)
    fields = (code, channels, rate, average, align & 0xFFFF, bits)
    return chunk(b"fmt ", struct.pack("<HHIIHH", *fields))


def atom(name: bytes, *body: bytes, size: int | None = None) -> bytes:
    """Return an MP4 atom; ``size`` is what it says of itself."""
    inner = b"".join(body)
    return struct.pack(">I", len(inner) + 8 if size is None else size) + name + inner


FTYP = atom(b"ftyp", b"M4A \0\0\2\0isomiso2")


def _mvhd(seconds: int) -> bytes:
    return atom(b"mvhd", bytes(12), struct.pack(">II", 1, seconds), bytes(80))


def track(
    number: int = 1,
    dref: bytes = b"",
    offset: int = 0,
    samples: int = 16_000,
    **said: bytes,
) -> bytes:
    """Return one sound track of 16 kHz PCM.

    ``said`` replaces parts: the ``entry`` of ``stsd``, ``edits``, ``stco``, the body of ``stsc``.
    """
    second = 16_000
    dref = dref or atom(b"url ", b"\0\0\0\1")
    entry = said.get("entry") or sound_entry()
    stsc = said.get("stsc") or struct.pack(">IIIII", 0, 1, 1, samples, 1)
    table = atom(
        b"stbl",
        atom(b"stsd", struct.pack(">II", 0, 1), entry),
        atom(b"stts", struct.pack(">IIII", 0, 1, samples, 1)),
        atom(b"stsc", stsc),
        atom(b"stsz", struct.pack(">III", 0, 2, samples)),
        said.get("stco") or atom(b"stco", struct.pack(">III", 0, 1, offset)),
    )
    media = atom(
        b"mdia",
        atom(b"mdhd", bytes(12), struct.pack(">IIHH", second, samples, 0x55C4, 0)),
        atom(b"hdlr", bytes(8), b"soun", bytes(13)),
        atom(
            b"minf",
            atom(b"smhd", bytes(8)),
            atom(b"dinf", atom(b"dref", struct.pack(">II", 0, 1), dref)),
            table,
        ),
    )
    head = atom(b"tkhd", struct.pack(">IIIIII", 7, 0, 0, number, 0, 1), bytes(60))
    edits = said.get("edits", b"")
    return atom(b"trak", head, *([atom(b"edts", edits)] if edits else []), media)


def sound_entry(channels: int = 1, rate: int = 16_000, bits: int = 16) -> bytes:
    """Return the sample description of 16-bit little-endian PCM, pointing at the first dref."""
    fields = struct.pack(">HHIHHHHI", 0, 0, 0, channels, bits, 0, 0, (rate & 0xFFFF) << 16)
    return atom(b"sowt", bytes(6), b"\0\1", fields)


def mp4(*tracks: bytes, data: bytes = b"", more: bytes = b"") -> bytes:
    """Return an MP4 of ``tracks``; ``data`` lies where ``offset`` 28 + 8 points."""
    return FTYP + atom(b"mdat", data) + atom(b"moov", _mvhd(1), *tracks, more)


MP4_DATA = len(FTYP) + 8
"""The offset of ``data`` in :func:`mp4`."""


def compressed_moov(path: Path, megabytes: int) -> Path:
    """Write a QuickTime header (``cmov``) of zeros that unpacks to ``megabytes``."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    unpacked = struct.pack(">I", megabytes << 20)
    movie = atom(b"cmov", atom(b"dcom", b"zlib"), atom(b"cmvd", unpacked, packed))
    path.write_bytes(FTYP + atom(b"moov", movie))
    return path


def element(identity: int, body: bytes, length: int | None = None) -> bytes:
    """Return an EBML element."""
    raw = identity.to_bytes((identity.bit_length() + 7) // 8, "big")
    size = (len(body) if length is None else length) | 1 << 56
    return raw + size.to_bytes(8, "big") + body


def number(identity: int, value: int) -> bytes:
    return element(identity, value.to_bytes(8, "big"))


def matroska(*body: bytes) -> bytes:
    """Return a Matroska file out of the segment's elements."""
    return element(0x1A45DFA3, element(0x4282, b"matroska")) + element(0x18538067, b"".join(body))


def matroska_track(
    index: int = 1, *more: bytes, rate: float = 16_000.0, channels: int = 1
) -> bytes:
    """Return one track entry of 16-bit PCM."""
    sound = element(0xB5, struct.pack(">d", rate)) + number(0x9F, channels) + number(0x6264, 16)
    facts = number(0xD7, index) + number(0x73C5, index) + number(0x83, 2)
    return element(
        0xAE, facts + element(0x86, b"A_PCM/INT/LIT") + element(0xE1, sound) + b"".join(more)
    )


def id3(size: int, body: bytes = b"") -> bytes:
    """Return an ID3v2.3 tag that says it has ``size`` bytes."""
    return b"ID3\3\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + body


def picture_frame(image: bytes) -> bytes:
    """Return the ID3 frame of a cover picture."""
    body = b"\0image/png\0\3\0" + image
    return b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body


def png(side: int) -> bytes:
    """Return a black picture of ``side`` by ``side`` pixels, a thousandth of its size in memory."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side * 3)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()

    def part(name: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", data) + part(b"IEND", b"")
