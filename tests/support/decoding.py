"""The decoder's steps, all of them, in the test's own process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from stt_engine.audio import decode as module
from stt_engine.speech import AudioLimits


def decode(path: Path, folder: Path, limits: AudioLimits) -> SimpleNamespace:
    """Decode to the end and return the result."""
    steps = module.decode(path, folder, limits)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return SimpleNamespace(**end.value)
