"""openai-whisper: the original ``.pt`` checkpoints, on torch, loaded with ``weights_only``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from stt_engine.backends.base import ChunkResult, Model, RawSegment, SpeechChunk
from stt_engine.backends.recognition import model_operations
from stt_engine.backends.vad import Samples
from stt_engine.hints import Hints
from stt_engine.native_errors import native_errors
from stt_engine.protocol import LoadJob, OnShared, Operations

PARAMETERS: dict[str, Any] = {
    "beam_size": 5,
    "temperature": (0.0, 0.2, 0.4),
    "condition_on_previous_text": False,
}
"""Passed to ``Whisper.transcribe``; the rest are the library's defaults."""


class OpenAIWhisper:
    """A loaded original checkpoint."""

    together = 1

    def __init__(self, job: LoadJob) -> None:
        import whisper

        device = None if job["device"] == "auto" else job["device"]
        # A path is loaded as it is; whisper passes weights_only=True to torch.load.
        self._model = whisper.load_model(job["weights"], device=device)
        self._half = self._model.device.type == "cuda"
        self.multilingual = bool(self._model.is_multilingual)
        self.facts: dict[str, Any] = {
            "takes": ["words", "hints", "temperature"],
            "device": str(self._model.device),
            "compute_type": "float16" if self._half else "float32",
            "parameters": {
                **PARAMETERS,
                "temperature": list(PARAMETERS["temperature"]),
                "vad": "silero",
            },
        }

    def detect(self, samples: Samples) -> dict[str, float]:
        """Return the probabilities of the languages that the speech may be in."""
        import whisper

        mel = whisper.log_mel_spectrogram(
            whisper.pad_or_trim(samples), self._model.dims.n_mels, device=self._model.device
        )
        chances: dict[str, float]
        _, chances = self._model.detect_language(mel.half() if self._half else mel)
        return chances

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        """Transcribe chunks of speech, one after the other."""
        return [ChunkResult(tuple(self._one(chunk))) for chunk in chunks]

    def _one(self, chunk: SpeechChunk) -> Iterable[RawSegment]:
        found = self._model.transcribe(
            chunk.samples,
            language=chunk.language,
            task=chunk.task,
            word_timestamps=chunk.words,
            initial_prompt=_shown(chunk.hints),
            fp16=self._half,
            verbose=None,
            **{**PARAMETERS, **({"temperature": chunk.temperature} if chunk.temperature else {})},
        )
        return (_raw_segment(segment) for segment in found["segments"])


def _shown(hints: Hints) -> str | None:
    """Return hints as the text before; the library keeps the last tokens of it."""
    return " ".join((hints.prompt, ", ".join(hints.keywords))).strip() or None


def _raw_segment(segment: dict[str, Any]) -> RawSegment:
    words = segment.get("words")
    return RawSegment(
        float(segment["start"]),
        float(segment["end"]),
        segment["text"],
        math.exp(segment["avg_logprob"]),
        words
        and tuple(
            (float(w["start"]), float(w["end"]), w["word"], float(w["probability"])) for w in words
        ),
    )


def load(job: LoadJob) -> Model:
    """Load the checkpoint that ``job`` names."""
    with native_errors():
        return OpenAIWhisper(job)


def operations(on_shared: OnShared) -> Operations:
    """Return the operations of this backend's child process."""
    return model_operations(load, on_shared)
