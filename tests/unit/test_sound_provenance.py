"""The ledger goes with the samples to the transcript, and the limits go to the decoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from stt_engine.errors import AudioTooManyChannels
from stt_engine.limits import Limits
from stt_engine.recognition.decoder import AudioDecoder
from stt_engine.recognition.progress import TranscriptBuilder
from stt_engine.speech import AudioLimits, SpeechRequest
from tests.support.tones import MKA, OPUS, write


def test_from_the_child_process_to_the_provenance(tmp_path: Path) -> None:
    path = write(tmp_path / "a", OPUS, [0, 1, 2], gap=(2.0, 3.0))
    decoder = AudioDecoder(Limits())
    try:
        with decoder.opened(path) as audio:
            assert audio.sound["gap_sec"] == pytest.approx(3, abs=0.1)
            transcript = TranscriptBuilder(SpeechRequest(path), audio).transcript()
    finally:
        decoder.worker.close()
    assert transcript.provenance["sound"].items() <= audio.sound.items()
    assert [one.code for one in transcript.warnings] == ["gaps"]
    assert transcript.coverage.unheard == ()


def test_the_limits_reach_the_child_process(tmp_path: Path) -> None:
    path = write(tmp_path / "a", MKA, [0, 1], [2, 3])
    decoder = AudioDecoder(Limits(audio=AudioLimits(max_tracks=1)))
    try:
        with pytest.raises(AudioTooManyChannels), decoder.opened(path):
            pass
    finally:
        decoder.worker.close()
