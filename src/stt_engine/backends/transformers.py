"""transformers: Hugging Face weights (safetensors), on torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stt_engine.backends.base import ChunkResult, Model, RawSegment, SpeechChunk
from stt_engine.backends.recognition import model_operations
from stt_engine.backends.vad import Samples
from stt_engine.native_errors import native_errors
from stt_engine.protocol import LoadJob, OnShared, Operations
from stt_engine.speech import SAMPLE_RATE

PARAMETERS: dict[str, Any] = {"num_beams": 5, "max_new_tokens": 440, "do_sample": False}
"""Passed to ``generate``; 440 new tokens and the prompt fit Whisper's 448 positions."""


_TIMESTAMP_SEC = 0.02
"""Between two timestamp tokens of Whisper."""


class TransformersWhisper:
    """A loaded Hugging Face model."""

    together = 1

    def __init__(self, job: LoadJob) -> None:
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
        self._late_sec = self._measure_lateness()
        self.multilingual = bool(getattr(self._model.generation_config, "is_multilingual", True))
        self.facts: dict[str, Any] = {
            "takes": [],
            "device": device,
            "compute_type": str(dtype).removeprefix("torch."),
            "parameters": {**PARAMETERS, "vad": "silero"},
        }

    def _measure_lateness(self) -> float:
        """Return by how much the tokenizer's times are late.

        It takes the first id behind its special tokens for 0.00 s; a tokenizer that does not know
        all of the model's special tokens is early in that. The model's own configuration tells.
        """
        first = getattr(self._model.generation_config, "no_timestamps_token_id", None)
        if first is None:
            return 0.0
        return float(first - self._processor.tokenizer.all_special_ids[-1]) * _TIMESTAMP_SEC

    def detect(self, samples: Samples) -> dict[str, float]:
        """Return the probabilities of the languages that the speech may be in.

        The library's ``detect_language`` tells only which one is the most probable.
        """
        known: dict[str, int] = self._model.generation_config.lang_to_id
        begin = self._torch.tensor(
            [[self._model.generation_config.decoder_start_token_id]], device=self._device
        )
        with self._torch.inference_mode():
            found = self._model(
                input_features=self._features(samples), decoder_input_ids=begin, use_cache=False
            )
        chances = found.logits[0, -1, list(known.values())].float().softmax(0).tolist()
        return {code.strip("<|>"): chance for code, chance in zip(known, chances, strict=True)}

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        """Transcribe chunks of speech, one after the other; words have no times here."""
        return [ChunkResult(tuple(self._one(chunk))) for chunk in chunks]

    def _one(self, chunk: SpeechChunk) -> Iterable[RawSegment]:
        asked = {"language": chunk.language, "task": chunk.task} if self.multilingual else {}
        with self._torch.inference_mode():
            tokens = self._model.generate(
                self._features(chunk.samples), return_timestamps=True, **asked, **PARAMETERS
            )
        parts = self._processor.tokenizer.decode(
            tokens[0], output_offsets=True, skip_special_tokens=True
        )["offsets"]
        for part in parts:
            start, end = part["timestamp"]
            length = chunk.seconds
            start = max(0.0, start - self._late_sec)
            end = length if end is None else end - self._late_sec
            yield RawSegment(min(start, length), min(end, length), part["text"])

    def _features(self, samples: Samples) -> Any:
        found = self._processor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return found.input_features.to(self._device, self._dtype)


def load(job: LoadJob) -> Model:
    """Load the folder that ``job`` names."""
    with native_errors():
        return TransformersWhisper(job)


def operations(on_shared: OnShared) -> Operations:
    """Return the operations of this backend's child process."""
    return model_operations(load, on_shared)
