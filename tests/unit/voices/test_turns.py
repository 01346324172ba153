"""Two voices told apart by made embeddings: who, when, how sure, and whether there are two."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    turns = tell_apart(embeddings(course), np.ones(len(course), bool))
    assert turns.voices == 2
    same = turns.voice == np.array(course)
    assert same.all() or not same.any()
    assert turns.probability.min() > 0.5
    assert turns.likeness < 0.6


@pytest.mark.parametrize("few", [0, 1])
def test_a_voice_that_says_little_is_found(few: int) -> None:
    course = [few] * 6 + [1 - few] * 188 + [few] * 6
    turns = tell_apart(embeddings(course), np.ones(200, bool))
    assert turns.voices == 2
    assert sorted(np.bincount(turns.voice).tolist()) == [12, 188]


def test_one_breath_of_another_voice_tells_nothing() -> None:
    turns = tell_apart(embeddings([0] * 12 + [1] * 188), np.ones(200, bool))
    assert (turns.voices, turns.likeness, set(turns.probability.tolist())) == (None, None, {0.5})


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 500))
def test_what_one_voice_says_is_no_second_voice(seed: int) -> None:
    """Windows overlap: what is said in one breath is alike, and differs from the next one."""
    rng = np.random.default_rng(seed)
    breaths = np.repeat(rng.normal(size=(30, 192)), 6, axis=0)
    found = rng.normal(size=192) + breaths + 0.5 * rng.normal(size=(180, 192))
    assert tell_apart(found.astype(np.float32), np.ones(180, bool)).voices != 2


def test_one_voice_is_one() -> None:
    turns = tell_apart(embeddings([0] * 80), np.ones(80, bool))
    assert (turns.voices, set(turns.voice.tolist())) == (1, {0})


@pytest.mark.parametrize("many", [0, 1, 5])
def test_a_few_steps_tell_nothing(many: int) -> None:
    turns = tell_apart(embeddings([0] * 5)[:many], np.ones(many, bool))
    assert (turns.voices, len(turns.voice)) == (None, many)


def test_between_two_voices_nobody_is_sure() -> None:
    course = [0] * 20 + [1] * 20
    found = embeddings(course, spread=0.3)
    found[19:21] = found[:20].mean(axis=0) + found[20:].mean(axis=0)
    turns = tell_apart(found, np.ones(40, bool))
    assert turns.probability[19:21].max() < turns.probability[5:15].min()


def test_three_voices_are_more_than_two_and_nobody_is_named() -> None:
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(3, 192))
    course = np.repeat(np.tile([0, 1, 2], 8), 12)
    found = centres[course] + rng.normal(0, 0.6, (len(course), 192))
    turns = tell_apart(found.astype(np.float32), np.ones(len(course), bool))
    assert (turns.voices, set(turns.probability.tolist())) == (3, {0.5})
