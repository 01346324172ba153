"""A real child process with a stub model, which does what the loudness of a stretch tells it to.

Run as ``python -m tests.support.stub_child ROLE FD MEMORY_MB``, as :mod:`stt_engine.child` is.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stt_engine import child
from stt_engine.backends import recognition
from stt_engine.backends.model import Said, Stretch
from stt_engine.backends.recognition import model_operations
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

    def hear(self, stretches: Sequence[Stretch]) -> list[Said]:
        loud = {round(float(one.samples[0]) * 32768) for one in stretches}
        if DEADLY in loud:
            os.kill(os.getpid(), signal.SIGKILL)
        if STOPPING in loud:
            os.kill(os.getpid(), signal.SIGSTOP)
        if WAITING in loud:
            self._pipe.read_bytes()
        return super().hear(stretches)


def operations(tell: Callable[[list[int]], None]) -> dict[str, Any]:
    recognition.speech_spans = loud_spans
    return model_operations(lambda job: _Model(Path(job["pipe"])), tell)


if __name__ == "__main__":
    child.ROLES[ROLE] = ("tests.support.stub_child", "operations")
    child.main()
