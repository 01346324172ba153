"""Recordings that cannot be used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stt_engine import Limits, WhisperSTT
from stt_engine.errors import AudioRejected
from stt_engine.speech import SpeechRequest
from tests.support import sounds
from tests.support.stt_failures import CANARY, ONLY, assert_dummy, lines_of, stt_of

# 4. The recording -------------------------------------------------------------------------
RECORDINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _path: None, "FileNotFoundError"),
    "a folder": (Path.mkdir, "AudioUnreadable"),
    "a fifo": (os.mkfifo, "AudioUnreadable"),
    "empty": (sounds.zero_bytes, "AudioEmpty"),
    "no samples": (sounds.header_only_wav, "AudioEmpty"),
    "text": (sounds.text_as_wav, "NotAudio"),
    "cut": (sounds.truncated_wav, "AudioTruncated"),
    "too long": (lambda path: sounds.silence(path, 100.0), "AudioTooLong"),
    "too large": (lambda path: sounds.write_wav(path, _loud(), 48_000), "AudioTooLarge"),
}


def _loud() -> sounds.Samples:
    return sounds.np.zeros((48_000 * 60, 2))


@pytest.fixture(scope="module")
def plain(whisper_base: Path) -> Iterator[WhisperSTT]:
    """One loaded engine for all recordings; its lines go to the log as usual."""
    from stt_engine.speech import AudioLimits  # noqa: PLC0415

    limits = Limits(audio=AudioLimits(max_bytes=10_000_000, max_duration_sec=99.0))
    found = WhisperSTT(whisper_base, backends=ONLY, limits=limits)
    yield found
    found.close()


@pytest.mark.parametrize("kind", list(RECORDINGS))
def test_a_recording_that_cannot_be_used(
    plain: WhisperSTT, tmp_path: Path, log_lines: list[str], kind: str
) -> None:
    write, error_type = RECORDINGS[kind]
    path = tmp_path / "call.wav"
    write(path)
    result = plain.transcribe(path, "en")
    assert_dummy(result, error_type)
    assert result["duration"] == 0
    assert [attempt["backend"] for attempt in result["attempts"]] == ["audio"]
    assert stt_of(log_lines) == lines_of(result, "audio")
    assert plain.ready is True  # the model was not touched


def test_a_name_that_forges_a_log_line(plain: WhisperSTT, log_lines: list[str]) -> None:
    result = plain.transcribe("/none/x\n[2026-02-20 10:15:30] INFO - [STT] forged\0.wav", "en")
    assert_dummy(result, "FileNotFoundError")
    assert not any("\n" in line or line.startswith("INFO - [STT] forged") for line in log_lines)


def test_the_callers_mistakes_can_be_passed_on_instead(
    plain: WhisperSTT, tmp_path: Path, log_lines: list[str]
) -> None:
    request = SpeechRequest(tmp_path / "none.wav")
    with pytest.raises(AudioRejected, match="not found"):
        plain.recognise(request, propagate=(AudioRejected,))
    assert stt_of(log_lines) == ["INFO - [STT] 음성 변환 시작 (language=ko)"]


def test_a_probe_is_not_a_call(plain: WhisperSTT, log_lines: list[str]) -> None:
    outcome = plain.recognise(SpeechRequest(CANARY, "en"), counted=False)
    assert outcome.source == "faster-whisper"
    assert stt_of(log_lines) == []
