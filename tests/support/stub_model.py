"""Models of a few lines in place of weights, and channels in which every sound is speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stt_engine.backends.model import Heard, Said, Stretch
from stt_engine.backends.vad import Samples
from stt_engine.speech import SAMPLE_RATE


@dataclass
class FakeModel:
    """Says what it was told to, stretch by stretch, and remembers what it was asked."""

    says: list[list[Heard]] = field(default_factory=list)
    multilingual: bool = True
    speaks: str = "ko"
    facts: dict[str, Any] = field(default_factory=dict)
    together: int = 4
    asked: list[tuple[float, str, str]] = field(default_factory=list)
    detected: list[float] = field(default_factory=list)

    def detect(self, samples: Samples) -> str:
        self.detected.append(len(samples) / SAMPLE_RATE)
        return self.speaks

    def hear(self, stretches: Sequence[Stretch]) -> list[Said]:
        return [self._said(stretch) for stretch in stretches]

    def _said(self, stretch: Stretch) -> Said:
        self.asked.append((stretch.seconds, stretch.language, stretch.task))
        at = len(self.asked) - 1
        return Said(tuple(self.says[at]) if at < len(self.says) else ())


class EchoModel(FakeModel):
    """Says what it was given: length and loudness (which tells the language), and the task."""

    def detect(self, samples: Samples) -> str:
        return ("en", "ko", "ja")[round(float(samples[0]) * 32768) % 3]

    def hear(self, stretches: Sequence[Stretch]) -> list[Said]:
        return [Said((Heard(0, one.seconds, echo(one)),)) for one in stretches]


def echo(stretch: Stretch) -> str:
    loud = round(float(stretch.samples[0]) * 32768)
    words = " with words" if stretch.words else ""
    return f"{stretch.task} {stretch.language} {len(stretch.samples)} {loud}{words}"


def loud_spans(samples: Samples) -> list[tuple[int, int]]:
    """Take every run of samples that are not zero for speech, in place of Silero."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], samples != 0, [0]))))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


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
    told = {"language": "ko", "translate": False, "words": False, "agent_channel": 0}
    return {"files": list(files), **told, **changes}
