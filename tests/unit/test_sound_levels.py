"""Samples of other orders and scales, and speech that is very quiet."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support import sounds
from tests.support.bombs import chunk, riff, wav_format
from tests.support.tones import codes, decoded, heard, tones

SECONDS = [0, 1, 2, 3]


def _rifx(code: int, bits: int, raw: bytes, channels: int = 1, rate: int = 16_000) -> bytes:
    align = channels * bits // 8
    fmt = struct.pack(">HHIIHH", code, channels, rate, rate * align, align, bits)
    body = b"WAVEfmt " + struct.pack(">I", 16) + fmt + b"data" + struct.pack(">I", len(raw)) + raw
    return b"RIFX" + struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(("code", "kind", "scale"), [(1, ">i2", 32_767), (1, ">i4", 2**31 - 1),
                                                     (3, ">f4", 1.0), (3, ">f8", 1.0)])  # fmt: skip
def test_big_endian_wav(tmp_path: Path, code: int, kind: str, scale: float) -> None:
    path = tmp_path / "a.wav"
    raw = (tones(SECONDS) * scale).astype(kind).tobytes()
    more = b"LIST" + struct.pack(">I", 200) + b"INFO" + b"a" * 196
    path.write_bytes(_rifx(code, np.dtype(kind).itemsize * 8, raw) + more)
    found = decoded(path)
    assert heard(found) == [SECONDS]
    assert (found.ledger["parts"], codes(found)) == (["wav"], set())


def test_big_endian_wav_of_eight_bits_and_two_channels(tmp_path: Path) -> None:
    both = np.stack([tones(SECONDS), tones([10, 11, 12, 13])], 1)
    raw = np.round(both * 127 + 128).astype(np.uint8).tobytes()
    path = tmp_path / "a.wav"
    path.write_bytes(_rifx(1, 8, raw, channels=2))
    assert heard(decoded(path)) == [SECONDS, [10, 11, 12, 13]]


def _float_wav(path: Path, samples: np.ndarray) -> Path:
    path.write_bytes(riff(wav_format(code=3, bits=32), chunk(b"data", samples.astype("<f4").tobytes())))  # fmt: skip  # noqa: E501
    return path


@pytest.mark.parametrize("peak", [1.8, 127.0, 32_767.0, 8_388_607.0, 2.0**31])
def test_floats_beyond_full_scale_are_scaled(tmp_path: Path, peak: float) -> None:
    found = decoded(_float_wav(tmp_path / "a.wav", tones(SECONDS, peak=peak)))
    assert heard(found) == [SECONDS]
    loudest = np.abs(np.fromfile(found.files[0], "<i2")).max()
    assert 0.4 * 32_767 < loudest <= 32_767  # scaled, not clipped
    assert "out_of_range" in codes(found)


def test_a_few_samples_beyond_are_clipped_and_what_is_no_number_is_silence(tmp_path: Path) -> None:
    samples = tones(SECONDS)
    samples[100], samples[200:203] = 1e30, (np.nan, np.inf, -np.inf)
    found = decoded(_float_wav(tmp_path / "a.wav", samples))
    assert heard(found) == [SECONDS]
    got = np.fromfile(found.files[0], "<i2")
    assert got[200] == 0
    assert np.abs(got[1000:]).max() == pytest.approx(0.4 * 32_767, rel=0.02)


def test_each_channel_of_floats_has_its_own_range(tmp_path: Path) -> None:
    """One written as integers beside one that is not: that was scaled to nothing."""
    both = np.stack([tones(SECONDS), 32_767 * tones([10, 11, 12, 13]), np.zeros(64_000)], 1)
    both[::7, 2] = 1.0  # the noise of a channel of integers
    fmt = wav_format(code=3, bits=32, channels=3)
    path = tmp_path / "a.wav"
    path.write_bytes(riff(fmt, chunk(b"data", both.astype("<f4").tobytes())))
    found = decoded(path)
    assert heard(found)[:2] == [SECONDS, [10, 11, 12, 13]]
    assert codes(found) == {"out_of_range"}
    assert np.abs(np.fromfile(found.files[2], "<i2")).max() <= 2  # noise is not made sound


def test_each_track_of_floats_has_its_own_range(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    with av.open(str(path), "w", format="matroska") as out:
        streams = [out.add_stream("pcm_f32le", rate=16_000, layout="mono") for _ in range(2)]
        scales = zip(streams, ((SECONDS, 1.0), ([10, 11, 12, 13], 32_767.0)), strict=True)
        for stream, (numbers, scale) in scales:
            samples = (scale * tones(numbers)).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 0
            out.mux([*stream.encode(frame), *stream.encode(None)])
    found = decoded(path)
    assert heard(found) == [SECONDS, [10, 11, 12, 13]]
    assert codes(found) == {"out_of_range", "tracks"}


def test_floats_that_are_nothing_in_sixteen_bits_are_called_too_quiet(tmp_path: Path) -> None:
    found = decoded(_float_wav(tmp_path / "a.wav", tones(SECONDS, peak=5e-6)))
    (told,) = found.ledger["warnings"]
    assert (told["code"], told["detail"]) == ("too_quiet", "peaks at -106 dBFS")
    assert codes(decoded(_float_wav(tmp_path / "b.wav", np.zeros(16_000)))) == set()


def _rms_dbfs(path: str) -> float:
    return float(20 * np.log10(np.sqrt(np.mean((np.fromfile(path, "<i2") / 32_768) ** 2))))


@pytest.mark.parametrize("dbfs", [-40, -56, -60])
def test_very_quiet_sound_is_made_louder(tmp_path: Path, dbfs: int) -> None:
    path = sounds.write_wav(tmp_path / "a.wav", tones(SECONDS, peak=2**0.5 * 10 ** (dbfs / 20)))
    found = decoded(path)
    assert heard(found) == [SECONDS]
    assert _rms_dbfs(found.files[0]) > -25
    assert "quiet" in codes(found)
    assert found.ledger["gain_db"] == pytest.approx(min(40, -13 - dbfs), abs=4)


@pytest.mark.parametrize("offset", [0.02, -0.1])
def test_a_constant_offset_is_no_sound(tmp_path: Path, offset: float) -> None:
    """It hid how quiet the speech was, and nothing was made louder."""
    quiet = np.stack([tones(SECONDS, peak=0.002), tones([10, 11, 12, 13], peak=0.002)], 1)
    path = sounds.write_wav(tmp_path / "a.wav", quiet + offset)
    found = decoded(path)
    assert heard(found) == [SECONDS, [10, 11, 12, 13]]
    assert codes(found) == {"quiet"}
    assert _rms_dbfs(found.files[0]) == pytest.approx(-17, abs=2)
    assert abs(np.fromfile(found.files[0], "<i2").mean()) < 50


def test_the_channels_keep_their_distance(tmp_path: Path) -> None:
    """Crosstalk is not made speech: one gain for the recording, and none where one is loud."""
    loud, quiet = tones(SECONDS), tones([10, 11, 12, 13], peak=0.001)
    found = decoded(sounds.write_wav(tmp_path / "a.wav", np.stack([loud, quiet], 1)))
    assert found.ledger["gain_db"] == 0
    assert _rms_dbfs(found.files[1]) < -60
    found = decoded(sounds.write_wav(tmp_path / "b.wav", np.stack([loud * 0.01, quiet], 1)))
    assert _rms_dbfs(found.files[0]) - _rms_dbfs(found.files[1]) > 9


def test_what_is_nothing_but_noise_of_a_converter_is_called_too_quiet(tmp_path: Path) -> None:
    found = decoded(sounds.write_wav(tmp_path / "a.wav", tones(SECONDS, peak=3 / 32_768)))
    assert "too_quiet" in codes(found)
    assert found.ledger["gain_db"] == 0


def test_silence_and_clicks_change_nothing(tmp_path: Path) -> None:
    silent = decoded(sounds.silence(tmp_path / "a.wav"))
    assert (silent.ledger["gain_db"], codes(silent)) == (0, set())
    samples = tones(SECONDS, peak=0.003)
    samples[8_000:8_400] = 0.9
    found = decoded(sounds.write_wav(tmp_path / "b.wav", samples))
    assert "quiet" in codes(found)  # a click is no loud recording
