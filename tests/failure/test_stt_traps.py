"""Sounds that are known to make Whisper invent text. No text may come of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from stt_engine import TranscribeResult, WhisperSTT
from tests.support import sounds

BOUND = 60.0
"""Seconds; the product's own bound for short recordings (``Limits.min_transcribe_sec``)."""


def _impulses(path: Path) -> Path:
    clicks = np.zeros(10 * sounds.RATE)
    clicks[:: sounds.RATE // 2] = 1.0
    return sounds.write_wav(path, clicks)


def _dtmf(path: Path) -> Path:
    clock = np.arange(10 * sounds.RATE) / sounds.RATE
    tone = 0.3 * (np.sin(2 * np.pi * 770 * clock) + np.sin(2 * np.pi * 1_336 * clock))
    return sounds.write_wav(path, tone * (clock % 0.4 < 0.2))


def _hum(path: Path) -> Path:
    clock = np.arange(30 * sounds.RATE) / sounds.RATE
    return sounds.write_wav(path, 0.05 * np.sign(np.sin(2 * np.pi * 60 * clock)))


TRAPS: dict[str, Callable[[Path], Path]] = {
    "silence": lambda path: sounds.silence(path, 30.0),
    "a moment of silence": lambda path: sounds.silence(path, 0.02),
    "white noise": lambda path: sounds.white_noise(path, 20.0),
    "faint noise": lambda path: sounds.white_noise(path, 20.0, dbfs=-60.0),
    "loud noise": lambda path: sounds.white_noise(path, 20.0, dbfs=-3.0),
    "ring tone": lambda path: sounds.ring_tone(path, 30.0),
    "hold music": lambda path: sounds.hold_music(path, 45.0),
    "sine": lambda path: sounds.sine(path, 20.0),
    "low sine": lambda path: sounds.sine(path, 20.0, hertz=120.0, peak=0.9),
    "clicks": _impulses,
    "dtmf": _dtmf,
    "mains hum": _hum,
}


@pytest.fixture(scope="module")
def stt(whisper_base: Path) -> Iterator[WhisperSTT]:
    found = WhisperSTT(whisper_base, backends=("faster-whisper",))
    yield found
    found.close()


def _assert_nothing_invented(result: TranscribeResult) -> None:
    assert result["text"] == ""
    assert result["text_en"] == ""
    assert result["segments"] == []
    if result["success"]:
        assert result["outcome"] == "no_speech"
    else:  # an honest failure will do
        assert result["outcome"] == "failed"
        assert result["error_type"] == "EmptyTranscript"


@pytest.mark.parametrize("name", list(TRAPS))
def test_no_text_is_invented(stt: WhisperSTT, tmp_path: Path, name: str) -> None:
    path = TRAPS[name](tmp_path / "trap.wav")
    began = time.monotonic()
    _assert_nothing_invented(stt.transcribe(path, "ko"))
    assert time.monotonic() - began < BOUND


@pytest.mark.slow
@pytest.mark.parametrize("language", ["ja"])
def test_not_in_any_language_and_not_in_translation(
    stt: WhisperSTT, tmp_path: Path, language: str
) -> None:
    path = sounds.hold_music(tmp_path / "trap.wav", 15.0)
    _assert_nothing_invented(stt.transcribe(path, language, translate=True))


def test_two_channels_of_nothing(stt: WhisperSTT, tmp_path: Path) -> None:
    both = sounds.two_channels(
        tmp_path / "both.wav",
        sounds.ring_tone(tmp_path / "l.wav", 15.0),
        sounds.white_noise(tmp_path / "r.wav", 15.0, dbfs=-40.0),
    )
    _assert_nothing_invented(stt.transcribe(both, "ko"))


def test_speech_behind_a_ring_tone_is_still_heard(
    stt: WhisperSTT, tmp_path: Path, sample_call: Path
) -> None:
    """The gate is no wall: what is really said comes through, and at its own time."""
    canary = Path(__file__).parents[2] / "src" / "stt_engine" / "assets" / "canary.wav"
    spoken, rate = sounds.read_wav(canary)
    ring, _ = sounds.read_wav(sounds.ring_tone(tmp_path / "r.wav", 9.0, rate))
    joined = np.concatenate([ring[:, 0], np.zeros(rate), spoken[:, 0], ring[:, 0]])
    result = stt.transcribe(sounds.write_wav(tmp_path / "a.wav", joined, rate), "en")
    assert "speech recognition" in result["text"].lower()
    assert 9.0 < result["segments"][0]["start"] < 11.5
    assert result["segments"][-1]["end"] < 15.0
