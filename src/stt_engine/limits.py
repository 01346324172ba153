"""What one call may cost, and how the fast backend works."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stt_engine.speech import AudioLimits


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may cost. Seconds, bytes, mebibytes.

    No recording takes longer than ``min_transcribe_sec`` or ``max_realtime_factor`` times its own
    length, whichever is more, on any one backend; waiting for others is not counted there.
    ``models_memory_mb`` bounds the models of all calls together; another one than the default is
    unloaded when no call has asked for it for ``model_idle_sec``.
    """

    audio: AudioLimits = field(default_factory=AudioLimits)
    decode_timeout_sec: float = 300.0
    load_timeout_sec: float = 600.0
    min_transcribe_sec: float = 60.0
    max_realtime_factor: float = 4.0
    stall_timeout_sec: float = 15.0
    worker_memory_mb: int | None = None
    worker_growth_mb: float = 2048.0
    decoder_memory_mb: int | None = 2048
    models_memory_mb: float = 4096.0
    model_idle_sec: float = 600.0

    def transcribe_timeout(self, duration_sec: float, passes: int = 1) -> float:
        """Return the seconds that a recording of this length may take in ``passes`` passes."""
        return passes * max(self.min_transcribe_sec, duration_sec * self.max_realtime_factor)

    def call_timeout(self, duration_sec: float, passes: int, backends: int) -> float:
        """Return the seconds that a call may take with every backend in turn, without waiting."""
        return backends * self.transcribe_timeout(duration_sec, passes)


@dataclass(frozen=True, slots=True)
class Tuning:
    """How faster-whisper works. Every answer says it in ``provenance``.

    ``decoding`` is the pipeline to begin with: ``batched`` (chunks together, low confidence again
    by the other one) or ``sequential`` (the library's own, a chunk at a time). ``encoder``:
    ``openvino`` (for CPUs with units for it), ``ctranslate2``, or ``auto``: the former where it is
    faster.
    """

    decoding: Literal["batched", "sequential"] = "batched"
    encoder: Literal["auto", "ctranslate2", "openvino"] = "auto"
    beam_size: int = 5
