"""Real weights for tests: fetched once into the checkout's ``models/`` folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from stt_engine.model_store.store import ensure_model_exists

MODELS = Path(__file__).parents[2] / "models"


@cache
def whisper_base() -> Path:
    """Return the folder of multilingual Whisper base (faster-whisper's format, 148 MB)."""
    return ensure_model_exists("Systran/faster-whisper-base", MODELS)


@cache
def campplus() -> Path:
    """Return the checkpoint of the network that knows voices (28 MB)."""
    return ensure_model_exists("campplus-zh-en-common", MODELS) / "campplus_cn_en_common.pt"


@cache
def smollm2() -> Path:
    """Return the GGUF file of a small instruct model (98 MB)."""
    folder = ensure_model_exists("smollm2-135m-instruct", MODELS)
    return folder / "SmolLM2-135M-Instruct.Q4_1.gguf"
