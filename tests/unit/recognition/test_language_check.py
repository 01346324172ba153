"""The language that is heard beside the one that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_engine.backends.base import ChunkResult, RawSegment, SpeechChunk
from stt_engine.backends.languages import (
    MAX_ASKED,
    MIN_PROBABILITY,
    WINDOW,
    WINDOW_SEC,
    States,
    Window,
    are_one_window_each,
    guesses_of,
    parts_of,
)
from stt_engine.backends.recognition import model_operations
from stt_engine.backends.vad import Samples
from stt_engine.hints import Hints
from stt_engine.recognition.language_check import language_warnings
from stt_engine.speech import SAMPLE_RATE
from tests.support.recognition_runs import run
from tests.support.stub_model import FakeModel, channel_at, job_of

ENGLISH, KOREAN = {"en": 0.97, "ko": 0.01}, {"en": 0.01, "ko": 0.97}
SENTENCE = "이번 상품의 수익률과 위험 등급을 차례대로 설명드리고 궁금하신 점을 여쭤보겠습니다"
PADDING = 175
"""States of the silence after a chunk."""


def spoken(seconds: float, task: str = "transcribe") -> SpeechChunk:
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    return SpeechChunk(samples, "ko", task, voiced=((0.0, seconds),))


def encoded(chunks: Sequence[SpeechChunk], english_from: Sequence[float]) -> States:
    """Return states that are 1 where English is spoken."""
    longest = max(one.seconds for one in chunks)
    states = np.zeros((len(chunks), round(longest * 50) + PADDING, 4), np.float32)
    for row, start in enumerate(english_from):
        states[row, round(start * 50) :] = 1.0
    return states


def by_states(states: States, windows: Sequence[Window]) -> list[dict[str, float]]:
    found = [states[row, first:last] for row, first, last in windows]
    assert {len(one) for one in found} == {min(WINDOW, states.shape[1])}
    return [ENGLISH if one.mean() > 0.5 else KOREAN for one in found]


# Windows ----------------------------------------------------------------------------------
@settings(deadline=None, max_examples=50)
@given(st.floats(0.1, 26.5), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_windows_lie_in_what_was_encoded_and_parts_in_the_chunk(
    seconds: float, first: float, last: float
) -> None:
    voice = (min(first, last) * seconds, max(first, last) * seconds)
    chunk = replace(spoken(seconds), voiced=(voice,))
    for start, end, window in parts_of(chunk):
        assert 0.0 <= start < end <= chunk.seconds + 1e-9
        assert window >= 0.0
        assert window + WINDOW_SEC <= max(WINDOW_SEC, chunk.seconds + 1.0 + 1e-9)
        assert chunk.voice_between(window, window + WINDOW_SEC) >= 2.0


def test_all_of_a_chunk_with_voice_is_looked_at() -> None:
    parts = parts_of(spoken(26.5))
    assert [round(one.start, 1) for one in parts] == [0.0, 6.6, 13.2, 19.9]
    assert parts[-1].end == pytest.approx(26.5)
    gaps = [two.window - (one.window + WINDOW_SEC) for one, two in pairwise(parts)]
    assert max(gaps) <= 0.5


def test_too_little_voice_says_nothing() -> None:
    assert parts_of(spoken(1.9)) == []
    assert parts_of(replace(spoken(9.0), voiced=((1.0, 1.5), (8.0, 9.0)))) == []


def test_a_step_is_saved_only_where_each_chunk_is_one_window_without_hints() -> None:
    assert are_one_window_each([spoken(2.0), spoken(7.0)])
    assert not are_one_window_each([spoken(2.0), spoken(7.1)])
    assert not are_one_window_each([replace(spoken(2.0), hints=Hints("names"))])


def test_a_change_inside_a_chunk_is_found() -> None:
    chunks = [spoken(8.0), spoken(20.0), spoken(1.0), spoken(8.0, "translate")]
    states = encoded(chunks, [12.0] * len(chunks))
    found = guesses_of(chunks, states, by_states)
    assert [[one.other for one in guesses] for guesses in found] == [
        [False, False],
        [False, False, True],
        [],
        [],
    ]
    assert {one.language for one in found[1] if one.other} == {"en"}
    assert sum(one.speech_sec for one in found[1]) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("chances", "other"),
    [
        ({"en": 1.0, "ko": 0.0}, True),
        ({"en": MIN_PROBABILITY, "ko": MAX_ASKED}, True),
        ({"en": 0.97}, True),
        ({"en": 0.5, "ko": 0.0}, False),
        ({"en": 0.9, "ko": 0.1}, False),
        ({"en": 0.0, "ko": 1.0}, False),
    ],
)
def test_only_a_clear_contradiction_counts(chances: dict[str, float], other: bool) -> None:
    chunk = spoken(4.0)
    ((guess,),) = guesses_of([chunk], encoded([chunk], [9.0]), lambda *_: [chances])
    assert guess.other is other
    assert guess.asked_probability == chances.get("ko", 0.0)


# What an answer says of it ----------------------------------------------------------------
class Bilingual(FakeModel):
    """Looks at each chunk as the fast pipelines do; loud ones are English."""

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        spoken = [replace(one, voiced=((0.0, one.seconds),)) for one in chunks]
        states = encoded(spoken, [0.0 if one.samples[0] > 0.1 else 99.0 for one in spoken])
        guesses = guesses_of(spoken, states, by_states)
        return [
            ChunkResult((RawSegment(0, one.seconds, SENTENCE),), languages=found)
            for one, found in zip(chunks, guesses, strict=True)
        ]


def _channel(path: Path, *talks: tuple[float, float, str]) -> str:
    parts = [(start, end) for start, end, _ in talks]
    file = channel_at(path, *parts, seconds=60.0, loud=1_000)
    samples = np.fromfile(file, np.int16)
    for start, end, language in talks:
        if language == "en":
            samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = 9_000
    samples.tofile(file)
    return file


def test_the_language_that_was_asked_for_is_confirmed(tmp_path: Path) -> None:
    file = _channel(tmp_path / "a", (1, 9, "ko"), (20, 28, "ko"))
    found = run(Bilingual(), job_of(file))
    assert found["warnings"] == ()
    assert found["coverage"]["unheard"] == []
    (run_of,) = found["provenance"]["language_check"]
    assert (run_of["start"], run_of["end"], run_of["language"]) == (1.0, 28.0, "ko")
    assert run_of["probability"] == run_of["asked_probability"] == 0.97


def test_a_call_in_another_language_is_told_and_covers_nothing(tmp_path: Path) -> None:
    file = _channel(tmp_path / "a", (1, 9, "en"), (20, 28, "en"))
    found = run(Bilingual(), job_of(file))
    (told,) = found["warnings"]
    assert told["code"] == "language_mismatch"
    assert "en 0.97, ko 0.01" in told["detail"]
    assert found["coverage"]["share"] == 0.0
    assert {one["reason"] for one in found["coverage"]["unheard"]} == {"other_language"}


def test_a_change_in_mid_call_is_told_where_it_is(tmp_path: Path) -> None:
    files = (
        _channel(tmp_path / "a", (1, 9, "ko"), (20, 40, "ko")),
        _channel(tmp_path / "b", (10, 18, "ko"), (42, 50, "en")),
    )
    found = run(Bilingual(), job_of(*files))
    (told,) = found["warnings"]
    assert told["code"] == "language_changes"
    assert "channel 1, 42.0 to 50.0 s: en" in told["detail"]
    unheard = found["coverage"]["unheard"]
    assert [(one["channel"], one["start"]) for one in unheard] == [(1, 42.0), (1, 46.0)]
    assert [one["recognised_sec"] for one in found["coverage"]["channels"]] == [28.0, 8.0]
    heard = [one["language"] for one in found["provenance"]["language_check"]]
    assert heard == ["ko", "ko", "en"]


def test_a_few_chunks_of_each_piece_are_looked_at_the_longest(tmp_path: Path) -> None:
    talks = [(10.0 * at, 10.0 * at + 2.5 + at / 2, "ko") for at in range(1, 6)]
    found = run(Bilingual(), job_of(_channel(tmp_path / "a", *talks)))
    (heard,) = found["provenance"]["language_check"]
    assert (heard["start"], heard["end"], heard["speech_sec"]) == (30.0, 55.0, 13.5)


def test_a_detail_names_a_few_places_only() -> None:
    parts: list[Any] = [
        {
            "channel": 0,
            "start": 10.0 * at,
            "end": 10.0 * at + 5,
            "speech_sec": 5.0,
            "language": "en" if at % 2 else "ko",
            "probability": 0.9,
            "asked_probability": 0.01 if at % 2 else 0.9,
            "other": bool(at % 2),
        }
        for at in range(99)
    ]
    (told,) = language_warnings(parts, "ko")
    assert told.code == "language_changes"
    assert told.detail.count("channel") == 1
    many = [{**one, "channel": at} for at, one in enumerate(parts)]
    (told,) = language_warnings(many, "ko")  # type: ignore[arg-type]
    assert told.detail.count("channel") == 5
    assert "44 more" in told.detail


# Backends that do not look by themselves --------------------------------------------------
def test_another_backend_is_asked_about_the_longest_chunk_of_a_piece(tmp_path: Path) -> None:
    model = FakeModel([[RawSegment(0, 3, "a")]] * 3, speaks="en")
    found = run(model, job_of(channel_at(tmp_path / "a", (1, 4), (6, 11), (14, 18))))
    assert model.detected == [5.0]
    assert "language_mismatch" in {one["code"] for one in found["warnings"]}


def test_a_check_that_fails_ends_no_call_and_is_told(tmp_path: Path) -> None:
    class Broken(FakeModel):
        def detect(self, samples: Samples) -> dict[str, float]:
            raise KeyError("lang_to_id")

    found = run(Broken([[RawSegment(0, 3, "네")]]), job_of(channel_at(tmp_path / "a", (1, 4))))
    assert found["text"] == "네"
    assert "lang_to_id" in found["provenance"]["language_check_reason"]
    assert found["provenance"]["language_check"] == []


def test_a_model_of_one_language_says_that_it_cannot_tell(tmp_path: Path) -> None:
    model = FakeModel([[RawSegment(0, 3, "yes")]], multilingual=False)
    operations = model_operations(lambda _job: model)
    operations["load"]({"facts": {}})  # type: ignore[typeddict-item]
    job: Any = job_of(channel_at(tmp_path / "a", (1, 4)), language="en")
    first = next(operations["transcribe"](job, 0))
    assert first["kind"] == "model"
    assert first["provenance"]["language_check_reason"] == "this model knows English only"
