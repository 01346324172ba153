"""How likely a text is by the sound alone, with nothing shown to the model before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stt_engine.backends.base import SpeechChunk
from stt_engine.backends.faster_whisper.decoder import tokenizer_of

_FRAMES, _HOP = 3_000, 160
"""Whisper's window, thirty seconds, and the samples of a frame."""

_LEAST = 1e-9


def log_likelihoods(library: Any, chunk: SpeechChunk, texts: Sequence[str]) -> list[float]:
    """Return the natural logarithm of the probability of each text of a chunk, token by token."""
    tokenizer = tokenizer_of(library, chunk.language, chunk.task)
    frames = min(_FRAMES, len(chunk.samples) // _HOP)
    silent = np.zeros(_FRAMES * _HOP, np.float32)  # as the model was trained, silence is padding
    silent[: len(chunk.samples)] = chunk.samples[: len(silent)]
    states = library.encode(library.feature_extractor(silent)[:, :_FRAMES])
    begin = list(tokenizer.sot_sequence)
    told = []
    for text in texts:
        (found,) = library.model.align(states, begin, [tokenizer.encode(f" {text}")], frames)
        told.append(float(np.log(np.maximum(_LEAST, found.text_token_probs)).sum()))
    return told
