"""Fixtures of the tests of the batched pipeline."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stt_engine.backends.base import SpeechChunk
from stt_engine.backends.faster_whisper.batched import (
    BatchedPipeline,
)
from stt_engine.backends.faster_whisper.model import (
    FasterWhisper,
)
from stt_engine.backends.vad import Samples, speech_spans
from stt_engine.speech import SAMPLE_RATE
from tests.conftest import REPOSITORY
from tests.support.batched_pipeline import chunk, loaded


@pytest.fixture(scope="package")
def model(whisper_base: Path) -> FasterWhisper:
    return loaded(whisper_base)


@pytest.fixture(scope="package")
def library(model: FasterWhisper) -> Any:
    """faster-whisper's own model."""
    return model._library


@pytest.fixture(scope="package")
def fast(model: FasterWhisper) -> BatchedPipeline:
    pipeline = model._pipelines[0]
    assert isinstance(pipeline, BatchedPipeline)
    return pipeline


def _canary() -> Samples:
    with wave.open(str(REPOSITORY / "src/stt_engine/assets/canary.wav")) as clip:
        raw = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
    return raw.astype(np.float32) / 32_768


@pytest.fixture(scope="package")
def canary() -> SpeechChunk:
    return SpeechChunk(_canary(), "en", "transcribe")


@pytest.fixture(scope="package")
def call(sample_call: Path) -> list[SpeechChunk]:
    """What is said in the sample call: 19 stretches of two to seven seconds."""
    with av.open(str(sample_call)) as file:
        resampler = av.AudioResampler("fltp", "stereo", SAMPLE_RATE)
        frames = [
            part.to_ndarray()
            for frame in file.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    return [
        SpeechChunk(np.ascontiguousarray(channel[start:end]), "en", "transcribe")
        for channel in np.concatenate(frames, axis=1).astype(np.float32)
        for start, end, _ in speech_spans(channel)
    ]


@pytest.fixture(scope="package")
def tokens(fast: BatchedPipeline) -> Callable[..., list[int]]:
    """Return the tokens of a text between two times."""
    tokenizer = fast._tokenizer(chunk(1.0))

    def of(text: str, start: float = 0.0, end: float = 2.0) -> list[int]:
        first, last = (tokenizer.timestamp_begin + round(one / 0.02) for one in (start, end))
        return [first, *tokenizer.encode(text), last]

    return of
