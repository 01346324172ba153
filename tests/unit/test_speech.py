"""A transcript that contradicts itself cannot be made."""

from __future__ import annotations

import pytest

from stt_engine.errors import TranscriptionFailed
from stt_engine.speech import SpeechOutcome, Transcript


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("", "speech"), (" \n", "speech"), ("네", "no_speech"), ("네", "failed")],
)
def test_words_and_outcome_agree(text: str, outcome: SpeechOutcome) -> None:
    with pytest.raises(TranscriptionFailed, match=f"outcome {outcome} with"):
        Transcript(text, "ko", 1.0, outcome)


@pytest.mark.parametrize(("text", "outcome"), [("네", "speech"), ("", "no_speech"), ("", "failed")])
def test_whole_transcripts(text: str, outcome: SpeechOutcome) -> None:
    assert Transcript(text, "ko", 1.0, outcome).text == text
