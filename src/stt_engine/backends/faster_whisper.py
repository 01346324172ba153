"""faster-whisper: CTranslate2 weights, no torch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stt_engine.backends.native import native_errors
from stt_engine.backends.recognition import Heard, Model, model_operations
from stt_engine.backends.vad import Samples

PARAMETERS: dict[str, Any] = {
    "beam_size": 5,
    # Beyond 0.4 Whisper samples text that nobody said.
    "temperature": (0.0, 0.2, 0.4),
    "condition_on_previous_text": False,
}
"""Passed to ``WhisperModel.transcribe``; the rest are the library's defaults."""


class FasterWhisper:
    """A loaded CTranslate2 model."""

    def __init__(self, job: dict[str, Any]) -> None:
        from faster_whisper import WhisperModel

        compute_type = job["compute_type"]
        if compute_type == "auto":
            compute_type = "default" if job["device"] == "cuda" else "int8"
        self._model = WhisperModel(
            str(Path(job["folder"])),
            device=job["device"],
            compute_type=compute_type,
            cpu_threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
            local_files_only=True,
        )
        self.multilingual = bool(self._model.model.is_multilingual)
        self.facts: dict[str, Any] = {
            "device": self._model.model.device,
            "compute_type": self._model.model.compute_type,
            "parameters": {
                **PARAMETERS,
                "vad": "silero",
                "temperature": list(PARAMETERS["temperature"]),
            },
        }

    def detect(self, samples: Samples) -> str:
        """Give the language code of what is said."""
        return str(self._model.detect_language(samples)[0])

    def hear(self, samples: Samples, language: str, task: str, *, words: bool) -> Iterable[Heard]:
        """Recognise one stretch of speech."""
        found, _ = self._model.transcribe(
            samples, language=language, task=task, word_timestamps=words, **PARAMETERS
        )
        return (_heard(segment) for segment in found)


def _heard(segment: Any) -> Heard:
    words = segment.words and tuple(
        (word.start, word.end, word.word, word.probability) for word in segment.words
    )
    return Heard(segment.start, segment.end, segment.text, math.exp(segment.avg_logprob), words)


def load(job: dict[str, Any]) -> Model:
    """Load the folder that ``job`` names."""
    with native_errors():
        return FasterWhisper(job)


def operations() -> dict[str, Any]:
    """Give the operations of this backend's child process."""
    return model_operations(load)
