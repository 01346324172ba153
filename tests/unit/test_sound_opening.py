"""Opening a file has a bound of its own, and its errors are in the taxonomy."""

from __future__ import annotations

import struct
import time
from contextlib import suppress
from pathlib import Path

import pytest

from stt_engine.audio.ogg import checksum
from stt_engine.audio.window import Range, Window
from stt_engine.errors import AudioRejected, AudioUnreadable
from stt_engine.speech import AudioLimits
from tests.support import bombs
from tests.support.bombs import atom, element, id3
from tests.support.tones import (
    FLAC,
    KINDS,
    M4A,
    MKA,
    MP3,
    OPUS,
    VORBIS,
    Kind,
    decoded,
    heard,
    write,
)  # fmt: skip

SECONDS = [0, 1, 2, 3]
BOUND_SEC = 20.0
"""Generous, for a machine that does other things; unbounded they take minutes."""


def _comments(size: int) -> bytes:
    """Return a Vorbis comment block of many different names."""
    each = [f"K{n:07}=v".encode() for n in range(size // 14)]
    body = b"".join(struct.pack("<I", len(one)) + one for one in each)
    return struct.pack("<I", 0) + struct.pack("<I", len(each)) + body


def _quick(path: Path, limits: AudioLimits | None = None) -> None:
    began = time.monotonic()
    found = decoded(path, limits)
    assert time.monotonic() - began < BOUND_SEC
    assert heard(found)[0][:4] == SECONDS
    assert found.ledger["unheard"] == []


def test_a_flac_with_16_mb_of_comments(tmp_path: Path) -> None:
    path = write(tmp_path / "a", FLAC, SECONDS)
    raw = path.read_bytes()
    comments = _comments(15 << 20)
    block = bytes([4]) + len(comments).to_bytes(3, "big") + comments
    path.write_bytes(raw[:4] + bytes([raw[4] & 0x7F]) + raw[5:42] + block + raw[42:])
    _quick(path)


def _page(serial: int, sequence: int, flags: int, body: bytes, *, ends: bool) -> bytes:
    lacing = b"\xff" * (len(body) // 255) + (bytes([len(body) % 255]) if ends else b"")
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, 0, serial, sequence, 0, len(lacing))
    page = head + lacing + body
    return page[:22] + struct.pack("<I", checksum(page)) + page[26:]


@pytest.mark.parametrize("kind", [OPUS, VORBIS], ids=str)
def test_an_ogg_with_megabytes_of_comments(tmp_path: Path, kind: object) -> None:
    path = write(tmp_path / "a", kind, SECONDS)  # type: ignore[arg-type]
    raw = path.read_bytes()
    pages, at = [], 0
    while at < len(raw):
        count = raw[at + 26]
        end = at + 27 + count + sum(raw[at + 27 : at + 27 + count])
        pages.append((at, at + 27 + count, end))
        at = end
    serial = struct.unpack_from("<I", raw, 14)[0]
    old = raw[pages[1][1] : pages[1][2]]
    if kind is OPUS:
        packet, rest = b"OpusTags" + _comments(8 << 20), b""
    else:
        packet = b"\x03vorbis" + _comments(8 << 20) + b"\1"
        rest = old[old.index(b"\x05vorbis") :]
    block = 255 * 255
    huge = b""
    for number, start in enumerate(range(0, len(packet), block)):
        body = packet[start : start + block]
        huge += _page(serial, number + 1, 1 if number else 0, body, ends=len(body) < block)
    if rest:
        huge += _page(serial, 500, 0, rest, ends=True)
    path.write_bytes(raw[: pages[0][2]] + huge + raw[pages[1][2] :])
    began = time.monotonic()
    found = decoded(path)
    assert time.monotonic() - began < BOUND_SEC
    assert heard(found)[0][:4] == SECONDS


def test_an_mp3_with_an_id3_of_many_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a", MP3, SECONDS)
    frames = b"".join(
        b"TXXX" + struct.pack(">I", len(one)) + b"\0\0" + one
        for one in (b"\0K%07d\0v" % n for n in range(400_000))
    )
    path.write_bytes(id3(len(frames), frames) + path.read_bytes())
    _quick(path)


def test_a_matroska_with_tags_of_megabytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a", MKA, SECONDS)
    tag = b"".join(
        element(0x67C8, element(0x45A3, b"K%07d" % n) + element(0x4487, b"v"))
        for n in range(200_000)
    )
    tags = element(0x1254C367, element(0x7373, element(0x63C0, b"") + tag))
    raw = path.read_bytes()
    segment = raw.index(b"\x18\x53\x80\x67")
    head = segment + 12
    size = int.from_bytes(raw[segment + 4 : head], "big") & ((1 << 56) - 1)
    longer = (size + len(tags) | 1 << 56).to_bytes(8, "big")
    path.write_bytes(raw[: segment + 4] + longer + raw[head:] + tags)
    _quick(path)


def test_an_mp4_with_user_data_of_megabytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a", M4A, SECONDS)
    items = b"".join(atom(b"\xa9%03d" % (n % 1000), bytes(40)) for n in range(200_000))
    path.write_bytes(path.read_bytes() + atom(b"udta", items))
    _quick(path)


def test_an_offset_that_no_file_has(tmp_path: Path) -> None:
    """It was an OSError out of a seek."""
    for value in ((1 << 63) - 1, 1 << 62, 1 << 40):
        offsets = atom(b"co64", struct.pack(">IIQ", 0, 1, value))
        path = tmp_path / "a.mov"
        path.write_bytes(bombs.mp4(bombs.track(stco=offsets), data=bytes(32_000)))
        with pytest.raises(AudioRejected):
            decoded(path)


def test_reading_the_header_ends_in_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a", M4A, SECONDS)
    with pytest.raises(AudioUnreadable, match="too long"):
        decoded(path, AudioLimits(open_timeout_sec=0.0))


def test_a_window_shows_its_pieces_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        window = Window(file.fileno(), (b"ab", Range(2, 5), Range(8, 10)))
        assert window.size == 7
        assert b"".join(iter(lambda: window.read(100), b"")) == b"ab23489"
        assert window.seek(-3, 2) == 4
        assert window.read(1) == b"4"
        window.seek(1 << 62)
        assert window.read(5) == b""
        with pytest.raises(AudioUnreadable):
            window.seek(-5)
        window.seek(0)
        assert window.read() == b"ab"


@pytest.mark.parametrize("kind", [FLAC, M4A, MKA, MP3, OPUS], ids=str)
def test_a_file_that_is_too_big_to_be_mapped_is_read(
    tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a", kind, SECONDS)
    monkeypatch.setattr("stt_engine.audio.opening._MAPPED_BYTES", 0)
    _quick(path)


def test_a_header_that_ends_with_the_file(tmp_path: Path) -> None:
    for kind in KINDS:
        whole = write(tmp_path / "a", kind, [0]).read_bytes()
        for length in (*range(1, 120), 200, 400):
            path = tmp_path / "b"
            path.write_bytes(whole[:length])
            with suppress(AudioRejected):
                decoded(path)
