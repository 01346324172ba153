"""Which language a chunk is spoken in, beside the one that it is transcribed in.

Whisper writes fluent text in whatever language it is told to, also where nobody spoke that one. Its
encoder does not know what it was told: one step of the decoder over its states says what they sound
like. That is asked of windows of a chunk, so that a change inside it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from stt_engine.backends.base import LanguageGuess, Model, SpeechChunk
from stt_engine.backends.batching import WorkItem
from stt_engine.native_errors import native_errors
from stt_engine.outcome import capture
from stt_engine.protocol import LanguageFacts, Provenance, UnheardSpan

WINDOW_SEC = 6.5
"""What one guess is about. All of 137 windows with two seconds of voice were right (real clips in
five renderings each, Whisper base); of windows of 5 s one in 15 was unsure, of 3 s some were wrong.
"""

TAIL_SEC = 1.0
"""Silence after the chunk in its last window: without any, the guess is as of half a sentence."""

MISSED_SEC = 0.5
"""What may lie between two windows, or behind the only one: half a second is not worth another."""

MIN_VOICE_SEC = 2.0
"""A "yes" sounds the same in many languages."""

MIN_PROBABILITY, MAX_ASKED = 0.6, 0.05
"""Another language is heard where it has this probability and the one that was asked for no more
than that: in none of those windows, noise and all; in every one where the other was asked for."""

_STATES_A_SECOND = 50
WINDOW = int(WINDOW_SEC * _STATES_A_SECOND)
"""The same in states of the encoder."""

States = npt.NDArray[np.float32]
Chances = Mapping[str, float]
"""Probabilities by language code."""


class Window(NamedTuple):
    """States ``first`` to ``last`` of the chunk in this row; all of one call are of one length."""

    row: int
    first: int
    last: int


class Detect(Protocol):
    """Asks a decoder which languages windows of states sound like."""

    def __call__(self, states: States, windows: Sequence[Window], /) -> Sequence[Chances]:
        """Return, for each window of states (B, S, width), the probabilities of the languages."""
        ...


class Part(NamedTuple):
    """A part of a chunk, and where the window begins by which it is judged; seconds."""

    start: float
    end: float
    window: float


def parts_of(chunk: SpeechChunk) -> list[Part]:
    """Return the equal parts of a chunk, of about a window each, that hold enough voice.

    The first window begins with the chunk, the last one ends after it.
    """
    count = max(1, math.ceil((chunk.seconds - MISSED_SEC) / WINDOW_SEC))
    length, last = chunk.seconds / count, max(0.0, chunk.seconds + TAIL_SEC - WINDOW_SEC)
    parts = [
        Part(length * at, length * (at + 1), last * at / max(1, count - 1)) for at in range(count)
    ]
    return [
        one
        for one in parts
        if chunk.voice_between(one.window, one.window + WINDOW_SEC) >= MIN_VOICE_SEC
    ]


def guesses_of(
    chunks: Sequence[SpeechChunk], states: States, detect: Detect
) -> list[tuple[LanguageGuess, ...]]:
    """Return the guesses about each chunk; all windows are asked about at once.

    ``states`` are the chunks' states (B, S, width) with silence after them.
    """
    asked = [
        (at, part)
        for at, chunk in enumerate(chunks)
        if chunk.task == "transcribe" and chunk.language_check
        for part in parts_of(chunk)
    ]
    found: list[tuple[LanguageGuess, ...]] = [()] * len(chunks)
    if asked:
        windows = [_window(at, part.window, states.shape[1]) for at, part in asked]
        for (at, part), chances in zip(asked, detect(states, windows), strict=True):
            found[at] += (guess_of(chunks[at], chances, part.start, part.end),)
    return found


def are_one_window_each(chunks: Sequence[SpeechChunk]) -> bool:
    """Return whether the step that decoding begins with says of whole chunks what is asked here.

    Hints stand before that step.
    """
    return all(one.seconds <= WINDOW_SEC + MISSED_SEC and not one.hints for one in chunks)


def _window(row: int, start: float, length: int) -> Window:
    first = max(0, min(int(start * _STATES_A_SECOND), length - WINDOW))
    return Window(row, first, min(length, first + WINDOW))


def guess_of(chunk: SpeechChunk, chances: Chances, start: float, end: float) -> LanguageGuess:
    """Return a guess about a part of a chunk, in seconds from its start."""
    language = max(chances, key=chances.__getitem__)
    asked = chances.get(chunk.language, 0.0)
    other = chances[language] >= MIN_PROBABILITY and asked <= MAX_ASKED
    voice = chunk.voice_between(start, end)
    return LanguageGuess(start, end, voice, language, chances[language], asked, other=other)


def languages_of(model: Model, item: WorkItem) -> tuple[list[LanguageFacts], Provenance]:
    """Return what a chunk sounds like, and facts where that could not be found out.

    A model whose result does not say is asked about the longest chunk of each piece only, since it
    has to encode it for that once more.
    """
    chunk, result = item.chunk, item.result
    if chunk is None or result is None or chunk.task != "transcribe":
        return [], {}
    if result.languages is not None:
        return _facts(result.languages, item, chunk.language), {}
    whole = 0.0, chunk.seconds
    if not model.multilingual or not item.longest or chunk.voice_between(*whole) < MIN_VOICE_SEC:
        return [], {}
    with capture() as kept:  # the text is there already: it does not end for this
        with native_errors():
            guess = guess_of(chunk, model.detect(chunk.samples), *whole)
        return _facts([guess], item, chunk.language), {}
    return [], {"language_check_reason": f"{type(kept.error).__name__}: {kept.error}"}


def _facts(guesses: Iterable[LanguageGuess], item: WorkItem, asked: str) -> list[LanguageFacts]:
    """Return guesses as they are sent to the parent, in seconds of the recording.

    What is no contradiction is reported as the language that was asked for, at its probability.
    """
    channel, offset_sec = item.channel, item.offset_sec
    return [
        {
            "channel": channel,
            "start": round(one.start + offset_sec, 3),
            "end": round(one.end + offset_sec, 3),
            "speech_sec": round(one.speech_sec, 3),
            "language": one.language if one.other else asked,
            "probability": round(one.probability if one.other else one.asked_probability, 4),
            "asked_probability": round(one.asked_probability, 4),
            "other": one.other,
        }
        for one in guesses
    ]


def foreign_spans(found: Iterable[LanguageFacts]) -> list[UnheardSpan]:
    """Return what was spoken in another language: its text is no record of what was said."""
    return [
        {
            "start": one["start"],
            "end": one["end"],
            "channel": one["channel"],
            "speech_sec": one["speech_sec"],
            "reason": "other_language",
        }
        for one in found
        if one["other"]
    ]
