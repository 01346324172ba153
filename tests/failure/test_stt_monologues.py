"""People who speak for half a minute and longer: every sentence is in the transcript."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import decode_audio

from benchmarks.monologues import LENGTHS_SEC, Sentence, monologue, sentences, trimmed
from stt_engine import WhisperSTT
from tests.conftest import REPOSITORY
from tests.support.sounds import RATE, write_wav

SHORTER = 4
"""Monologues that are tested, of up to 50 s; `make cer` measures the longer ones, too."""

MOST_LOST = 4
"""Words in one place that Whisper base may leave out; a sentence is longer."""


@pytest.fixture(scope="module")
def said(sample_call: Path) -> list[Sentence]:
    """Return the built-in clip and the longer turns of the sample call, with their words."""
    channels = decode_audio(str(sample_call), sampling_rate=RATE, split_stereo=True)
    turns = json.loads(sample_call.with_suffix(".json").read_text())["segments"]
    clip = REPOSITORY / "src/stt_engine/assets/canary.wav"
    return [
        *sentences([(clip, json.loads(clip.with_suffix(".json").read_text())["text"])]),
        *(
            Sentence(trimmed(_cut(channels[one["channel"]], one["start"], one["end"])), one["text"])
            for one in turns
            if one["end"] - one["start"] > 2.0
        ),
    ]


def _cut(samples: Any, start: float, end: float) -> Any:
    return np.asarray(samples[round(start * RATE) : round(end * RATE)], np.float64)


@pytest.fixture(scope="module")
def stt(whisper_base: Path) -> Iterator[WhisperSTT]:
    found = WhisperSTT(whisper_base, backends=("faster-whisper",))
    yield found
    found.close()


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def _most_lost(said: list[str], heard: list[str]) -> int:
    """Return how many words are missing in one place."""
    codes = SequenceMatcher(None, said, heard, autojunk=False).get_opcodes()
    return max((end - start) - (to - since) for _, start, end, since, to in codes)


@pytest.mark.parametrize("number", range(SHORTER), ids=lambda at: f"{LENGTHS_SEC[at]}s")
def test_no_sentence_is_lost(
    stt: WhisperSTT, said: list[Sentence], number: int, tmp_path: Path
) -> None:
    samples, text = monologue(said, number)
    result = stt.transcribe(write_wav(tmp_path / "a.wav", samples), language="en")
    assert result["success"], result["error"]
    spoken, heard = _words(text), _words(result["text"])
    assert _most_lost(spoken, heard) <= MOST_LOST
    assert len(heard) > 0.95 * len(spoken)
    (coverage,) = result["coverage"]["channels"]
    assert coverage["recognised_sec"] == coverage["speech_sec"]
    assert result["coverage"]["unheard"] == []
