"""openai-whisper: the original ``.pt`` checkpoints, on torch, loaded with ``weights_only``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from stt_engine.backends.hearing import Tell
from stt_engine.backends.model import Heard, Model, Said, Stretch
from stt_engine.backends.native import native_errors
from stt_engine.backends.recognition import model_operations
from stt_engine.backends.vad import Samples

PARAMETERS: dict[str, Any] = {
    "beam_size": 5,
    "temperature": (0.0, 0.2, 0.4),
    "condition_on_previous_text": False,
}
"""Passed to ``Whisper.transcribe``; the rest are the library's defaults."""


class OpenAIWhisper:
    """A loaded original checkpoint."""

    together = 1

    def __init__(self, job: dict[str, Any]) -> None:
        import whisper

        device = None if job["device"] == "auto" else job["device"]
        # A path is loaded as it is; whisper passes weights_only=True to torch.load.
        self._model = whisper.load_model(job["weights"], device=device)
        self._half = self._model.device.type == "cuda"
        self.multilingual = bool(self._model.is_multilingual)
        self.facts: dict[str, Any] = {
            "device": str(self._model.device),
            "compute_type": "float16" if self._half else "float32",
            "parameters": {
                **PARAMETERS,
                "temperature": list(PARAMETERS["temperature"]),
                "vad": "silero",
            },
        }

    def detect(self, samples: Samples) -> str:
        """Give the language code of what is said."""
        import whisper

        mel = whisper.log_mel_spectrogram(
            whisper.pad_or_trim(samples), self._model.dims.n_mels, device=self._model.device
        )
        _, chances = self._model.detect_language(mel.half() if self._half else mel)
        return str(max(chances, key=chances.__getitem__))

    def hear(self, stretches: Sequence[Stretch]) -> list[Said]:
        """Recognise stretches of speech, one after the other."""
        return [Said(tuple(self._one(stretch))) for stretch in stretches]

    def _one(self, stretch: Stretch) -> Iterable[Heard]:
        found = self._model.transcribe(
            stretch.samples,
            language=stretch.language,
            task=stretch.task,
            word_timestamps=stretch.words,
            fp16=self._half,
            verbose=None,
            **PARAMETERS,
        )
        return (_heard(segment) for segment in found["segments"])


def _heard(segment: dict[str, Any]) -> Heard:
    words = segment.get("words")
    return Heard(
        float(segment["start"]),
        float(segment["end"]),
        segment["text"],
        math.exp(segment["avg_logprob"]),
        words
        and tuple(
            (float(w["start"]), float(w["end"]), w["word"], float(w["probability"])) for w in words
        ),
    )


def load(job: dict[str, Any]) -> Model:
    """Load the checkpoint that ``job`` names."""
    with native_errors():
        return OpenAIWhisper(job)


def operations(tell: Tell) -> dict[str, Any]:
    """Give the operations of this backend's child process."""
    return model_operations(load, tell)
