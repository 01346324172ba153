"""Jobs over a model that records its batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stt_engine.backends.base import ChunkResult, SpeechChunk
from stt_engine.backends.batching import DynamicBatcher
from stt_engine.backends.recognition import recognise
from stt_engine.backends.vad import Samples
from tests.support.stub_model import EchoModel

Step = dict[str, Any]


Job = dict[str, Any]


BASE = 999
"""Loudness of job 0; a job's is three above the one before, so that a stretch tells whose it is."""


ENGLISH, KOREAN, JAPANESE = range(3)


def loudness(number: int, speaks: int = KOREAN) -> int:
    return BASE + 3 * number + speaks


def owner(samples: Samples) -> int:
    return (round(float(samples[0]) * 32768) - BASE) // 3


@dataclass
class Watched(EchoModel):
    """Notes what it is asked, and what was told before; breaks at what ``breaks`` names."""

    events: list[tuple[str, list[int]]] = field(default_factory=list)
    batches: list[list[SpeechChunk]] = field(default_factory=list)
    breaks: Callable[[Sequence[SpeechChunk]], Exception | None] = lambda _stretches: None
    deaf_to: set[int] = field(default_factory=set)

    def detect(self, samples: Samples) -> dict[str, float]:
        if owner(samples) in self.deaf_to:
            raise RuntimeError("no such language")
        return super().detect(samples)

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        self.events.append(("heard", [owner(one.samples) for one in chunks]))
        self.batches.append(list(chunks))
        broken = self.breaks(chunks)
        if broken is not None:
            raise broken
        return super().transcribe(chunks)

    def tell(self, numbers: list[int]) -> None:
        self.events.append(("told", numbers))


class Running:
    """A job that is stepped by hand, with all that it brought."""

    def __init__(self, model: Watched, job: Job, place: DynamicBatcher) -> None:
        self.job = job
        self.brought: list[Step] = []
        self.ready: list[int] | None = None
        """The jobs that could go on without any work after its last step, if that told."""
        self.ending: str | None = None
        self._steps = recognise(model, {}, job, place, job.get("job", 0))

    def step(self) -> None:
        self.ready = None
        try:
            step = json.loads(json.dumps(next(self._steps)))
            self.ready = step.pop("ready", None)
            self.brought.append(step)
        except StopIteration:
            self.ending = "done"
        except Exception as exc:  # noqa: BLE001 - whatever it is belongs to this job
            self.ending = type(exc).__name__

    def drop(self) -> None:
        self._steps.close()
        self.ending = "dropped"

    def to_the_end(self) -> Running:
        while self.ending is None:
            self.step()
        return self


def by_itself(job: Job, model: Watched | None = None) -> Running:
    model = model or Watched()
    return Running(model, job, DynamicBatcher(model, model.tell)).to_the_end()


def texts(running: Running) -> list[str]:
    return [one["text"] for step in running.brought for one in step.get("segments", ())]


def begun(model: Watched, jobs: list[Job]) -> list[Running]:
    """Have every job listen; the last one's first step is still to come."""
    place = DynamicBatcher(model, model.tell)
    running = [Running(model, job, place) for job in jobs]
    for one in running:
        one.step()  # who listens
    return running


def listening(model: Watched, jobs: list[Job]) -> list[Running]:
    """Have every job heard once, each by itself, since the next ones have not begun to listen."""
    together, model.together = model.together, 1
    running = begun(model, jobs)
    for one in running:
        one.step()
    model.together = together
    model.events.clear()
    model.batches.clear()
    return running
