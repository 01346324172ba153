"""Other diarisers beside the product, each a program in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
import wave
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.speakers.calls import Call
from evaluation.speakers.score import spans_of
from evaluation.speakers.voices import RATE
from stt_engine.voice_messages import DiariseResult

NAMES = ("resemblyzer", "senko")
STEP_SEC = 0.125

_PROGRAM = Path(__file__).with_name("peer_program.py")
_MOST = 3
"""What more than two voices are counted as."""


@contextmanager
def running(name: str, python: str) -> Iterator[Peer]:
    """Have one of :data:`NAMES` run, by the interpreter that has it installed."""
    process = subprocess.Popen(
        [python, str(_PROGRAM), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Peer(name, process)
    finally:
        process.kill()
        process.communicate()


class Peer:
    """A diariser that runs; ``cpu_sec``: what it has taken of a core."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name, self._process = name, process
        self.cpu_sec = 0.0

    def __call__(self, call: Call) -> DiariseResult:
        """Return who speaks in a call.

        Raises:
            RuntimeError: the program has ended; it has said why on the standard error.
        """
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            _write(Path(file.name), call)
            answer = self._asked({"wav": file.name, "spans": spans_of(call)})
        self.cpu_sec += answer["cpu_sec"]
        return _result(answer["turns"])

    def _asked(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _write(path: Path, call: Call) -> None:
    loud = call.samples / np.abs(call.samples).max() * 20_000
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(loud.astype("<i2").tobytes())


def _result(turns: list[tuple[float, float, str]]) -> DiariseResult:
    """Return turns as the product's answer; the two voices that speak most are 0 and 1."""
    spoken: Counter[str] = Counter()
    for start, end, voice in turns:
        spoken[voice] += round((end - start) / STEP_SEC)
    numbers = {voice: n for n, (voice, _) in enumerate(spoken.most_common(2))}
    found = sorted(
        (start + number * STEP_SEC, numbers[voice])
        for start, end, voice in turns
        if voice in numbers
        for number in range(max(1, round((end - start) / STEP_SEC)))
    )
    return {
        "kind": "voices",
        "voices": min(_MOST, len(spoken)),
        "likeness": None,
        "step_sec": STEP_SEC,
        "starts": [at for at, _ in found],
        "voice": [number for _, number in found],
        "probability": [1.0] * len(found),
        "announced_until": None,
        "embedding": [],
    }
