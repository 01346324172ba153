"""Real Korean speech, where the recordings are at hand (they are not part of the repository).

``STT_SHARED_AUDIO`` names their folder; without it ``../shared/audio`` beside the checkout.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import jiwer
import pytest

from stt_engine import WhisperSTT

FOLDER = Path(
    os.environ.get("STT_SHARED_AUDIO")
    or Path(__file__).resolve().parents[2].parent / "shared" / "audio"
)
pytestmark = pytest.mark.skipif(
    not (FOLDER / "manifest.tsv").is_file(),
    reason=f"no recordings at {FOLDER} (set STT_SHARED_AUDIO)",
)
CLIPS = (
    "leopard_test_ko.wav",
    "zeroth_104_003_0294.flac",
    "zeroth_104_003_0374.flac",
    "tel_zeroth_104_003_0437.wav",
)
MAX_ERROR = 0.35
"""Share of wrong characters that Whisper base may reach on one clip; noise is above 0.8."""


@pytest.fixture(scope="module")
def stt(whisper_base: Path) -> Iterator[WhisperSTT]:
    found = WhisperSTT(whisper_base, backends=("faster-whisper",))
    yield found
    found.close()


def _references() -> dict[str, tuple[str, float]]:
    with (FOLDER / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["file"]: (row["reference"], float(row["duration"] or 0)) for row in rows}


def _letters(text: str) -> str:
    """Korean spacing is a matter of style: compare syllables only."""
    return "".join(char for char in text if char.isalnum())


@pytest.mark.parametrize("clip", CLIPS)
def test_korean_is_heard(stt: WhisperSTT, clip: str) -> None:
    reference, duration = _references()[clip]
    result = stt.transcribe(FOLDER / clip)  # no language given: Korean
    assert result["success"], result
    assert result["language"] == "ko"
    assert result["duration"] == pytest.approx(duration, abs=0.1)
    assert jiwer.cer(_letters(reference), _letters(result["text"])) <= MAX_ERROR, result["text"]


def test_korean_is_recognised_as_korean(stt: WhisperSTT) -> None:
    assert stt.transcribe(FOLDER / CLIPS[1], "auto")["language"] == "ko"


def test_a_stereo_telephone_call_is_told_by_channel_and_turn(stt: WhisperSTT) -> None:
    with (FOLDER / "call_stereo_8k_mulaw.turns.tsv").open(encoding="utf-8", newline="") as file:
        turns = [
            (float(row["start"]), float(row["end"]), int(row["channel"]))
            for row in csv.DictReader(file, delimiter="\t")
        ]
    assert len(turns) == 4
    result = stt.transcribe(FOLDER / "call_stereo_8k_mulaw.wav", "ko")
    assert result["success"], result
    assert {(one["channel"], one["speaker"]) for one in result["segments"]} == {
        (0, "agent"),
        (1, "customer"),
    }
    heard = set()
    for one in result["segments"]:
        middle = (one["start"] + one["end"]) / 2
        (turn,) = (turn for turn in turns if turn[0] <= middle <= turn[1])
        assert one["channel"] == turn[2], one
        heard.add(turn)
    assert heard == set(turns)


def test_korean_that_is_sent_as_english_is_told(stt: WhisperSTT) -> None:
    """Whisper writes fluent English that nobody said."""
    result = stt.transcribe(FOLDER / CLIPS[1], language="en")
    (told,) = result["warnings"]
    assert told["code"] == "language_mismatch"
    assert ": ko 0.9" in told["detail"]
    assert {one["reason"] for one in result["coverage"]["unheard"]} == {"other_language"}
