"""transformers: Hugging Face weights (safetensors), on torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stt_engine.backends.hearing import Tell
from stt_engine.backends.model import Heard, Model, Said, Stretch
from stt_engine.backends.native import native_errors
from stt_engine.backends.recognition import model_operations
from stt_engine.backends.vad import Samples
from stt_engine.speech import SAMPLE_RATE

PARAMETERS: dict[str, Any] = {"num_beams": 5, "max_new_tokens": 440, "do_sample": False}
"""Passed to ``generate``; 440 new tokens and the prompt fit Whisper's 448 positions."""


class TransformersWhisper:
    """A loaded Hugging Face model."""

    together = 1

    def __init__(self, job: dict[str, Any]) -> None:
        import torch
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        folder = Path(job["folder"])
        device = job["device"]
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.float16 if device == "cuda" else torch.float32
        self._torch = torch
        self._device, self._dtype = device, dtype
        self._processor = WhisperProcessor.from_pretrained(folder, local_files_only=True)
        self._model = WhisperForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=dtype
        ).to(device)
        self._model.eval()
        self.multilingual = bool(getattr(self._model.generation_config, "is_multilingual", True))
        self.facts: dict[str, Any] = {
            "device": device,
            "compute_type": str(dtype).removeprefix("torch."),
            "parameters": {**PARAMETERS, "vad": "silero"},
        }

    def detect(self, samples: Samples) -> str:
        """Give the language code of what is said."""
        token = int(self._model.detect_language(self._features(samples))[0])
        return str(self._processor.tokenizer.convert_ids_to_tokens(token)).strip("<|>")

    def hear(self, stretches: Sequence[Stretch]) -> list[Said]:
        """Recognise stretches of speech, one after the other. Words are not given here."""
        return [Said(tuple(self._one(stretch))) for stretch in stretches]

    def _one(self, stretch: Stretch) -> Iterable[Heard]:
        asked = {"language": stretch.language, "task": stretch.task} if self.multilingual else {}
        with self._torch.inference_mode():
            tokens = self._model.generate(
                self._features(stretch.samples), return_timestamps=True, **asked, **PARAMETERS
            )
        parts = self._processor.tokenizer.decode(
            tokens[0], output_offsets=True, skip_special_tokens=True
        )["offsets"]
        for part in parts:
            start, end = part["timestamp"]
            length = stretch.seconds
            yield Heard(min(start, length), min(end or length, length), part["text"])

    def _features(self, samples: Samples) -> Any:
        found = self._processor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return found.input_features.to(self._device, self._dtype)


def load(job: dict[str, Any]) -> Model:
    """Load the folder that ``job`` names."""
    with native_errors():
        return TransformersWhisper(job)


def operations(tell: Tell) -> dict[str, Any]:
    """Give the operations of this backend's child process."""
    return model_operations(load, tell)
