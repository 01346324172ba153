"""Speech to text that says what failed instead of inventing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from stt_engine.version import __version__

if TYPE_CHECKING:
    from stt_engine.engine import WhisperSTT
    from stt_engine.limits import Limits, Tuning
    from stt_engine.result import SegmentResult, TranscribeResult, WordResult

__all__ = [
    "Limits",
    "SegmentResult",
    "TranscribeResult",
    "Tuning",
    "WhisperSTT",
    "WordResult",
    "__version__",
]

_ROOMS = {
    "Limits": "limits",
    "SegmentResult": "result",
    "TranscribeResult": "result",
    "Tuning": "limits",
    "WhisperSTT": "engine",
    "WordResult": "result",
}


def __getattr__(name: str) -> object:
    """Import the public names on first use: a child process needs only its own backend."""
    if name in _ROOMS:
        return getattr(import_module(f"stt_engine.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'stt_engine' has no attribute '{name}'")
