"""Two voices told apart by made embeddings: who, when, how sure, and whether there are two."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_engine.backends.voices import turns
from stt_engine.backends.voices.turns import tell_apart


def embeddings(course: list[int], spread: float = 0.6, alike: float = 0.4) -> np.ndarray:
    """Return unit vectors around two centres whose cosine is ``alike``."""
    rng = np.random.default_rng(3)
    first, second = np.zeros(192), np.zeros(192)
    first[0] = 1.0
    second[:2] = alike, np.sqrt(1 - alike**2)
    away = rng.normal(0, spread / np.sqrt(192), (len(course), 192))
    found = np.stack([(first, second)[who] for who in course]) + away
    return found.astype(np.float32)


def test_turns_are_found_with_their_voices() -> None:
    course = [0] * 20 + [1] * 12 + [0] * 8 + [1] * 30
    told = tell_apart(embeddings(course), np.ones(len(course), bool))
    assert told.voices == 2
    same = told.voice == np.array(course)
    assert same.all() or not same.any()
    assert told.probability.min() > 0.5
    assert told.likeness < 0.6


@pytest.mark.parametrize("few", [0, 1])
def test_a_voice_that_says_little_is_found(few: int) -> None:
    course = [few] * 6 + [1 - few] * 188 + [few] * 6
    told = tell_apart(embeddings(course), np.ones(200, bool))
    assert told.voices == 2
    assert sorted(np.bincount(told.voice).tolist()) == [12, 188]


def test_one_breath_of_another_voice_tells_nothing() -> None:
    told = tell_apart(embeddings([0] * 12 + [1] * 188), np.ones(200, bool))
    assert (told.voices, told.likeness, set(told.probability.tolist())) == (None, None, {0.5})


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 500))
def test_what_one_voice_says_is_no_second_voice(seed: int) -> None:
    """Windows overlap: what is said in one breath is alike, and differs from the next one."""
    rng = np.random.default_rng(seed)
    breaths = np.repeat(rng.normal(size=(30, 192)), 6, axis=0)
    found = rng.normal(size=192) + breaths + 0.5 * rng.normal(size=(180, 192))
    assert tell_apart(found.astype(np.float32), np.ones(180, bool)).voices != 2


def test_a_clip_over_and_over_is_not_two_voices() -> None:
    rng = np.random.default_rng(1)
    breaths = np.repeat(rng.normal(size=(4, 192)), 3, axis=0)
    clip = rng.normal(size=192) + breaths + 0.5 * rng.normal(size=(12, 192))
    found = np.tile(clip, (15, 1)).astype(np.float32)
    assert tell_apart(found, np.ones(180, bool)).voices in {None, 1}


@pytest.mark.parametrize("behind", [[0, 1], [0]])
def test_a_voice_that_begins_and_never_returns_is_an_announcement(behind: list[int]) -> None:
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(3, 192))
    turns_behind = np.repeat(np.tile(behind, 8 // len(behind)), 20)
    course = np.concatenate((np.full(30, 2), turns_behind))
    found = centres[course] + rng.normal(0, 0.6, (len(course), 192))
    told = tell_apart(found.astype(np.float32), np.ones(len(course), bool))
    assert told.announced == 30
    assert told.voices == 2 if len(behind) == 2 else told.voices in {1, None}
    assert set(told.probability[:30].tolist()) == {0.5}
    if told.voices == 2:
        same = told.voice[30:] == turns_behind
        assert same.all() or not same.any()


def test_who_greets_and_speaks_again_is_no_announcement() -> None:
    course = [0] * 30 + [1] * 30 + [0] * 10 + [1] * 60
    told = tell_apart(embeddings(course), np.ones(130, bool))
    assert (told.voices, told.announced) == (2, 0)


def test_one_voice_is_one() -> None:
    told = tell_apart(embeddings([0] * 80), np.ones(80, bool))
    assert (told.voices, set(told.voice.tolist())) == (1, {0})


@pytest.mark.parametrize("many", [0, 1, 5])
def test_a_few_steps_tell_nothing(many: int) -> None:
    told = tell_apart(embeddings([0] * 5)[:many], np.ones(many, bool))
    assert (told.voices, len(told.voice)) == (None, many)


def test_between_two_voices_nobody_is_sure() -> None:
    course = [0] * 20 + [1] * 20
    found = embeddings(course, spread=0.4)
    found[19:21] = found[:20].mean(axis=0) + found[20:].mean(axis=0)
    told = tell_apart(found, np.ones(40, bool))
    assert told.probability[19:21].max() < told.probability[5:15].min()


def test_three_voices_are_more_than_two_and_nobody_is_named() -> None:
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(3, 192))
    course = np.repeat(np.tile([0, 1, 2], 8), 12)
    found = centres[course] + rng.normal(0, 0.6, (len(course), 192))
    told = tell_apart(found.astype(np.float32), np.ones(len(course), bool))
    assert (told.voices, set(told.probability.tolist())) == (3, {0.5})


@pytest.mark.parametrize(("inner", "voices"), [(0.8, 3), (0.83, None), (0.87, 2), (None, 2)])
def test_where_a_third_voice_cannot_be_told_nobody_is_named(
    inner: float | None, voices: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "inner_likeness", lambda units, voice, *_: (inner, voice))
    told = tell_apart(embeddings([0] * 40 + [1] * 40), np.ones(80, bool))
    assert told.voices == voices
    assert (told.probability.max() > 0.5) == (voices == 2)
