"""The wrong language is seen: real speech, real weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import decode_audio

from stt_engine import WhisperSTT
from tests.conftest import REPOSITORY
from tests.support.sounds import RATE, write_wav

CANARY = REPOSITORY / "src/stt_engine/assets/canary.wav"


@pytest.fixture(scope="module")
def stt(whisper_base: Path) -> Iterator[WhisperSTT]:
    found = WhisperSTT(whisper_base, backends=("faster-whisper",))
    yield found
    found.close()


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built-in clip twice, two seconds of silence between."""
    clip = decode_audio(str(CANARY), sampling_rate=RATE)
    samples = np.concatenate([clip, np.zeros(3 * RATE), clip])
    return write_wav(tmp_path_factory.mktemp("language") / "a.wav", samples)


def test_english_in_the_default_language_is_told_and_proves_no_absence(
    stt: WhisperSTT, twice: Path
) -> None:
    result = stt.transcribe(twice)
    assert result["success"], result["error"]
    told = {one["code"]: one["detail"] for one in result["warnings"]}
    assert ": en 0." in told["language_mismatch"]
    assert result["coverage"]["share"] < 0.5
    assert "other_language" in {one["reason"] for one in result["coverage"]["unheard"]}


@pytest.mark.parametrize("language", ["en", "auto"])
def test_the_language_that_is_spoken_raises_no_doubt(
    stt: WhisperSTT, twice: Path, language: str
) -> None:
    result = stt.transcribe(twice, language=language)
    assert result["language"] == "en"
    assert result["warnings"] == []
    assert result["coverage"]["share"] == 1.0
    (run,) = result["provenance"]["language_check"]
    assert run["language"] == "en"
    assert run["probability"] > 0.9
    (ranges,) = result["provenance"]["pipelines"].values()
    assert ranges == [[0, len(result["segments"]) - 1]]
