"""The loop of every runner: JSON lines in, JSON lines out.

The first line is the engine's settings; the model is loaded, and the load reported. Every other
line is a job: files that are transcribed one after the other within one measured time. Needs only
PyAV and numpy, since it runs in every peer's environment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE = 16_000


@dataclass
class Heard:
    """What came of one channel of one file."""

    text: str
    segments: int
    channel: int = 0


Settings = dict[str, Any]
Transcribe = Callable[[str, Settings], list[Heard]]
Load = Callable[[Settings], tuple[Transcribe, Callable[[], Settings]]]
"""Returns the function that transcribes a file, and one that reports facts about the engine."""


def serve(load: Load) -> None:
    """Answer on stdout; what a library prints there goes to stderr instead."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(answer: Settings) -> None:
        answers.write(json.dumps(answer, ensure_ascii=False) + "\n")
        answers.flush()

    settings = json.loads(sys.stdin.readline())
    began = time.perf_counter()
    transcribe, facts = load(settings)
    say({"load_sec": time.perf_counter() - began, "facts": facts()})
    for line in sys.stdin:
        job = json.loads(line)
        began = time.perf_counter()
        found = [one for file in job["files"] for one in transcribe(file, settings | job)]
        took = time.perf_counter() - began
        say(
            {
                "seconds": took,
                "texts": [one.text for one in found],
                "channels": [one.channel for one in found],
                "segments": sum(one.segments for one in found),
                "facts": facts(),
            }
        )


def decoded(path: str) -> npt.NDArray[np.float32]:
    """Decode a file to mono float32 at 16 kHz, as the peers that take only samples need it."""
    # Not every runner's environment has them: faster-whisper and the product decode themselves.
    import av  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    pieces = []
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            pieces += resampler.resample(frame)
    pieces += resampler.resample(None)
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])
