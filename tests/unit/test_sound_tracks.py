"""Every audio track and every channel, up to the limits; beyond them the refusal says so."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stt_engine.errors import AudioTooLong, AudioTooManyChannels
from stt_engine.speech import AudioLimits
from tests.support import sounds
from tests.support.tones import MKA, MP4, TS, Kind, codes, decoded, heard, tones, write

SILENT = [-1] * 6
FIRST = [0, 1, 2, 3, 4, 5]
SECOND = [10, 11, 12, 13, 14, 15]
MKV = Kind("matroska", "libopus", 48_000)


@pytest.mark.parametrize("kind", [MP4, MKA, MKV, TS], ids=str)
def test_two_mono_tracks_are_two_channels(tmp_path: Path, kind: Kind) -> None:
    found = decoded(write(tmp_path / "a", kind, FIRST, SECOND))
    assert [one[:6] for one in heard(found)] == [FIRST, SECOND]
    assert found.ledger["streams_found"] == found.ledger["streams_decoded"] == 2
    assert [(one["track"], one["channel"]) for one in found.ledger["channels"]] == [(0, 0), (1, 0)]
    assert "tracks" in codes(found)
    assert found.ledger["unheard"] == []


@pytest.mark.parametrize("kind", [MP4, MKA, MKV], ids=str)
def test_the_first_track_is_silent(tmp_path: Path, kind: Kind) -> None:
    found = decoded(write(tmp_path / "a", kind, SILENT, SECOND))
    assert heard(found)[-1][:6] == SECOND
    assert found.ledger["channels"][-1]["track"] == 1


def test_two_tracks_of_the_same_sound_are_one_channel(tmp_path: Path) -> None:
    found = decoded(write(tmp_path / "a", MKV, FIRST, FIRST))
    assert [one[:6] for one in heard(found)] == [FIRST]
    assert found.ledger["channels"] == [{"track": 0, "channel": 0, "copies": [[1, 0]]}]


def test_a_track_more_than_the_limit_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a", MKV, *([n] for n in range(9)))
    with pytest.raises(AudioTooManyChannels, match="more than 8 audio tracks"):
        decoded(path)
    assert len(decoded(path, AudioLimits(max_tracks=9)).files) == 9


def _wav(path: Path, channels: int, *speaking: int, seconds: int = 4) -> Path:
    samples = np.zeros((seconds * 16_000, channels))
    for number in speaking:
        samples[:, number] = tones([number] * seconds)
    return sounds.write_wav(path, samples)


@pytest.mark.parametrize(
    ("channels", "number"), [(3, 2), (4, 3), (6, 3), (6, 0), (8, 7), (9, 8), (16, 15)]
)
def test_a_voice_on_any_channel_is_heard(tmp_path: Path, channels: int, number: int) -> None:
    found = decoded(_wav(tmp_path / "a.wav", channels, number))
    assert heard(found) == [[number] * 4]
    assert found.ledger["channels"] == [{"track": 0, "channel": number, "copies": []}]
    assert found.ledger["channels_found"] == channels


def test_voices_on_several_channels_stay_apart(tmp_path: Path) -> None:
    found = decoded(_wav(tmp_path / "a.wav", 6, 1, 4, 5))
    assert heard(found) == [[1] * 4, [4] * 4, [5] * 4]


@pytest.mark.parametrize("codec", ["aac", "ac3"])
def test_six_channels_of_a_film(tmp_path: Path, codec: str) -> None:
    samples = np.stack([tones([n] * 4, 48_000) for n in range(6)], 1)
    path = tmp_path / "a.mka"
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream(codec, rate=48_000, layout="5.1")
        stream.bit_rate = 384_000
        whole = np.round(samples * 32_767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="5.1")
        frame.sample_rate = 48_000
        out.mux([*stream.encode(frame), *stream.encode(None)])
    found = [one[:4] for one in heard(decoded(path)) if one[0] not in {3, None}]
    assert found == [[n] * 4 for n in (0, 1, 2, 4, 5)]


def test_sixty_channels_are_not_called_no_audio(tmp_path: Path) -> None:
    path = _wav(tmp_path / "a.wav", 60, 59, seconds=1)
    with pytest.raises(AudioTooManyChannels, match="60 channels; the limit is 16"):
        decoded(path)
    assert heard(decoded(path, AudioLimits(max_channels=60))) == [[59]]


def test_length_times_channels_is_bounded(tmp_path: Path) -> None:
    path = _wav(tmp_path / "a.wav", 3, 0, 1, 2)
    with pytest.raises(AudioTooLong, match="all channels together"):
        decoded(path, AudioLimits(max_channel_sec=7.0))


def _two_tracks(path: Path, spoil: bool) -> Path:
    """Write two tracks, of which the second has random bytes for packets if ``spoil``."""
    chance = random.Random(1)
    with av.open(str(path), "w", format="matroska", options={"write_crc32": "0"}) as out:
        streams = [out.add_stream(codec, rate=48_000, layout="mono") for codec in ("flac", "ac3")]
        for stream, numbers in zip(streams, (FIRST, SECOND), strict=True):
            whole = np.round(tones(numbers, 48_000) * 32_767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                if spoil and stream is streams[1] and packet.size:
                    noise = av.Packet(chance.randbytes(packet.size))
                    noise.stream, noise.time_base = stream, packet.time_base
                    noise.pts, noise.dts = packet.pts, packet.dts
                    noise.duration = packet.duration
                    out.mux(noise)
                else:
                    out.mux(packet)
    return path


def test_a_track_without_one_packet_that_can_be_decoded_is_unheard(tmp_path: Path) -> None:
    found = decoded(_two_tracks(tmp_path / "a", spoil=True))
    assert [one[:6] for one in heard(found)] == [FIRST]
    (lost,) = found.ledger["unheard"]
    assert (lost["reason"], lost["channel"]) == ("damaged", None)
    assert lost["end"] - lost["start"] == pytest.approx(6, abs=0.1)
    assert found.ledger["heard_share"] == pytest.approx(0.5, abs=0.01)
    assert found.ledger["damaged_packets"] > 0
    assert "damaged" in codes(found)


def test_a_track_of_an_unknown_codec_is_unheard(tmp_path: Path) -> None:
    path = _two_tracks(tmp_path / "a", spoil=False)
    raw = path.read_bytes()
    assert raw.count(b"A_AC3") == 1
    path.write_bytes(raw.replace(b"A_AC3", b"A_ZZ3"))
    found = decoded(path)
    assert [one[:6] for one in heard(found)] == [FIRST]
    (lost,) = found.ledger["unheard"]
    assert (lost["reason"], lost["channel"]) == ("unknown_codec", None)
    assert lost["end"] - lost["start"] == pytest.approx(6, abs=0.1)
    assert "unknown_codec" in codes(found)
    assert "damaged" not in codes(found)
