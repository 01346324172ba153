"""Models of a few lines in place of weights, and channels in which every sound is speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stt_engine.backends.base import ChunkResult, RawSegment, SpeechChunk
from stt_engine.backends.vad import Samples, SpeechSpan
from stt_engine.speech import SAMPLE_RATE


@dataclass
class FakeModel:
    """Says what it was told to, stretch by stretch, and remembers what it was asked."""

    says: list[list[RawSegment]] = field(default_factory=list)
    multilingual: bool = True
    speaks: str = "ko"
    facts: dict[str, Any] = field(default_factory=dict)
    together: int = 4
    asked: list[tuple[float, str, str]] = field(default_factory=list)
    detected: list[float] = field(default_factory=list)

    def detect(self, samples: Samples) -> dict[str, float]:
        self.detected.append(len(samples) / SAMPLE_RATE)
        return {self.speaks: 1.0}

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        return [self._said(chunk) for chunk in chunks]

    def _said(self, chunk: SpeechChunk) -> ChunkResult:
        self.asked.append((chunk.seconds, chunk.language, chunk.task))
        at = len(self.asked) - 1
        return ChunkResult(tuple(self.says[at]) if at < len(self.says) else ())


class EchoModel(FakeModel):
    """Says what it was given: length and loudness (which tells the language), and the task."""

    def detect(self, samples: Samples) -> dict[str, float]:
        return {("en", "ko", "ja")[round(float(samples[0]) * 32768) % 3]: 1.0}

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        return [ChunkResult((RawSegment(0, one.seconds, echo(one)),)) for one in chunks]


def echo(chunk: SpeechChunk) -> str:
    loud = round(float(chunk.samples[0]) * 32768)
    words = " with words" if chunk.words else ""
    return f"{chunk.task} {chunk.language} {len(chunk.samples)} {loud}{words}"


def loud_spans(samples: Samples, _others: Sequence[Samples] = ()) -> list[SpeechSpan]:
    """Take every run of samples that are not zero for speech, in place of Silero."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], samples != 0, [0]))))
    return [SpeechSpan(int(a), int(b), ((int(a), int(b)),)) for a, b in edges.reshape(-1, 2)]


def channel_at(
    path: Path, *talks: tuple[float, float], seconds: float = 20.0, loud: int = 1_000
) -> str:
    """Write a channel with speech at these times, in seconds."""
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.int16)
    for start, end in talks:
        samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = loud
    samples.tofile(path)
    return str(path)


def job_of(*files: str, **changes: object) -> dict[str, Any]:
    """Describe a job as the parent does."""
    given = {
        "operation": "transcribe",
        "language": "ko",
        "translate": False,
        "words": False,
        "prompt": "",
        "keywords": [],
        "temperature": 0.0,
        "resume": None,
        "single": False,
        "background": False,
        "eager": 0,
    }
    return {"files": list(files), **given, **changes}
