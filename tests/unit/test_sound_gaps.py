"""Gaps in the time stamps are silence, so that times are those of the recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.tones import (
    AVI,
    MKA,
    MP4,
    OGG_FLAC,
    OPUS,
    TS,
    WEBM,
    Kind,
    codes,
    decoded,
    heard,
    tones,
    unheard_seconds,
    write,
)  # fmt: skip

BEFORE, AFTER = [0, 1, 2, 3, 4], [5, 6, 7, 8]
MKV_PCM = Kind("matroska", "pcm_s16le")
MP4_OPUS = Kind("mp4", "libopus", 48_000)
AVIS = (AVI, Kind("avi", "aac"), Kind("avi", "ac3", 48_000), Kind("avi", "mp2"))
GAPPED = (*AVIS, MKA, MP4, MP4_OPUS, OGG_FLAC, OPUS, TS, WEBM, MKV_PCM)


@pytest.mark.parametrize("seconds", [3, 15])
@pytest.mark.parametrize("kind", GAPPED, ids=str)
def test_a_gap_is_silence(tmp_path: Path, kind: Kind, seconds: int) -> None:
    path = write(tmp_path / "a", kind, BEFORE + AFTER, gap=(5.0, seconds))
    found = decoded(path)
    assert found.duration == pytest.approx(9 + seconds, abs=0.3)
    got = heard(found)[0]
    assert got[:5] == BEFORE
    assert got[5 + seconds + 1 : 5 + seconds + 4] == AFTER[1:]
    assert set(got[6 : 4 + seconds]) <= {None}
    assert found.ledger["unheard"] == []
    ((start, end),) = found.ledger["gaps"]
    assert (start, end) == (pytest.approx(5, abs=0.15), pytest.approx(5 + seconds, abs=0.15))
    assert codes(found) == {"gaps"}
    assert found.ledger["gap_sec"] == pytest.approx(seconds, abs=0.2)


@pytest.mark.parametrize("kind", [AVI, MKA, MP4, OGG_FLAC, OPUS, WEBM, MKV_PCM], ids=str)
def test_sound_that_begins_at_five_seconds(tmp_path: Path, kind: Kind) -> None:
    found = decoded(write(tmp_path / "a", kind, BEFORE, start=5.0))
    assert heard(found)[0][:10] == [None] * 5 + BEFORE
    assert found.ledger["unheard"] == []


def test_each_track_of_ogg_begins_when_it_does(tmp_path: Path) -> None:
    """FFmpeg has the first page of each at zero, and the page of one was taken for all."""
    found = decoded(write(tmp_path / "a", OGG_FLAC, BEFORE, [10, 11, 12, 13, 14], start=5.0))
    assert [one[:10] for one in heard(found)] == [
        [None] * 5 + BEFORE,
        [None] * 5 + [10, 11, 12, 13, 14],
    ]


def test_a_first_packet_of_several_pages_is_no_less_late(tmp_path: Path) -> None:
    long = replace(OGG_FLAC, codec_options=(("frame_size", "65535"),))
    found = decoded(write(tmp_path / "a", long, BEFORE, start=5.0))
    assert heard(found)[0][:10] == [None] * 5 + BEFORE


def test_sound_that_begins_behind_a_picture(tmp_path: Path) -> None:
    """A transport stream's clock begins anywhere; the picture says where."""
    path = tmp_path / "a"
    with av.open(str(path), "w", format="mpegts") as out:
        picture = out.add_stream("mpeg2video", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        sound = out.add_stream("aac", rate=16_000, layout="mono")
        for number in range(250):
            black = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            black.pts = number
            out.mux(picture.encode(black))
        samples = np.round(tones(BEFORE) * 32_767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 5 * 16_000
        out.mux([*picture.encode(None), *sound.encode(frame), *sound.encode(None)])
    assert heard(decoded(path))[0][:10] == [None] * 5 + BEFORE


def test_many_short_gaps_of_a_pausing_recorder(tmp_path: Path) -> None:
    """DTX: a third of the packets is not there, and every second is where it was."""
    path = write(tmp_path / "a", WEBM, [*BEFORE, *AFTER], drop=0.3)
    found = decoded(path)
    assert found.duration == pytest.approx(9, abs=0.5)
    assert found.ledger["gap_sec"] + unheard_seconds(found) > 1.5


def test_short_gaps_of_a_codec_without_pauses_are_lost_sound(tmp_path: Path) -> None:
    found = decoded(write(tmp_path / "a", MKA, [*BEFORE, *AFTER], drop=0.3))
    assert unheard_seconds(found) == pytest.approx(2.7, abs=1.2)
    assert {one["reason"] for one in found.ledger["unheard"]} == {"lost"}
    assert found.ledger["heard_share"] < 0.85


def test_a_time_stamp_of_next_week_adds_no_week(tmp_path: Path) -> None:
    found = decoded(write(tmp_path / "a", TS, BEFORE + AFTER, gap=(5.0, 20_000.0)))
    assert found.duration == pytest.approx(9, abs=0.5)
    assert "time_stamps" in codes(found)


def test_a_pause_of_one_track_of_an_avi_is_none_of_the_other(tmp_path: Path) -> None:
    """Its empty chunks are told apart from those of a picture, too."""
    path = tmp_path / "a"
    with av.open(str(path), "w", format="avi") as out:
        streams = [out.add_stream("aac", rate=16_000, layout="mono") for _ in range(2)]
        packets = []
        for stream, numbers in zip(streams, ([*BEFORE, *AFTER], range(10, 19)), strict=True):
            samples = np.round(tones(numbers) * 32_767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 0
            packets += [*stream.encode(frame), *stream.encode(None)]
        for packet in sorted(packets, key=lambda one: one.pts):
            if packet.stream is streams[0] and packet.pts >= 5 * 16_000:
                packet.pts = packet.dts = packet.pts + 3 * 16_000
            out.mux(packet)
    found = decoded(path)
    first, second = heard(found)
    assert first[:12] == [*BEFORE, None, None, None, *AFTER]
    assert second[:9] == list(range(10, 19))
    assert unheard_seconds(found) == 0


def test_a_large_chunk_of_an_avi_is_one_frame(tmp_path: Path) -> None:
    """FFmpeg took it for two: of a whole file 0.8 s of 21 were called lost, and times moved."""
    path = write(tmp_path / "a", Kind("avi", "aac"), BEFORE + AFTER)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"strf") + 8 + 12
    raw[at : at + 2] = (80).to_bytes(2, "little")  # some frames are larger
    path.write_bytes(raw)
    found = decoded(path)
    assert heard(found)[0][:9] == BEFORE + AFTER
    assert found.duration == pytest.approx(9, abs=0.2)
    assert (found.ledger["unheard"], codes(found)) == ([], set())
