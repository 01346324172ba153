"""Damage in the middle: the intact rest is heard at its true times, the rest is said to be lost."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from stt_engine.audio import opening
from stt_engine.audio.frame_headers import WALKERS
from stt_engine.audio.tags import tag_bytes
from stt_engine.errors import AudioDamaged, AudioTruncated
from stt_engine.speech import AudioLimits
from tests.support.tones import (
    AAC,
    AC3,
    AMR,
    AVI,
    FLAC,
    FRAGMENTED,
    LATM,
    M4A,
    MP3,
    MP3_BARE,
    NOISE,
    OPUS,
    PACKED,
    TS,
    TTA,
    VORBIS,
    WAVPACK,
    WEBM,
    WMA,
    Kind,
    codes,
    decoded,
    heard,
    unheard_seconds,
    write,
)

SECONDS = list(range(21))
ASF_MP3 = Kind("asf", "libmp3lame")
PROGRAM, VOB = Kind("mpeg", "mp2"), Kind("vob", "mp2", 48_000)
MKA_VORBIS = replace(VORBIS, container="matroska")
AMR_3GP = replace(AMR, container="3gp")
DAMAGED = tuple(kind for kind in PACKED if kind is not WAVPACK)


def overwritten(path: Path, start: float, end: float, seed: int = 1) -> Path:
    """Put random bytes in place of a share of the file."""
    data = bytearray(path.read_bytes())
    first, last = int(len(data) * start), int(len(data) * end)
    data[first:last] = random.Random(seed).randbytes(last - first)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("fill", ["noise", "zeros"])
@pytest.mark.parametrize("kind", DAMAGED, ids=str)
def test_the_middle_third_is_overwritten(tmp_path: Path, kind: Kind, fill: str) -> None:
    path = overwritten(write(tmp_path / "a", kind, SECONDS), 1 / 3, 2 / 3)
    if fill == "zeros":
        data = bytearray(path.read_bytes())
        data[len(data) // 3 : 2 * len(data) // 3] = bytes(2 * len(data) // 3 - len(data) // 3)
        path.write_bytes(data)
    found = decoded(path)
    got = heard(found)[0]
    assert got[:5] == SECONDS[:5]
    assert got[16:21] == SECONDS[16:21]
    assert got[9:12] == [None] * 3
    assert 5.5 < unheard_seconds(found) < 10.5
    (span,) = [one for one in found.ledger["unheard"] if one["end"] - one["start"] > 3]
    assert (span["channel"], span["reason"]) == (None, "damaged")
    assert 4.9 < span["start"] < 8.2
    assert 13.3 < span["end"] < 16.3
    assert "damaged" in codes(found)
    assert found.ledger["heard_share"] == pytest.approx(1 - unheard_seconds(found) / 21, abs=0.02)
    for number, second in enumerate(got):  # what is not silent is at its time
        assert second in {number, None, NOISE}


@pytest.mark.parametrize(("kind", "seconds"), [(MKA_VORBIS, 21), (WEBM, 40), (WMA, 40)], ids=str)
def test_parts_in_a_wrong_order_are_no_pause(tmp_path: Path, kind: Kind, seconds: int) -> None:
    """Bytes were passed over before a jump of time: it was called a gap, and the share was 1."""
    path = write(tmp_path / "a", kind, list(range(seconds)))
    raw = path.read_bytes()
    first, middle, last = (len(raw) * tenths // 10 for tenths in (3, 6, 9))
    path.write_bytes(raw[:first] + raw[middle:last] + raw[first:middle] + raw[last:])
    found = decoded(path, AudioLimits(min_heard_share=0.0))
    got = [one for one in heard(found)[0] if one is not None and one >= 0]
    assert "damaged" in codes(found)
    claimed = found.ledger["heard_share"] * found.duration - found.ledger["gap_sec"]
    assert claimed <= len(got) + 2
    assert found.duration < 1.5 * seconds


@pytest.mark.parametrize("kind", [AMR_3GP, replace(AMR_3GP, container="mov")], ids=str)
def test_zeros_in_any_container_are_no_frames_of_amr(tmp_path: Path, kind: Kind) -> None:
    """Only a bare AMR file was looked at, and a decoder conceals them as sound."""
    path = write(tmp_path / "a", kind, SECONDS)
    raw = path.read_bytes()
    begin, end = len(raw) * 4 // 10, len(raw) * 6 // 10
    path.write_bytes(raw[:begin] + bytes(end - begin) + raw[end:])
    found = decoded(path)
    assert heard(found)[0][:7] == SECONDS[:7]
    assert unheard_seconds(found) > 3
    assert "damaged" in codes(found)


@pytest.mark.parametrize("kind", [MP3, MP3_BARE, AAC, OPUS, M4A, TS, AMR], ids=str)
def test_a_little_damage_costs_a_little(tmp_path: Path, kind: Kind) -> None:
    found = decoded(overwritten(write(tmp_path / "a", kind, SECONDS), 0.5, 0.51))
    assert [n for n, one in enumerate(heard(found)[0][:21]) if one != n] in ([], [10], [10, 11])
    assert 0 < unheard_seconds(found) < 2.1


@pytest.mark.parametrize(
    ("kind", "name", "byte", "bit"),
    [(MP3, "mp3", 2, 0x10), (MP3_BARE, "mp3", 2, 0x10), (MP3_BARE, "mp3", 2, 0x80),
     (AAC, "aac", 4, 0x80), (AC3, "ac3", 4, 0x08)],
    ids=str,
)  # fmt: skip
def test_a_wrong_length_of_one_frame_costs_that_frame(
    tmp_path: Path, kind: Kind, name: str, byte: int, bit: int
) -> None:
    """The frame behind it was passed over, and all that follows was called another recording."""
    path = write(tmp_path / "a", kind, SECONDS)
    data = bytearray(path.read_bytes())
    at = tag_bytes(bytes(data), 0)
    for _ in range(250):
        at += WALKERS[name](bytes(data), at)[0]
    data[at + byte] ^= bit
    path.write_bytes(data)
    found = decoded(path)
    assert found.ledger["parts"] == [name]
    assert found.ledger["whole"] == ("yes" if kind is MP3 else "unknown")
    assert found.duration == pytest.approx(21, abs=0.2)
    assert 0 < unheard_seconds(found) < 0.3
    assert {one["reason"] for one in found.ledger["unheard"]} == {"damaged"}
    assert codes(found) == {"damaged"}


def test_a_wrong_length_in_a_loas_stream_is_no_second_recording(tmp_path: Path) -> None:
    path = write(tmp_path / "a", LATM, SECONDS)
    data, at = bytearray(path.read_bytes()), 0
    for _ in range(150):
        at += 3 + ((data[at + 1] & 0x1F) << 8 | data[at + 2])
    data[at + 2] ^= 0x10
    path.write_bytes(data)
    found = decoded(path)
    assert found.ledger["parts"] == ["loas"]
    assert 0 < unheard_seconds(found) < 0.3
    assert codes(found) == {"damaged"}


@pytest.mark.parametrize("kind", [WMA, WAVPACK, PROGRAM, VOB, ASF_MP3], ids=str)
def test_bytes_cut_out_of_the_middle_do_not_cut_the_end(tmp_path: Path, kind: Kind) -> None:
    """Their blocks have times: the last one is there, and "the file ends after" was not true.

    In an MPEG program stream the rest was another recording, at another time, or a gap.
    """
    path = write(tmp_path / "a", kind, SECONDS)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 40 // 100] + data[len(data) * 45 // 100 :])
    found = decoded(path)
    got = heard(found)[0]
    assert (got[:8], got[13:21]) == (SECONDS[:8], SECONDS[13:])
    assert 0.9 < unheard_seconds(found) < 4.5
    assert "damaged" in codes(found)
    assert len(found.ledger["parts"]) == 1


def test_a_fragment_that_goes_back_does_not_hide_the_rest(tmp_path: Path) -> None:
    """FFmpeg plays nothing behind it: 8 s were missing, and the answer knew of none."""
    path = write(tmp_path / "a", FRAGMENTED, SECONDS)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 6 // 10] + raw[len(raw) * 4 // 10 :])
    found = decoded(path)
    assert heard(found)[0][:11] == SECONDS[:11]
    assert unheard_seconds(found) > 7
    assert codes(found) >= {"damaged", "trailing_bytes"}


@pytest.mark.parametrize("container", ["mpegts", "mpeg"])
def test_a_clock_that_is_wrong_once_begins_no_recording(tmp_path: Path, container: str) -> None:
    path = write(tmp_path / "a", Kind(container, "mp2"), SECONDS)
    data = bytearray(path.read_bytes())
    mark, offset = (b"\0\0\1\xc0", 11) if container == "mpegts" else (b"\0\0\1\xba", 7)
    places = [one.start() for one in re.finditer(re.escape(mark), data)]
    for place, change in zip(places[10::10], (0x40, 0x80, 0x20, 0x04, 0x10), strict=False):
        data[place + offset] ^= change
    path.write_bytes(data)
    found = decoded(path)
    assert len(found.ledger["parts"]) == 1
    assert found.duration == pytest.approx(21, abs=0.5)


@pytest.mark.parametrize("codec", ["libmp3lame", "mp2", "ac3"])
@pytest.mark.parametrize("fill", ["zeros", "noise", "at the end"])
def test_frames_in_a_wav_are_lost_with_their_time(tmp_path: Path, codec: str, fill: str) -> None:
    """What followed damage was 4 s too early, and the share was 1.0."""
    kind = Kind("wav", codec, 48_000 if codec == "ac3" else 16_000)
    path = write(tmp_path / "a", kind, SECONDS)
    whole = decoded(path)
    assert heard(whole)[0][:21] == SECONDS
    assert (whole.ledger["whole"], codes(whole)) == ("yes", set())
    raw = bytearray(path.read_bytes())
    first, last = (0.7, 1.0) if fill == "at the end" else (0.4, 0.6)
    begin, end = int(len(raw) * first), int(len(raw) * last)
    raw[begin:end] = (
        bytes(end - begin) if fill == "zeros" else random.Random(2).randbytes(end - begin)
    )
    path.write_bytes(raw)
    found = decoded(path)
    got = heard(found)[0]
    assert got[:8] == SECONDS[:8]
    assert fill == "at the end" or got[14:20] == SECONDS[14:20]
    assert unheard_seconds(found) == pytest.approx(21 * (last - first), abs=0.8)
    assert "damaged" in codes(found)


def test_a_damaged_first_pack_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a", PROGRAM, SECONDS)
    path.write_bytes(random.Random(1).randbytes(200) + path.read_bytes()[200:])
    found = decoded(path)
    assert heard(found)[0][1:20] == SECONDS[1:20]
    assert codes(found) == {"damaged"}


def test_a_cut_wav_of_frames_is_cut_by_its_bytes(tmp_path: Path) -> None:
    """Its header was said to be an unreadable part, and the rest a recording of unknown length."""
    path = write(tmp_path / "a", Kind("wav", "libmp3lame"), SECONDS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(AudioTruncated, match=r"only 12\.\d s of about 21\.\d s are there"):
        decoded(path)


def test_three_bytes_of_a_hundred_of_a_wma_are_wrong(tmp_path: Path) -> None:
    """In a file of eight seconds 1.8 were heard, and the answer said nothing of the others."""
    path = write(tmp_path / "a", WMA, SECONDS[:8])
    data, chance = bytearray(path.read_bytes()), random.Random(3)
    for _ in range(len(data) * 3 // 100):
        data[chance.randrange(1000, len(data))] = chance.randrange(256)
    path.write_bytes(data)
    found = decoded(path, AudioLimits(min_heard_share=0.0))
    intact = sum(one == n for n, one in enumerate(heard(found)[0]))
    assert found.duration - unheard_seconds(found) <= intact + 1.5


def test_two_thirds_damaged_is_refused_with_the_share(tmp_path: Path) -> None:
    path = overwritten(write(tmp_path / "a", MP3, SECONDS), 0.2, 0.9)
    with pytest.raises(AudioDamaged, match=r"only 6\.\d s of 2\d\.\d s can be decoded"):
        decoded(path)


def test_damage_at_the_end_is_not_called_a_cut_file(tmp_path: Path) -> None:
    for kind in (FLAC, MP3, M4A, TTA):
        path = write(tmp_path / f"{kind}", kind, SECONDS)
        length = path.stat().st_size
        end = 0.95 if kind is M4A else 1.0  # its index is behind the sound
        found = decoded(overwritten(path, 0.7, end))
        assert found.duration == pytest.approx(21, abs=1.0), (kind, length)
        assert found.ledger["heard_share"] < 0.8
        assert heard(found)[0][:14] == SECONDS[:14]


def test_a_transport_stream_too_large_to_be_mapped_says_damaged_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole packets of sound are missing: nothing that is left of them shows it."""
    path = write(tmp_path / "a", TS, SECONDS)
    data = path.read_bytes()
    begins = [at for at in range(0, len(data), 188) if data[at + 1 : at + 3] == b"\x41\x00"]
    first, last = begins[len(begins) // 3], begins[2 * len(begins) // 3]
    path.write_bytes(data[:first] + data[last:])
    monkeypatch.setattr(opening, "_MAPPED_BYTES", 1_000)
    found = decoded(path)
    lost = sum(one["end"] - one["start"] for one in found.ledger["unheard"])
    assert lost == pytest.approx(7, abs=1.5)
    assert "damaged" in codes(found)


def test_an_avi_whose_index_lies_is_not_whole(tmp_path: Path) -> None:
    """FFmpeg found one packet of it, and 0.04 s of 20 were all that there was, the answer said."""
    path = write(tmp_path / "a", AVI, SECONDS)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"idx1") + 18] = 226  # where the first packet is
    path.write_bytes(raw)
    with pytest.raises(AudioDamaged):
        decoded(path)
