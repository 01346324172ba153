"""Two voices told apart by made embeddings: who, when, how sure, and whether there are two."""

from __future__ import annotations

import numpy as np
import pytest

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


@pytest.mark.parametrize("share", [0.06, 0.94])
def test_a_voice_that_says_little_is_found(share: float) -> None:
    few = int(200 * share)
    course = [0] * few + [1] * (200 - few)
    turns = tell_apart(embeddings(course), np.ones(200, bool))
    assert sorted(np.bincount(turns.voice).tolist()) == sorted([few, 200 - few])


def test_one_voice_is_one() -> None:
    turns = tell_apart(embeddings([0] * 80), np.ones(80, bool))
    assert (turns.voices, set(turns.voice.tolist())) == (1, {0})


@pytest.mark.parametrize("many", [0, 1, 5])
def test_a_few_steps_are_one_voice(many: int) -> None:
    turns = tell_apart(embeddings([0] * 5)[:many], np.ones(many, bool))
    assert (turns.voices, len(turns.voice)) == (1, many)


def test_between_two_voices_nobody_is_sure() -> None:
    course = [0] * 20 + [1] * 20
    found = embeddings(course, spread=0.3)
    found[19:21] = found[:20].mean(axis=0) + found[20:].mean(axis=0)
    turns = tell_apart(found, np.ones(40, bool))
    assert turns.probability[19:21].max() < turns.probability[5:15].min()
