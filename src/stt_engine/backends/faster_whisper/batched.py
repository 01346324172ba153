"""The batched pipeline over CTranslate2: chunks at their own length, decoded together.

Three things are different from faster-whisper's own ``transcribe``, which stays as the pipeline for
what has low confidence here:

- A chunk is encoded at its length and :data:`PADDING_SEC` of silence, not as 30 seconds. With
  less silence the decoder does not find the end (measured: runaways from 2 s downwards).
- Chunks of like length are transcribed in groups: encoded one by one (on a CPU a batch gains
  nothing and costs memory), then decoded at once, for which the silence after them is made equal.
- Groups go to as many workers as there are cores for, each on its own threads: two decoders with
  one thread are faster than one with two, and while one encodes, the other may decode.

Nothing is tried a second time here: what looks wrong is a :class:`LowConfidence`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stt_engine.backends.base import (
    LATE_SEC,
    ChunkResult,
    LanguageGuess,
    RawSegment,
    SpeechChunk,
)
from stt_engine.backends.faster_whisper.decoder import DecodedTokens, TokenDecoder, tokenizer_of
from stt_engine.backends.faster_whisper.grouping import groups_of
from stt_engine.backends.faster_whisper.hint_tokens import hint_tokens
from stt_engine.backends.faster_whisper.timestamps import Part, timed_parts
from stt_engine.backends.gaps import gaps_in
from stt_engine.backends.languages import (
    Chances,
    Detect,
    Window,
    are_one_window_each,
    guesses_of,
)
from stt_engine.backends.repetition import is_suspect
from stt_engine.backends.vad import Samples
from stt_engine.errors import BackendError, OutOfMemory
from stt_engine.hints import Hints
from stt_engine.native_errors import native_errors
from stt_engine.speech import SAMPLE_RATE

PADDING_SEC = 3.5
"""Silence after a chunk: what the decoder needs to end it."""

WINDOW_SEC = 30.0
"""The longest that Whisper encodes."""

MIN_LOGPROB = -1.0
MAX_NO_SPEECH = 0.6
"""openai-whisper's own thresholds of low confidence (``transcribe.py``)."""

SHORT_SEC = 2.0
SHORT_MIN_LOGPROB = -0.7
"""A sound this short that is only half believed may be none: music became "You" at -0.99."""

GROUP_SEC = 110.0
BASE_WIDTH = 512
"""Seconds that are encoded in a group, for a model of Whisper base's width: the decoder keeps the
keys of all of it, 1.2 MiB a second, on each worker."""

_TOKENS = (15, 8)
"""Tokens for any chunk, and for each second of it: Korean calls have 4 to 5 a second (measured).
A runaway ends there, and who speaks still faster is transcribed by the next pipeline."""

_MOST_TOKENS = 224
_REPEATED = 50
_HOP = 160
_STEP = 2 * _HOP
_PREPENDED = "\"'“¿([{-"
_APPENDED = "\"'.。,，!！?？:：”)]}、"

Features = npt.NDArray[np.float32]


def token_cap(seconds: float, tokens: tuple[int, int] = _TOKENS) -> int:
    """Return the most tokens that a chunk may have: so many, and so many for each second."""
    before, a_second = tokens
    return min(_MOST_TOKENS, before + math.ceil(a_second * seconds))


@dataclass(frozen=True, slots=True)
class LowConfidence:
    """Why the batched pipeline's result for a chunk is not taken."""

    reason: str
    languages: tuple[LanguageGuess, ...] | None = field(default=None, compare=False)


class Encoder(Protocol):
    """Whisper's encoder, in whatever library."""

    facts: dict[str, Any]

    def encode(self, features: Features) -> Features:
        """Return ``(1, n / 2, width)`` for log-mel ``(1, bands, n)``, n at most 3,000."""
        ...


class NativeEncoder:
    """CTranslate2's own encoder; each call runs on one of its workers."""

    def __init__(self, library: Any) -> None:
        self._model = library.model
        self.facts: dict[str, Any] = {"encoder": "ctranslate2"}

    def encode(self, features: Features) -> Features:
        """Encode one chunk; see :class:`Encoder`."""
        import ctranslate2

        found = self._model.encode(ctranslate2.StorageView.from_array(features), to_cpu=True)
        return np.array(found, copy=True)


class BatchedPipeline:
    """Chunks together, each at its own length.

    Args:
        library: faster-whisper's ``WhisperModel``.
        encoder: what encodes.
        decoder: what decodes.
        workers: groups that are transcribed at once.
    """

    name = "batched"

    def __init__(self, library: Any, encoder: Encoder, decoder: TokenDecoder, workers: int) -> None:
        self._library = library
        self.encoder = encoder
        self._decoder = decoder
        self._workers = workers
        self._tokenizers: dict[tuple[str, str], Any] = {}
        # A wide model has more layers too, whose keys a group keeps: the square of the width.
        width = encoder.encode(self._features(np.zeros(0, np.float32))).shape[-1]
        self._most_sec = GROUP_SEC * (BASE_WIDTH / width) ** 2
        self._pool = ThreadPoolExecutor(workers, "decoder")

    def detect(self, samples: Samples) -> dict[str, float]:
        """Return the probabilities of the languages of what is said."""
        states = self.encoder.encode(self._features(samples))
        (found,) = self._decoder.languages(states, [Window(0, 0, states.shape[1])])
        return found

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult | LowConfidence]:
        """Transcribe chunks; return results in their order, or why one has low confidence."""
        groups = list(self._groups(chunks))
        heard = self._pool.map(self._group, [[chunks[at] for at in group] for group in groups])
        answers: dict[int, ChunkResult | LowConfidence] = {}
        for group, found in zip(groups, heard, strict=True):
            answers.update(zip(group, found, strict=True))
        return [answers[at] for at in range(len(chunks))]

    def _groups(self, chunks: Sequence[SpeechChunk]) -> Iterator[list[int]]:
        """Yield which chunks are decoded at once: their prompts have to be of one length."""
        by_hints: dict[Hints, list[int]] = {}
        for at, one in enumerate(chunks):
            by_hints.setdefault(one.hints, []).append(at)
        for places in by_hints.values():
            seconds = [chunks[at].seconds for at in places]
            for group in groups_of(seconds, self._workers, self._most_sec, PADDING_SEC):
                yield [places[at] for at in group]

    def _group(self, chunks: list[SpeechChunk]) -> list[ChunkResult | LowConfidence]:
        try:
            with native_errors():
                encoded = [self.encoder.encode(self._features(one.samples)) for one in chunks]
                states = with_equal_silence(encoded)
                del encoded  # nothing holds what the states were made of
                told = self._decoder.tells_languages and are_one_window_each(chunks)
                languages = [] if told else self._languages(chunks, states, self._decoder.languages)
                decoded = self._decoded(chunks, states)
                if told:
                    languages = self._languages(chunks, states, _told_by(decoded))
                return [
                    replace(self._answer(chunk, one, states[at : at + 1]), languages=guesses)
                    for at, (chunk, one, guesses) in enumerate(
                        zip(chunks, decoded, languages, strict=True)
                    )
                ]
        except OutOfMemory:
            raise
        except BackendError as exc:
            return [LowConfidence(f"{exc.error_type}: {exc}")] * len(chunks)

    def _languages(
        self, chunks: Sequence[SpeechChunk], states: Features, detect: Detect
    ) -> list[tuple[LanguageGuess, ...]]:
        """Return what chunks sound like; a model that knows one language cannot tell."""
        if not self._library.model.is_multilingual:
            return [()] * len(chunks)
        return guesses_of(chunks, states, detect)

    def _decoded(self, chunks: list[SpeechChunk], states: Features) -> list[DecodedTokens]:
        shown = hint_tokens(self._tokenizer(chunks[0]), chunks[0].hints)
        prompts = [[*shown, *self._tokenizer(one).sot_sequence] for one in chunks]
        most = token_cap(max(one.seconds for one in chunks))
        return self._decoder.decode(states, prompts, most)

    def _answer(
        self, chunk: SpeechChunk, decoded: DecodedTokens, states: Features
    ) -> ChunkResult | LowConfidence:
        tokens, logprob = decoded.tokens, decoded.logprob
        if logprob < MIN_LOGPROB:
            silent = decoded.no_speech_prob > MAX_NO_SPEECH
            return ChunkResult() if silent else LowConfidence("low_probability")
        short = chunk.seconds < SHORT_SEC and logprob < SHORT_MIN_LOGPROB
        if short or decoded.no_speech_prob > MAX_NO_SPEECH:
            return LowConfidence("perhaps_no_speech")
        if len(tokens) >= token_cap(chunk.seconds):
            return LowConfidence("too_many_tokens")
        tokenizer = self._tokenizer(chunk)
        parts = timed_parts(tokens, tokenizer.timestamp_begin, tokenizer.eot, chunk.seconds)
        text = tokenizer.decode([token for _, _, words in parts for token in words])
        if reason := _doubt_of(chunk, parts, text):
            return LowConfidence(reason)
        timed = self._word_times(chunk, parts, states) if chunk.words and parts else None
        return ChunkResult(tuple(self._heard(chunk, parts, math.exp(logprob), timed)))

    def _heard(
        self,
        chunk: SpeechChunk,
        parts: list[Part],
        confidence: float,
        timed: list[dict[str, Any]] | None,
    ) -> Iterator[RawSegment]:
        decode = self._tokenizer(chunk).decode
        for at, (start, end, tokens) in enumerate(parts):
            segment = RawSegment(start, end, decode(tokens), confidence)
            if timed is not None:
                part = timed[at]
                words = tuple(
                    (word["start"], word["end"], word["word"], float(word["probability"]))
                    for word in part["words"]
                )
                segment = replace(segment, start=part["start"], end=part["end"], words=words)
            yield segment.within(chunk.seconds)  # frames of 20 ms may pass the end

    def _word_times(
        self, chunk: SpeechChunk, parts: list[Part], encoded: Features
    ) -> list[dict[str, Any]]:
        """Return each part with ``words``, as faster-whisper aligns them."""
        import ctranslate2

        timed: list[dict[str, Any]] = [
            {"seek": 0, "start": start, "end": end, "tokens": tokens}
            for start, end, tokens in parts
        ]
        self._library.add_word_timestamps(
            [timed],
            self._tokenizer(chunk),
            ctranslate2.StorageView.from_array(encoded),
            [math.ceil(chunk.seconds * SAMPLE_RATE / _HOP)],
            _PREPENDED,
            _APPENDED,
            0.0,
        )
        return timed

    def _features(self, samples: Samples) -> Features:
        """Return the log-mel ``(1, bands, frames)`` of samples and the silence after them."""
        length = _padded(samples)
        silent = np.zeros(length, np.float32)
        silent[: len(samples)] = samples[:length]
        found = self._library.feature_extractor(silent)[None, :, : length // _HOP]
        return np.ascontiguousarray(found, np.float32)

    def _tokenizer(self, chunk: SpeechChunk) -> Any:
        kind = (chunk.language, chunk.task)
        if kind not in self._tokenizers:
            self._tokenizers[kind] = tokenizer_of(self._library, *kind)
        return self._tokenizers[kind]


def _told_by(decoded: Sequence[DecodedTokens]) -> Detect:
    """Return what tells the languages of whole chunks without another step."""

    def told(_states: Features, windows: Sequence[Window]) -> list[Chances]:
        return [decoded[one.row].languages or {} for one in windows]

    return told


def _doubt_of(chunk: SpeechChunk, parts: list[Part], text: str) -> str | None:
    """Return what is wrong with a probable answer, by its text and times."""
    if not parts and gaps_in(chunk, ()):
        return "no_text"
    if any(start > chunk.seconds + LATE_SEC for start, _, _ in parts):
        return "impossible_times"
    return "repetition_loop" if is_suspect(text) else None


def with_equal_silence(encoded: Sequence[Features]) -> Features:
    """Join ``(1, states, width)`` of any lengths: the silence of the shorter ones continues.

    Their last second, which is deep in the silence after the chunk, is repeated. Measured on 64
    Korean clips: no more errors than with the silence encoded (9.6 and 9.3 %; as one: 9.6 %).
    """
    longest = max(states.shape[1] for states in encoded)
    return np.concatenate([_extended(states, longest) for states in encoded])


def _extended(states: Features, length: int) -> Features:
    missing = length - states.shape[1]
    at = states.shape[1] - _REPEATED + np.arange(missing) % _REPEATED
    return np.concatenate([states, states[:, at]], axis=1) if missing else states


def _padded(samples: Samples) -> int:
    """Return the samples that are encoded for a chunk: an even number of frames."""
    length = min(len(samples) + PADDING_SEC * SAMPLE_RATE, WINDOW_SEC * SAMPLE_RATE)
    return math.ceil(length / _STEP) * _STEP
