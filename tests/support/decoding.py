"""The decoder's steps, all of them, in the test's own process."""

from __future__ import annotations

from pathlib import Path

from stt_engine import audio
from stt_engine.audio import Decoded
from stt_engine.speech import AudioLimits


def decode(path: Path, folder: Path, limits: AudioLimits) -> Decoded:
    """Decode to the end and give what the last step returns."""
    steps = audio.decode(path, folder, limits)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return Decoded(**end.value)
