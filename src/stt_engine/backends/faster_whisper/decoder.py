"""The decoder of the batched pipeline: its interface, and CTranslate2's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stt_engine.backends.languages import Window
from stt_engine.languages import LANGUAGES

Numbers = npt.NDArray[np.float32]

MAX_FIRST_TIME = 50
"""The first time is within a second of the start (openai-whisper's own default)."""


@dataclass(frozen=True, slots=True)
class DecodedTokens:
    """What a decoder makes of a chunk."""

    tokens: list[int]
    logprob: float
    """Mean log probability of the tokens and the end."""
    no_speech_prob: float
    languages: Mapping[str, float] | None = None
    """The probabilities of the languages by the whole chunk; ``None`` where decoding says nothing
    of them."""


class TokenDecoder(Protocol):
    """Whisper's decoder, in whatever library.

    ``tells_languages``: decoding by prompts that begin as Whisper's do says which language it is,
    so that nothing has to be asked for it.
    """

    facts: dict[str, Any]
    tells_languages: bool

    def decode(
        self, states: Numbers, prompts: Sequence[list[int]], most: int
    ) -> list[DecodedTokens]:
        """Decode chunks whose states (B, S, width) are of one length.

        ``prompts`` are of one length too; ``most`` is how many tokens may follow them.
        """
        ...

    def languages(self, states: Numbers, windows: Sequence[Window]) -> list[dict[str, float]]:
        """Return, for each window of states (B, S, width), the probabilities of the languages."""
        ...


class NativeDecoder:
    """CTranslate2's own; each call runs on one of its workers.

    Args:
        library: faster-whisper's ``WhisperModel``.
        beam_size: hypotheses that are followed.
    """

    tells_languages = False

    def __init__(self, library: Any, beam_size: int) -> None:
        self._library = library
        self._beam_size = beam_size
        self._suppressed = list(special_tokens(library).suppressed)
        self.facts: dict[str, Any] = {"decoder": "ctranslate2"}

    def decode(
        self, states: Numbers, prompts: Sequence[list[int]], most: int
    ) -> list[DecodedTokens]:
        """Decode chunks; see :class:`TokenDecoder`."""
        import ctranslate2

        results = self._library.model.generate(
            ctranslate2.StorageView.from_array(states),
            list(prompts),
            beam_size=self._beam_size,
            # CTranslate2 generates half of it, as if the rest were a prompt; hints may be longer.
            max_length=max(2 * most, most + len(prompts[0])),
            max_initial_timestamp_index=MAX_FIRST_TIME,
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [_decoded(result) for result in results]

    def languages(self, states: Numbers, windows: Sequence[Window]) -> list[dict[str, float]]:
        """Detect languages; see :class:`TokenDecoder`."""
        import ctranslate2

        asked = np.stack([states[row, first:last] for row, first, last in windows])
        view = ctranslate2.StorageView.from_array(asked)
        return [
            {token.strip("<|>"): float(chance) for token, chance in found}
            for found in self._library.model.detect_language(view)
        ]


def _decoded(result: Any) -> DecodedTokens:
    tokens = result.sequences_ids[0]
    logprob = result.scores[0] * len(tokens) / (len(tokens) + 1)
    return DecodedTokens(tokens, logprob, result.no_speech_prob)


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Tokens of a model that are no text, and those that are never said."""

    end: int
    first_time: int
    no_speech: int
    begin: int
    languages: Mapping[str, int]
    """By code; none in a model that knows English only."""
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
        tokenizer.sot,
        _language_tokens(library.hf_tokenizer),
        get_suppressed_tokens(tokenizer, [-1]),
    )


def _language_tokens(tokenizer: Any) -> dict[str, int]:
    found = {code: tokenizer.token_to_id(f"<|{code}|>") for code in sorted(LANGUAGES)}
    return {code: token for code, token in found.items() if token is not None}


def tokenizer_of(library: Any, language: str, task: str) -> Any:
    """Return faster-whisper's tokenizer for a language and a task."""
    from faster_whisper.tokenizer import Tokenizer

    multilingual = library.model.is_multilingual
    return Tokenizer(library.hf_tokenizer, multilingual, task=task, language=language)
