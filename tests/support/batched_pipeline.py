"""The batched pipeline with stub encoder and decoder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from stt_engine.backends.base import ChunkResult, SpeechChunk
from stt_engine.backends.faster_whisper import model as module
from stt_engine.backends.faster_whisper.batched import (
    BatchedPipeline,
    Features,
)
from stt_engine.backends.faster_whisper.decoder import NativeDecoder
from stt_engine.backends.faster_whisper.model import (
    FasterWhisper,
)
from stt_engine.speech import SAMPLE_RATE

WORDS = "this is a test of the speech recognition service"


WIDTH = 512
"""Of Whisper base's states."""


def loaded(folder: Path, **changes: object) -> FasterWhisper:
    job = {
        "folder": str(folder),
        "device": "cpu",
        "compute_type": "int8",
        "beam_size": 5,
        "encoder": "ctranslate2",
        "decoding": "batched",
    }
    found = module.load({**job, **changes})
    assert isinstance(found, FasterWhisper)
    return found


def text_of(answer: object) -> str:
    assert isinstance(answer, ChunkResult), answer
    return "".join(one.text for one in answer.segments)


def words_of(answer: object) -> str:
    return " ".join(re.findall(r"[a-z']+", text_of(answer).lower()))


# Doubts -----------------------------------------------------------------------------------
@dataclass
class StubDecoder:
    """In place of CTranslate2's model: generates what ``says`` gives, and notes its arguments."""

    says: Callable[[int], Any]
    is_multilingual: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)

    def detect_language(self, states: Any) -> list[list[tuple[str, float]]]:
        return [[("<|ko|>", 1.0)]] * states.shape[0]

    def generate(self, encoded: Any, prompts: list[list[int]], **options: Any) -> list[Any]:
        self.asked.append({"shape": list(encoded.shape), "prompts": prompts, **options})
        return [self.says(at) for at in range(len(prompts))]


class StubEncoder:
    facts: dict[str, Any]

    def __init__(self) -> None:
        self.facts = {"encoder": "stub"}
        self.frames: list[int] = []

    def encode(self, features: Features) -> Features:
        self.frames.append(features.shape[-1])
        return np.zeros((1, features.shape[-1] // 2, WIDTH), np.float32)


def said_of(tokens: list[int], *, score: float = -0.1, silent: float = 0.0) -> Any:
    return SimpleNamespace(sequences_ids=[tokens], scores=[score], no_speech_prob=silent)


def pipeline_of(library: Any, decoder: StubDecoder, workers: int = 1) -> BatchedPipeline:
    """The batched pipeline with the real tokenizer and features; a stub in place of the weights."""
    stub = SimpleNamespace(
        model=decoder,
        hf_tokenizer=library.hf_tokenizer,
        feature_extractor=library.feature_extractor,
    )
    return BatchedPipeline(stub, StubEncoder(), NativeDecoder(stub, 5), workers)


def chunk(seconds: float, language: str = "ko", task: str = "transcribe") -> SpeechChunk:
    return SpeechChunk(np.zeros(round(seconds * SAMPLE_RATE), np.float32), language, task)


Tokens = Callable[..., list[int]]


DOUBTS: dict[str, tuple[str, Callable[[Tokens], Any]]] = {
    "improbable": ("low_probability", lambda of: said_of(of("무엇"), score=-1.5)),
    "endless": ("too_many_tokens", lambda of: said_of([*of("네"), *([of("네")[1]] * 200)])),
    "late": ("impossible_times", lambda of: said_of(of("시청해주셔서", 12.0, 14.0))),
    "again and again": ("repetition_loop", lambda of: said_of(of("네 네 네 " * 12))),
}
