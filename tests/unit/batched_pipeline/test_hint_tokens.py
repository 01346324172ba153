"""Hints as tokens before a transcript: bounded, keywords last; words of a clip stay its own."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from stt_engine.backends.base import SpeechChunk
from stt_engine.backends.faster_whisper.hint_tokens import MOST_TOKENS, hint_tokens
from stt_engine.backends.faster_whisper.model import FasterWhisper
from stt_engine.backends.hinted import HintedModel
from stt_engine.hints import NO_HINTS, Hints
from tests.support.batched_pipeline import WORDS, words_of

TOKENIZER = SimpleNamespace(sot_prev=-1, encode=lambda text: [ord(one) for one in text])


def text_of(hints: Hints) -> str:
    first, *rest = hint_tokens(TOKENIZER, hints)
    assert first == TOKENIZER.sot_prev
    assert len(rest) <= MOST_TOKENS
    return "".join(map(chr, rest))


def test_no_hints_are_no_tokens() -> None:
    assert hint_tokens(TOKENIZER, NO_HINTS) == []


def test_keywords_stand_behind_the_end_of_the_prompt() -> None:
    assert text_of(Hints("style", ("one", "two"))) == " style one, two"
    assert text_of(Hints("x" * 500, ("one",))) == "x" * (MOST_TOKENS - 4) + " one"


def test_keywords_for_which_there_is_no_room_are_left_out_whole() -> None:
    keywords = tuple(f"{at:049}" for at in range(5))
    assert text_of(Hints("style", keywords)).split(", ")[1:] == list(keywords[1:3])


@pytest.mark.parametrize("words", [False, True])
def test_a_clip_keeps_its_words_beside_others_with_hints(
    model: FasterWhisper, canary: SpeechChunk, words: bool
) -> None:
    hints = [NO_HINTS, Hints(keywords=("Kensington",)), Hints("A test.", ("Recognition Service",))]
    chunks: list[Any] = [replace(canary, hints=one, words=words) for one in hints]
    found = HintedModel(model).transcribe(chunks)
    assert [words_of(one) for one in found] == [WORDS] * 3
    assert [one.hinted for one in found][:2] == ["", "same"]
    assert all((one.segments[0].words is not None) == words for one in found)


def test_words_are_drawn_by_the_pipeline_that_can(
    model: FasterWhisper, canary: SpeechChunk
) -> None:
    drawn, plain = model.transcribe([replace(canary, temperature=0.1), canary])
    assert [one.segments[0].pipeline for one in (drawn, plain)] == ["sequential", "batched"]
