"""Several recordings in one file: every link, part and chunk, one after the other."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from stt_engine.errors import AudioTooLong
from stt_engine.speech import AudioLimits
from tests.support import sounds
from tests.support.bombs import chunk, riff, wav_format
from tests.support.tones import (
    AAC,
    AMR,
    FLAC,
    FRAGMENTED,
    M4A,
    MKA,
    MP3,
    OGG_FLAC,
    OPUS,
    TS,
    VORBIS,
    WAV,
    WEBM,
    Kind,
    codes,
    decoded,
    heard,
    tones,
    write,
)  # fmt: skip

FIRST, SECOND = [0, 1, 2, 3, 4, 5], [10, 11, 12, 13]


def _glued(folder: Path, *files: Path, between: bytes = b"") -> Path:
    path = folder / "glued"
    path.write_bytes(between.join(one.read_bytes() for one in files))
    return path


@pytest.mark.parametrize(
    "kind", [WAV, M4A, FRAGMENTED, MP3, TS, AAC, AMR, FLAC, OPUS, VORBIS, OGG_FLAC, MKA, WEBM],
    ids=str,
)  # fmt: skip
def test_the_second_of_two_is_heard(tmp_path: Path, kind: Kind) -> None:
    path = _glued(tmp_path, write(tmp_path / "a", kind, FIRST), write(tmp_path / "b", kind, SECOND))
    found = decoded(path)
    assert found.duration == pytest.approx(10, abs=0.35)
    got = [one for one in heard(found)[0] if one is not None and one >= 0]
    assert got == FIRST + SECOND
    assert found.ledger["unheard"] == []
    assert found.ledger["heard_share"] == 1.0
    if kind not in {MP3, AAC, TS}:  # in these nothing tells where one ends
        assert "parts" in codes(found)
        assert len(found.ledger["parts"]) == 2


def test_three_parts_with_zeros_between_them(tmp_path: Path) -> None:
    for kind in (WAV, M4A):
        one = write(tmp_path / f"{kind}1", kind, [1, 2])
        two = write(tmp_path / f"{kind}2", kind, [3, 4])
        found = decoded(_glued(tmp_path, one, two, one, between=bytes(5_001)))
        assert [n for n in heard(found)[0] if n is not None and n >= 0] == [1, 2, 3, 4, 1, 2]


@pytest.mark.parametrize(
    ("first", "second"),
    [(OPUS, OGG_FLAC), (VORBIS, OPUS), (Kind("ogg", "libopus", 48_000, "stereo"), OPUS),
     (OPUS, Kind("ogg", "libopus", 48_000, "stereo"))],
)  # fmt: skip
def test_links_of_other_codecs_and_channels(tmp_path: Path, first: Kind, second: Kind) -> None:
    a, b = write(tmp_path / "a", first, FIRST), write(tmp_path / "b", second, SECOND)
    found = decoded(_glued(tmp_path, a, b))
    assert heard(found)[0][:10] == FIRST + SECOND


def test_a_mono_link_then_one_of_two_speakers(tmp_path: Path) -> None:
    """The second channel begins where it begins."""
    one = sounds.write_wav(tmp_path / "1.wav", tones([1, 2, 3]))
    left = sounds.write_wav(tmp_path / "l.wav", tones([4, 5]))
    right = sounds.write_wav(tmp_path / "r.wav", tones([14, 15]))
    two = sounds.two_channels(tmp_path / "2.wav", left, right)
    links = [sounds.encode(each, tmp_path / f"{each.stem}.ogg", "opus") for each in (one, two)]
    found = decoded(_glued(tmp_path, *links))
    assert heard(found) == [[1, 2, 3, 4, 5], [None, None, None, 14, 15]]


def test_two_streams_with_other_programs(tmp_path: Path) -> None:
    """It was an IndexError."""
    a = write(tmp_path / "a", TS, FIRST)
    b = write(tmp_path / "b", TS, SECOND, mpegts_start_pid="500", mpegts_pmt_start_pid="5000")
    assert heard(decoded(_glued(tmp_path, a, b)))[0][:10] == FIRST + SECOND


def test_an_mp4_behind_a_wav(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", WAV, FIRST), write(tmp_path / "b", M4A, SECOND)
    assert heard(decoded(_glued(tmp_path, a, b)))[0][:10] == FIRST + SECOND


def _raw(numbers: list[int]) -> bytes:
    return (tones(numbers) * 32_767).astype("<i2").tobytes()


def test_two_data_chunks(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    note = chunk(b"LIST", b"INFOICMT\x04\0\0\0abc\0")
    path.write_bytes(riff(wav_format(), chunk(b"data", _raw(FIRST)), note,
                          chunk(b"data", _raw(SECOND))))  # fmt: skip
    found = decoded(path)
    assert heard(found) == [FIRST + SECOND]
    assert found.ledger["whole"] == "yes"


@pytest.mark.parametrize("said", ["half", "an odd third"])
def test_a_data_chunk_that_says_less_than_is_there(tmp_path: Path, said: str) -> None:
    raw = _raw(FIRST)
    length = len(raw) // 2 if said == "half" else len(raw) // 3 | 1
    path = tmp_path / "a.wav"
    path.write_bytes(riff(wav_format(), chunk(b"data", raw, length)))
    found = decoded(path)
    assert heard(found) == [FIRST]
    assert "length_too_short" in codes(found)


def test_what_follows_the_samples_is_not_played(tmp_path: Path) -> None:
    for tail in (b"ID3\4\0\0\0\0\1\0" + bytes(128), b"TAG" + b"x" * 125, bytes(70_000)):
        path = tmp_path / "a.wav"
        path.write_bytes(riff(wav_format(), chunk(b"data", _raw(FIRST))) + tail)
        assert decoded(path).duration == 6.0


def test_junk_behind_a_whole_file_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a", M4A, FIRST)
    path.write_bytes(path.read_bytes() + b"<html>" * 500)
    found = decoded(path)
    assert heard(found)[0][:6] == FIRST
    assert "trailing_bytes" in codes(found)
    assert found.ledger["trailing_bytes"] == 3_000


def test_a_part_that_cannot_be_opened_hides_no_other(tmp_path: Path) -> None:
    a = write(tmp_path / "a", WAV, FIRST)
    broken = riff(wav_format(code=0x1234), chunk(b"data", _raw(SECOND)))
    path = tmp_path / "glued"
    path.write_bytes(a.read_bytes() + broken + a.read_bytes())
    found = decoded(path)
    assert [n for n in heard(found)[0] if n is not None] == FIRST + FIRST
    (lost,) = found.ledger["unheard"]
    assert lost["reason"] == "unreadable"
    assert lost["end"] - lost["start"] == pytest.approx(4, abs=0.1)


def test_sizes_of_rf64(tmp_path: Path) -> None:
    raw = _raw(FIRST)
    sizes = chunk(b"ds64", struct.pack("<QQQI", len(raw) + 100, len(raw), len(raw) // 2, 0))
    body = b"WAVE" + sizes + wav_format() + chunk(b"data", raw, 0xFFFFFFFF)
    path = tmp_path / "a.wav"
    path.write_bytes(b"RF64\xff\xff\xff\xff" + body + chunk(b"LIST", b"INFO"))
    found = decoded(path)
    assert heard(found) == [FIRST]
    assert found.ledger["whole"] == "yes"


def test_what_cannot_be_opened_is_missing_from_every_track(tmp_path: Path) -> None:
    two = write(tmp_path / "a", MKA, FIRST, [n + 10 for n in FIRST]).read_bytes()
    broken = riff(wav_format(code=0x1234), chunk(b"data", bytes(6 * 32_000)))
    path = tmp_path / "glued"
    path.write_bytes(two + broken + two)
    found = decoded(path)
    assert found.ledger["heard_share"] == pytest.approx(2 / 3, abs=0.02)
    (lost,) = [one for one in found.ledger["warnings"] if one["code"] == "damaged"]
    assert f"a part of {len(broken)} bytes" in lost["detail"]


def test_a_part_that_would_be_longer_than_the_limit_is_refused_before_it_costs_disk(
    tmp_path: Path,
) -> None:
    a = write(tmp_path / "a", MKA, FIRST).read_bytes()
    broken = riff(wav_format(code=0x1234), chunk(b"data", bytes(20_000_000)))
    path = tmp_path / "glued"
    path.write_bytes(a + broken)
    with pytest.raises(AudioTooLong):
        decoded(path, AudioLimits(max_duration_sec=60))
