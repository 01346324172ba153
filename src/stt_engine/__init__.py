"""Speech to text that says what failed instead of inventing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_engine.version import __version__

if TYPE_CHECKING:
    from stt_engine.engine import TranscribeResult, WhisperSTT
    from stt_engine.isolated import Limits, Tuning

__all__ = ["Limits", "TranscribeResult", "Tuning", "WhisperSTT", "__version__"]


def __getattr__(name: str) -> object:
    """Import the public names on first use: a child process needs only its own backend."""
    if name in {"WhisperSTT", "TranscribeResult"}:
        from stt_engine import engine  # noqa: PLC0415

        return getattr(engine, name)
    if name in {"Limits", "Tuning"}:
        from stt_engine import isolated  # noqa: PLC0415

        return getattr(isolated, name)
    raise AttributeError(f"module 'stt_engine' has no attribute '{name}'")
