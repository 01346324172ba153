"""What a decoder is to the fast road, and CTranslate2's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float32]

MAX_FIRST_TIME = 50
"""The first time is within a second of the start (openai-whisper's own default)."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a decoder makes of a stretch."""

    tokens: list[int]
    logprob: float
    """Mean log probability of the tokens and the end."""
    no_speech_prob: float


class Decoder(Protocol):
    """Whisper's decoder, in whatever library."""

    facts: dict[str, Any]

    def decode(self, states: Numbers, prompts: Sequence[list[int]], most: int) -> list[Decoded]:
        """Decode stretches whose states (B, S, width) are of one length.

        ``prompts`` are of one length too; ``most`` is how many tokens may follow them.
        """
        ...


class NativeDecoder:
    """CTranslate2's own; each call runs on one of its workers.

    Args:
        library: faster-whisper's ``WhisperModel``.
        beam_size: hypotheses that are followed.
    """

    def __init__(self, library: Any, beam_size: int) -> None:
        self._library = library
        self._beam_size = beam_size
        self._suppressed = list(special_tokens(library).suppressed)
        self.facts: dict[str, Any] = {"decoder": "ctranslate2"}

    def decode(self, states: Numbers, prompts: Sequence[list[int]], most: int) -> list[Decoded]:
        """Decode stretches; see :class:`Decoder`."""
        import ctranslate2

        results = self._library.model.generate(
            ctranslate2.StorageView.from_array(states),
            list(prompts),
            beam_size=self._beam_size,
            max_length=2 * most,  # CTranslate2 generates half of it, as if the rest were a prompt
            max_initial_timestamp_index=MAX_FIRST_TIME,
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [_decoded(result) for result in results]


def _decoded(result: Any) -> Decoded:
    tokens = result.sequences_ids[0]
    logprob = result.scores[0] * len(tokens) / (len(tokens) + 1)
    return Decoded(tokens, logprob, result.no_speech_prob)


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Tokens of a model that are no text, and those that are never said."""

    end: int
    first_time: int
    no_speech: int
    suppressed: tuple[int, ...]
    """Symbols that nobody says, and tasks."""


def special_tokens(library: Any) -> SpecialTokens:
    """Look them up; they are the same for all languages and tasks."""
    from faster_whisper.transcribe import get_suppressed_tokens

    tokenizer = tokenizer_of(library, "en", "transcribe")
    return SpecialTokens(
        tokenizer.eot,
        tokenizer.timestamp_begin,
        tokenizer.no_speech,
        get_suppressed_tokens(tokenizer, [-1]),
    )


def tokenizer_of(library: Any, language: str, task: str) -> Any:
    """Give faster-whisper's tokenizer for a language and a task."""
    from faster_whisper.tokenizer import Tokenizer

    multilingual = library.model.is_multilingual
    return Tokenizer(library.hf_tokenizer, multilingual, task=task, language=language)
