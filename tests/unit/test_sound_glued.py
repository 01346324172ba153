"""Files of different containers one behind the other: each is heard, or said to be unheard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stt_engine.errors import AudioTruncated
from tests.support import sounds
from tests.support.bombs import chunk, id3, riff, wav_format
from tests.support.tones import (
    AAC,
    AC3,
    AIFF,
    AMR,
    FLAC,
    KINDS,
    MKA,
    MORE,
    MP3,
    MP4,
    OPUS,
    TS,
    TTA,
    WAV,
    WAVPACK,
    Kind,
    codes,
    decoded,
    heard,
    tones,
    unheard_seconds,
    write,
)

FIRST, SECOND = [0, 1, 2, 3], [10, 11, 12]
EVERY = (*KINDS, *MORE)
MPEG_STREAMS = tuple(
    Kind(one, codec) for one in ("mpegts", "mpeg") for codec in ("mp2", "libmp3lame")
)
TS_AC3 = replace(TS, codec="ac3")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, tuple[bytes, bytes]]:
    """Two recordings of every kind."""
    path = tmp_path_factory.mktemp("glued") / "a"
    return {
        kind: (write(path, kind, FIRST).read_bytes(), write(path, kind, SECOND).read_bytes())
        for kind in EVERY
    }


def _unlike(path: Path, files: dict[Kind, tuple[bytes, bytes]], pair: tuple[Kind, Kind]) -> str:
    """Return what is wrong with the answer to two files in one."""
    path.write_bytes(files[pair[0]][0] + files[pair[1]][1])
    found = decoded(path)
    got = [one for one in heard(found)[0] if one is not None and one >= 0]
    told = codes(found) - {"parts", "time_stamps", "channel_copies"}
    if got == FIRST + SECOND and not told and found.ledger["heard_share"] == 1.0:
        return ""
    return f"{pair[0]} + {pair[1]}: {got}, {sorted(told)}, {found.ledger['unheard']}"


@pytest.mark.parametrize("distance", [5, 13])
def test_the_second_of_another_container_is_heard(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]], distance: int
) -> None:
    pairs = zip(EVERY, (*EVERY[distance:], *EVERY[:distance]), strict=True)
    assert [text for one in pairs if (text := _unlike(tmp_path / "b", files, one))] == []


@pytest.mark.slow
@pytest.mark.parametrize("first", EVERY, ids=str)
def test_every_container_behind_every_other(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]], first: Kind
) -> None:
    assert [text for one in EVERY if (text := _unlike(tmp_path / "b", files, (first, one)))] == []


@pytest.mark.parametrize("kind", [AIFF, AMR, FLAC, MP4, MKA, MP3, OPUS, TS, TTA, WAVPACK], ids=str)
def test_bytes_that_nobody_knows_are_unheard(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]], kind: Kind
) -> None:
    path = tmp_path / "a"
    whole = files[kind][0]
    path.write_bytes(whole + np.random.default_rng(1).bytes(len(whole) // 2))
    found = decoded(path)
    assert heard(found)[0][:4] == FIRST
    assert unheard_seconds(found) == pytest.approx(2, abs=0.7)
    assert {one["reason"] for one in found.ledger["unheard"]} <= {"unreadable", "damaged"}
    assert codes(found) & {"trailing_bytes", "damaged"}
    assert found.ledger["heard_share"] == pytest.approx(0.67, abs=0.1)


@pytest.mark.parametrize("kind", [FLAC, MP4, OPUS, TS, WAV], ids=str)
def test_junk_between_two_files_hides_neither(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]], kind: Kind
) -> None:
    path = tmp_path / "a"
    path.write_bytes(files[kind][0] + b"<html>" * 1_000 + files[OPUS][1])
    found = decoded(path)
    assert {*FIRST, 10, 11} <= {*heard(found)[0]}  # the last second may begin in mid second
    assert "length_too_short" in codes(found) or unheard_seconds(found) > 0


def test_a_first_file_that_nobody_can_open_is_missing(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]]
) -> None:
    """It had no length, and the answer called the call whole."""
    path = tmp_path / "a"
    broken = riff(wav_format(code=0x1234), chunk(b"data", bytes(2 * 32_000)))
    path.write_bytes(broken + files[OPUS][1])
    found = decoded(path)
    assert [one for one in heard(found)[0] if one is not None] == SECOND
    (lost,) = found.ledger["unheard"]
    assert (lost["start"], lost["end"]) == (0, pytest.approx(2, abs=0.1))


def test_the_start_of_an_mp3_is_damaged(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]]
) -> None:
    path, raw = tmp_path / "a", files[MP3][0]
    quarter = len(raw) // 4
    path.write_bytes(np.random.default_rng(2).bytes(quarter) + raw[quarter:])
    found = decoded(path)
    assert unheard_seconds(found) == pytest.approx(1, abs=0.3)
    assert heard(found)[0][2:4] == FIRST[2:]


def test_a_file_inside_the_samples_of_another_is_no_part(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]]
) -> None:
    """FLAC stores what it cannot compress as it is: the bytes of a whole Ogg file."""
    ogg = files[OPUS][1][:8_000]
    samples = np.concatenate(
        [tones(FIRST) * 32_767, np.frombuffer(ogg, ">i2"), tones(FIRST) * 32_767]
    )
    source = sounds.write_wav(tmp_path / "a.wav", samples / 32_767)
    raw = bytearray(sounds.encode(source, tmp_path / "a.flac", "flac").read_bytes())
    for total in (raw[21:26], bytes(5)):
        raw[21:26] = bytes([raw[21] & 0xF0 | total[0] & 0x0F]) + total[1:]
        (tmp_path / "b").write_bytes(raw)
        found = decoded(tmp_path / "b")
        assert found.ledger["parts"] == ["flac"]
        assert found.duration == pytest.approx(8.25, abs=0.02)


def test_a_file_inside_a_tag_or_inside_samples_is_no_part(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]]
) -> None:
    inner = files[WAV][1]
    tagged, held = tmp_path / "a", tmp_path / "b"
    tagged.write_bytes(id3(len(inner), inner) + files[MP3][0])
    samples = (tones(FIRST) * 32_767).astype("<i2").tobytes()
    held.write_bytes(riff(wav_format(), chunk(b"data", samples + inner + samples)))
    assert decoded(tagged).ledger["parts"] == ["mp3"]
    assert decoded(held).ledger["parts"] == ["wav"]


def test_a_wav_that_was_cut_before_another_file_is_not_called_whole(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]]
) -> None:
    """The other file was played as samples, and the share was 0.97."""
    path, cut = tmp_path / "a", files[WAV][0][: 3 * 32_000]
    path.write_bytes(cut + files[OPUS][1])
    found = decoded(path)
    assert heard(found)[0] == [*FIRST[:3], None, *SECOND]
    (lost,) = found.ledger["unheard"]
    assert (lost["start"], lost["end"]) == (pytest.approx(3, abs=0.01), pytest.approx(4, abs=0.01))
    assert lost["reason"] == "cut"
    assert found.ledger["whole"] == "no"
    assert "cut" in codes(found)


def test_the_scrap_of_a_copy_before_a_whole_one_does_not_refuse_it(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]]
) -> None:
    """An upload broke off and was begun again: the file was said to end after 0.0 s."""
    path = tmp_path / "a"
    path.write_bytes(files[MP3][1][:700] + files[MP3][0])
    found = decoded(path)
    assert heard(found)[0][:4] == FIRST
    assert found.duration == pytest.approx(4, abs=0.2)
    assert found.ledger["whole"] == "no"
    assert "cut" in codes(found)


def test_a_last_part_that_is_cut_is_a_cut_file(
    tmp_path: Path, files: dict[Kind, tuple[bytes, bytes]]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(files[OPUS][1] + files[WAV][0][: 2 * 32_000])
    with pytest.raises(AudioTruncated):
        decoded(path)


def test_a_second_part_of_another_form_is_heard_from_its_first_second(tmp_path: Path) -> None:
    """A decoder for each of its first fifty frames was tried, and as many were thrown away."""
    path = tmp_path / "a"
    for first, second in (
        (replace(TS, layout="stereo"), TS),
        (TS, replace(TS, rate=44_100)),
        (MP3, replace(MP3, rate=44_100, layout="stereo")),
    ):
        parts = [write(path, *one).read_bytes() for one in ((first, FIRST), (second, SECOND))]
        path.write_bytes(b"".join(parts))
        found = decoded(path)
        assert [one for one in heard(found)[0] if one is not None] == FIRST + SECOND
        assert unheard_seconds(found) < 0.15


@pytest.mark.parametrize(
    "other", [{"layout": "stereo"}, {"rate": 8_000}, {"rate": 48_000}], ids=str
)
@pytest.mark.parametrize("kind", [AAC, AC3, FLAC, MP3, TS], ids=str)
def test_no_sound_is_lost_where_the_form_changes(
    tmp_path: Path, kind: Kind, other: dict[str, Any]
) -> None:
    """A frame of 20 to 80 ms was: the first of another form, while that form was doubted."""
    if kind is AC3 and "rate" in other:
        pytest.skip("this encoder has one rate here")
    paths = [
        write(tmp_path / "a", kind, FIRST),
        write(tmp_path / "b", replace(kind, **other), SECOND),
    ]
    apart = [decoded(path).duration for path in paths]
    (tmp_path / "c").write_bytes(b"".join(path.read_bytes() for path in paths))
    found = decoded(tmp_path / "c")
    assert [one for one in heard(found)[0] if one is not None] == FIRST + SECOND
    assert found.duration >= sum(apart) - 0.001
    assert found.ledger["unheard"] == []


@pytest.mark.parametrize("rates", [(16_000, 24_000), (44_100, 48_000), (16_000, 48_000)], ids=str)
@pytest.mark.parametrize("kind", [*MPEG_STREAMS, TS, TS_AC3], ids=str)
def test_a_stream_that_begins_again_is_another_recording(
    tmp_path: Path, kind: Kind, rates: tuple[int, int]
) -> None:
    """Its first frame had the time of the one before, and 26 to 72 ms were lost."""
    if kind is TS_AC3:
        rates = (44_100, 48_000)
    first = write(tmp_path / "a", replace(kind, rate=rates[0]), FIRST)
    second = write(tmp_path / "b", replace(kind, rate=rates[1]), SECOND)
    apart = [decoded(path) for path in (first, second)]
    assert [one.ledger["unheard"] for one in apart] == [[], []]
    (tmp_path / "c").write_bytes(first.read_bytes() + second.read_bytes())
    found = decoded(tmp_path / "c")
    assert [one for one in heard(found)[0] if one is not None] == FIRST + SECOND
    assert found.duration == pytest.approx(sum(one.duration for one in apart), abs=0.002)
    assert found.ledger["unheard"] == []
    assert codes(found) == {"parts"}


def test_a_last_frame_whose_checksum_ends_in_zero_is_heard(tmp_path: Path) -> None:
    """Its checksum was right one byte too early, and so the frame was cut: 1 in 256 were lost."""
    path, length = tmp_path / "a", 2_000
    source = sounds.write_wav(tmp_path / "a.wav", np.random.default_rng(4).normal(0, 0.1, 4_000))
    while length < 4_000:
        length += 1
        samples = np.frombuffer(source.read_bytes()[44:], "<i2")[:length] / 32_768
        raw = sounds.encode(sounds.write_wav(tmp_path / "b.wav", samples), path, "flac")
        if raw.read_bytes()[-1] == 0:
            break
    assert raw.read_bytes()[-1] == 0
    assert decoded(path).duration == pytest.approx(length / 16_000, abs=1e-4)
