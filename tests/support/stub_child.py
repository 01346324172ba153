"""A real child process with a stub model, which does what the loudness of a stretch tells it to.

Run as ``python -m tests.support.stub_child ROLE FD MEMORY_MB``, as :mod:`stt_engine.workers.child`
is.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from stt_engine.backends import recognition
from stt_engine.backends.base import ChunkResult, SpeechChunk
from stt_engine.backends.recognition import model_operations
from stt_engine.protocol import OnShared, Operations
from stt_engine.workers import child
from tests.support.stub_model import EchoModel, loud_spans

ROLE = "stub"
TOGETHER = 2

ORDINARY, DEADLY, STOPPING, WAITING = 1_000, 2_000, 3_000, 4_000
"""Loudness of what is just heard, kills the process, stops it, waits for a word in the pipe."""


def command(role: str, descriptor: int, memory_mb: int) -> list[str]:
    return [sys.executable, "-m", __name__, role, str(descriptor), str(memory_mb)]


class _Model(EchoModel):
    def __init__(self, pipe: Path) -> None:
        super().__init__(together=TOGETHER)
        self._pipe = pipe

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        loud = {round(float(one.samples[0]) * 32768) for one in chunks}
        if DEADLY in loud:
            os.kill(os.getpid(), signal.SIGKILL)
        if STOPPING in loud:
            os.kill(os.getpid(), signal.SIGSTOP)
        if WAITING in loud:
            self._pipe.read_bytes()
        return super().transcribe(chunks)


def operations(on_shared: OnShared) -> Operations:
    recognition.speech_spans = loud_spans
    return model_operations(lambda job: _Model(Path(job["pipe"])), on_shared)


if __name__ == "__main__":
    child.ROLES[ROLE] = ("tests.support.stub_child", "operations")
    child.main()
