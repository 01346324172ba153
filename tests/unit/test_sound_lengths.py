"""What FFmpeg estimates is not what a header declares."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.support.bombs import id3
from tests.support.tones import AAC, MP3, MP3_BARE, codes, decoded, heard, write

SECONDS = list(range(12))

WRAPPED = {
    "ape tag": lambda raw: raw + b"APETAGEX" + struct.pack("<IIIQ", 2_000, 100_032, 1, 0)
    + bytes(4) + b"x" * 100_000 + b"APETAGEX" + bytes(24),
    "id3 of megabytes": lambda raw: id3(3 << 20, bytes(3 << 20)) + raw,
    "zeros after the end": lambda raw: raw + bytes(500_000),
    "id3v1": lambda raw: raw + b"TAG" + b"a" * 125,
    "zeros before": lambda raw: bytes(4_000) + raw,
}  # fmt: skip


@pytest.mark.parametrize("name", list(WRAPPED))
@pytest.mark.parametrize("kind", [MP3, MP3_BARE, AAC], ids=["xing", "bare", "aac"])
def test_what_is_around_an_mp3_is_no_sound_that_is_missing(
    tmp_path: Path, name: str, kind: object
) -> None:
    path = write(tmp_path / "a", kind, SECONDS)  # type: ignore[arg-type]
    path.write_bytes(WRAPPED[name](path.read_bytes()))
    found = decoded(path)
    assert heard(found)[0][:12] == SECONDS
    assert found.duration == pytest.approx(12, abs=0.2)
    assert found.ledger["unheard"] == []
    assert codes(found) == set()
    assert (found.ledger["declared_sec"] is None) == (kind is not MP3)


def test_a_frame_count_of_another_file(tmp_path: Path) -> None:
    """As many bytes as the header says, but not the frames: the frames are believed."""
    path = write(tmp_path / "a", MP3, SECONDS)
    raw = bytearray(path.read_bytes())
    place = max(raw.find(b"Xing"), raw.find(b"Info"))
    raw[place + 8 : place + 12] = struct.pack(">I", 5_000)
    path.write_bytes(raw)
    found = decoded(path)
    assert heard(found)[0][:12] == SECONDS
    assert found.ledger["declared_sec"] is None


def test_an_mp3_that_is_whole_but_damaged_is_not_called_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "a", MP3, SECONDS)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + len(raw) // 6] = bytes(len(raw) // 6)
    path.write_bytes(raw)
    found = decoded(path)
    assert found.duration == pytest.approx(12, abs=0.3)
    assert found.ledger["heard_share"] == pytest.approx(0.83, abs=0.04)
    assert found.ledger["whole"] == "yes"
