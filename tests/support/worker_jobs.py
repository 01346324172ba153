"""A worker with a stub job, whose steps several calls share."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from stt_engine.call import CallContext
from stt_engine.errors import (
    EngineError,
)
from stt_engine.speech import SAMPLE_RATE, AudioLimits
from stt_engine.workers.scheduler import QueueEntry
from stt_engine.workers.worker import JobLost, Worker
from tests.support.stub_child import ORDINARY
from tests.support.stub_model import job_of

Job = dict[str, Any]


BOUND = 60.0


def entry_of(*, single: bool = False) -> QueueEntry:
    return QueueEntry(CallContext(), single=single)


def a_job(path: Path, folder: Path) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    limits = asdict(AudioLimits())
    return {"operation": "decode", "path": str(path), "folder": str(folder), "limits": limits}


def decode(worker: Worker, path: Path, folder: Path, context: CallContext | None = None) -> float:
    entry = worker.entry(context or CallContext())
    found = worker.call(a_job(path, folder), timeout=BOUND, entry=entry)
    return float(found["duration"])


# Steps that jobs share --------------------------------------------------------------------
QUIET = 2.0
"""Seconds without a sign of life, or without an answer, after which a stub child is ended."""


class Shared:
    """A real child with a stub model that hears two stretches at once, and its jobs.

    A job that has four stretches has had two of them heard at its first step of hearing; the third
    is then heard with the first one of the job that comes next.
    """

    def __init__(self, worker: Worker, folder: Path) -> None:
        self.worker = worker
        self._folder = folder
        self._pipe = folder / "pipe"
        os.mkfifo(self._pipe)
        self.load()

    def load(self) -> None:
        self.worker.call({"operation": "load", "pipe": str(self._pipe), "facts": {}}, timeout=BOUND)

    def job(self, *loud: int, timeout: float = BOUND, alone: bool = False) -> StubJob:
        """Begin a job of one-second stretches of this loudness."""
        samples = np.zeros(2 * len(loud) * SAMPLE_RATE, np.int16)
        for at, level in enumerate(loud):
            samples[2 * at * SAMPLE_RATE : (2 * at + 1) * SAMPLE_RATE] = level
        file = self._folder / f"{len(list(self._folder.iterdir()))}.s16"
        samples.tofile(file)
        payload = {**job_of(str(file)), "single": alone}
        return StubJob(self.worker, payload, entry_of(single=alone), timeout)

    def at_work(self) -> BinaryIO:
        """Wait until the child waits in a step; it goes on when this is closed."""
        return self._pipe.open("wb")


class StubJob:
    """A job that is stepped by hand."""

    def __init__(self, worker: Worker, payload: Job, entry: QueueEntry, timeout: float) -> None:
        self.entry = entry
        self.texts: list[str] = []
        self._steps = worker.steps(payload, entry, timeout=timeout)
        self.step()  # who listens

    def step(self) -> None:
        for segment in next(self._steps).get("segments", ()):
            self.texts.append(segment["text"])

    def to_the_end(self) -> StubJob:
        with contextlib.suppress(StopIteration):
            while True:
                self.step()
        return self

    def fails(self) -> Exception:
        with pytest.raises((JobLost, EngineError)) as caught:
            self.to_the_end()
        return caught.value

    def in_background(self) -> tuple[threading.Thread, list[Exception]]:
        """Step it once in a thread; the list has what that ended with, if anything."""
        found: list[Exception] = []

        def run() -> None:
            try:
                self.step()
            except (JobLost, EngineError) as exc:
                found.append(exc)

        thread = threading.Thread(target=run)
        thread.start()
        return thread, found


def four(loud: int = ORDINARY) -> tuple[int, int, int, int]:
    """Four stretches, of which the third is the special one."""
    return ORDINARY, ORDINARY, loud, ORDINARY
