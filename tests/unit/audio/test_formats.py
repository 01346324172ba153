"""Every format that recorders write is decoded: length, channels, rates."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from stt_engine.speech import SAMPLE_RATE
from tests.support import sounds
from tests.support.decoding import decode
from tests.support.encoded_audio import LIMITS, SECONDS, encoded_of

TOLERANCE = 0.05


def _samples(file: str | Path) -> np.ndarray:
    return np.fromfile(file, dtype="<i2") / 32_768


def _loudest_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax()) * SAMPLE_RATE / len(samples)


# Formats ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [name for name in sounds.ENCODINGS if sounds.can_encode(name)])
def test_every_format_keeps_length_and_channels(
    encoded: dict[str, Path], out: Path, name: str
) -> None:
    found = decode(encoded[name], out, LIMITS)
    mono = sounds.ENCODINGS[name].layout == "mono"
    assert found.duration == pytest.approx(SECONDS, abs=TOLERANCE)
    assert len(found.files) == (1 if mono else 2)
    for number, file in enumerate(found.files):
        heard = _samples(file)
        assert len(heard) / SAMPLE_RATE == pytest.approx(found.duration)
        tones = (440, 1_000) if mono else ((440, 1_000)[number],)
        assert min(abs(_loudest_hertz(heard) - tone) for tone in tones) < 5
        assert np.sqrt((heard**2).mean()) > 0.1


def test_gsm_as_recorders_write_it(out: Path, tmp_path: Path) -> None:
    found = decode(sounds.gsm_wav(tmp_path / "a.wav", 4.0), out, LIMITS)
    assert found.duration == pytest.approx(4.0, abs=TOLERANCE)
    assert len(found.files) == 1


@pytest.mark.parametrize(
    ("codec", "tolerance"),
    [("pcm_u8", 0.05), ("pcm_s24le", 0.05), ("adpcm_ms", 0.1), ("adpcm_ima_wav", 0.1),
     ("libmp3lame", 0.15)],
)  # fmt: skip
def test_other_codecs_in_a_wav(tmp_path: Path, out: Path, codec: str, tolerance: float) -> None:
    path = encoded_of(tmp_path / "a.wav", "wav", codec)
    assert decode(path, out, LIMITS).duration == pytest.approx(SECONDS, abs=tolerance)


def test_both_channels_the_same_are_one(tmp_path: Path, out: Path) -> None:
    tone = sounds.sine(tmp_path / "a.wav", 2.0)
    both = sounds.two_channels(tmp_path / "b.wav", tone, tone)
    assert len(decode(both, out, LIMITS).files) == 1


def test_both_channels_silent_are_one(tmp_path: Path, out: Path) -> None:
    nothing = sounds.silence(tmp_path / "a.wav", 2.0)
    assert len(decode(sounds.two_channels(tmp_path / "b.wav", nothing, nothing), out, LIMITS).files) == 1  # fmt: skip  # noqa: E501


def test_one_silent_channel_stays_a_channel(tmp_path: Path, out: Path) -> None:
    both = sounds.two_channels(
        tmp_path / "c.wav",
        sounds.sine(tmp_path / "a.wav", 2.0),
        sounds.silence(tmp_path / "b.wav", 2.0),
    )
    found = decode(both, out, LIMITS)
    assert len(found.files) == 2
    assert np.abs(_samples(found.files[0])).max() > 0.4
    assert np.abs(_samples(found.files[1])).max() == 0


def test_dual_mono_through_a_lossy_codec_is_one_channel(tmp_path: Path, out: Path) -> None:
    tone = sounds.sine(tmp_path / "a.wav", 2.0)
    both = sounds.two_channels(tmp_path / "b.wav", tone, tone)
    mp3 = sounds.encode(both, tmp_path / "b.mp3", "mp3")
    assert len(decode(mp3, out, LIMITS).files) == 1


def test_telephone_mulaw_at_8_khz(encoded: dict[str, Path], out: Path) -> None:
    with av.open(str(encoded["wav-mulaw"])) as file:
        assert file.streams.audio[0].codec_context.name == "pcm_mulaw"
        assert file.streams.audio[0].rate == 8_000
    found = decode(encoded["wav-mulaw"], out, LIMITS)
    assert [_loudest_hertz(_samples(file)) for file in found.files] == [
        pytest.approx(440, abs=5),
        pytest.approx(1_000, abs=5),
    ]


@pytest.mark.parametrize(("channels", "rate"), [(6, 48_000), (8, 96_000), (3, 44_100)])
def test_many_channels_become_one(tmp_path: Path, out: Path, channels: int, rate: int) -> None:
    clock = np.arange(round(2 * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * 440 * clock)
    path = sounds.write_wav(tmp_path / "a.wav", np.tile(tone[:, None], channels), rate)
    found = decode(path, out, LIMITS)
    assert len(found.files) == 1
    assert found.duration == pytest.approx(2.0, abs=TOLERANCE)
    assert _loudest_hertz(_samples(found.files[0])) == pytest.approx(440, abs=5)


def test_the_sample_call_has_two_channels(sample_call: Path, out: Path) -> None:
    found = decode(sample_call, out, LIMITS)
    assert len(found.files) == 2
    assert found.duration == pytest.approx(68.2, abs=0.1)
