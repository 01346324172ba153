"""The child process that tells voices apart: loads the network at its first job, and keeps it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from stt_engine.backends.voices.embedder import STEP_SEC, Embedder, Read, Windows
from stt_engine.backends.voices.turns import as_units, tell_apart
from stt_engine.errors import WorkspaceError
from stt_engine.protocol import (
    OnShared,
    Operations,
)
from stt_engine.system.malloc import return_freed
from stt_engine.voice_messages import DiariseJob, DiariseResult, DiariseSteps

_MOST_THREADS = 2


def operations(_on_shared: OnShared) -> Operations:
    """Return what this process can do."""
    return {"diarise": _Voices().diarise}


class _Voices:
    def __init__(self) -> None:
        self._weights: str | None = None
        self._embedder: Embedder | None = None

    def diarise(self, job: DiariseJob) -> DiariseSteps:
        """Return who speaks in each quarter of a second of a channel's speech."""
        embedder = self._ready(job["weights"])
        found: Windows | None = None
        read = _reader(Path(job["file"]))
        for found in embedder.windows(read, job["spans"], narrow=job["narrow"]):
            if found is None:
                yield {"kind": "voices_part"}
        return_freed()
        return _result(found)

    def _ready(self, weights: str) -> Embedder:
        if self._embedder is None or weights != self._weights:
            self._embedder = None
            self._embedder = Embedder(Path(weights), min(_MOST_THREADS, os.cpu_count() or 1))
            self._weights = weights
            return_freed()
        return self._embedder


def _reader(file: Path) -> Read:
    """Return what reads the file, a part at a time: a long call's samples are 20 MB."""

    def read(first: int, last: int) -> np.ndarray:
        try:
            return np.fromfile(file, "<i2", last - first, offset=2 * first)
        except OSError as exc:
            raise WorkspaceError(f"the samples are gone: {exc.strerror}") from exc

    return read


def _result(found: Windows | None) -> DiariseResult:
    if found is None:
        raise RuntimeError("the windows ended without a result")
    turns = tell_apart(found.embeddings, found.follows, found.steady)
    return {
        "kind": "voices",
        "voices": turns.voices if len(found.starts) else 0,
        "likeness": None if turns.likeness is None else round(turns.likeness, 4),
        "step_sec": STEP_SEC,
        "starts": [round(float(one), 3) for one in found.starts],
        "voice": turns.voice.tolist(),
        "probability": [round(float(one), 4) for one in turns.probability],
        "announced_until": _until(found, turns.announced),
        "embedding": _mean(found.embeddings),
    }


def _until(found: Windows, steps: int) -> float | None:
    """Return where so many first steps end."""
    return round(float(found.starts[steps - 1]) + STEP_SEC, 3) if steps else None


def _mean(embeddings: np.ndarray) -> list[float]:
    """Return the mean of embeddings (steps, 192), each counted alike, with a length of 1."""
    if not len(embeddings):
        return []
    mean = as_units(as_units(embeddings).mean(axis=0)[None])[0]
    return [round(float(one), 5) for one in mean]
