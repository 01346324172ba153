"""Beam search: the same hypotheses as a search that looks at every token of every row."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from stt_engine.backends.faster_whisper.openvino.beam_search import (
    BeamSearch,
    Hypothesis,
    Scores,
    Tokens,
)

WORDS = 9
END = WORDS
OTHERS = 2
FIRST_TIME = END + 1 + OTHERS
TIMES = 12
SIZE = FIRST_TIME + TIMES
TOKENS = Tokens(END, FIRST_TIME, TIMES)
MAX_FIRST_TIME = 4

Logits = npt.NDArray[np.float64]
Model = Callable[[int, tuple[int, ...]], Logits]


def _model(seed: int, width: float) -> Model:
    """Return logits that depend on all tokens so far, as a decoder's do."""

    def logits(chunk: int, said: tuple[int, ...]) -> Logits:
        digest = hashlib.sha256(repr((seed, chunk, said)).encode()).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return random.normal(0, width, SIZE)

    return logits


def _allowed(said: tuple[int, ...], logits: Logits) -> Logits:
    """Apply the rules as openai-whisper states them, token by token."""
    found = logits.copy()
    found[END + 1 : FIRST_TIME] = -np.inf
    times = [token for token in said if token >= FIRST_TIME]
    if not said:
        found[:FIRST_TIME] = -np.inf
        found[FIRST_TIME + MAX_FIRST_TIME + 1 :] = -np.inf
        return found
    last, before = said[-1] >= FIRST_TIME, len(said) < 2 or said[-2] >= FIRST_TIME
    if last and before:
        found[FIRST_TIME:] = -np.inf
    elif last:
        found[:END] = -np.inf
    lowest = times[-1] if last and not before else times[-1] + 1
    found[FIRST_TIME:lowest] = -np.inf
    timed = np.logaddexp.reduce(found[FIRST_TIME:])
    if timed > found[:FIRST_TIME].max():
        found[:FIRST_TIME] = -np.inf
    return found


def _naive(model: Model, chunk: int, size: int, most: int) -> Hypothesis:
    """Follow the best ``size`` of all there are, one stretch at a time."""
    going, ended = [((), 0.0)], list[tuple[tuple[int, ...], float]]()
    for _ in range(most):
        every = []
        for said, score in going:
            logits = _allowed(said, model(chunk, said))
            logs = logits - np.logaddexp.reduce(logits)
            every += [(said, token, score + logs[token]) for token in range(SIZE)]
        every = [one for one in every if one[2] > -np.inf]
        every.sort(key=lambda one: -one[2])
        going = []
        for said, token, score in every:
            if len(going) == size:
                break
            if token == END:
                ended.append((said, score))
            else:
                going.append(((*said, token), score))
        if len(ended) >= size or not going:
            ended, going = ended[:size], []
            break
    return max((Hypothesis(*one) for one in ended + going), key=lambda one: one.rank)


def _scores(model: Model, rows: list[tuple[int, tuple[int, ...]]], best: int) -> Scores:
    every = np.array([model(chunk, said) for chunk, said in rows])
    words = np.argsort(-every[:, :WORDS], axis=1)[:, :best]
    return Scores(
        np.take_along_axis(every, words, 1).astype(np.float32),
        words,
        np.logaddexp.reduce(every[:, :WORDS], axis=1, keepdims=True).astype(np.float32),
        every[:, END : END + 1].astype(np.float32),
        every[:, FIRST_TIME:].astype(np.float32),
    )


def _run(model: Model, count: int, size: int, most: int) -> tuple[list[Hypothesis], list[int]]:
    """Search as a decoder does; also how many rows each step had."""
    search = BeamSearch(count, size, TOKENS, MAX_FIRST_TIME)
    rows: list[tuple[int, tuple[int, ...]]] = [(at, ()) for at in range(count)]
    steps = []
    for _ in range(most):
        steps.append(len(rows))
        parents, tokens = search.advance(_scores(model, rows, size + 1))
        rows = [
            (rows[parent][0], (*rows[parent][1], int(token)))
            for parent, token in zip(parents, tokens, strict=True)
        ]
        going = search.going
        assert [chunk for chunk, _ in rows] == [one for one in going for _ in range(size)]
        if not going:
            break
    return search.best(), steps


_SEEDS = st.integers(0, 2**32)
_WIDTHS = st.sampled_from([0.5, 2.0, 6.0])


@given(_SEEDS, _WIDTHS, st.integers(1, 4), st.integers(1, 5), st.integers(1, 12))
def test_it_finds_what_a_search_over_every_token_finds(
    seed: int, width: float, count: int, size: int, most: int
) -> None:
    model = _model(seed, width)
    found, _ = _run(model, count, size, most)
    for chunk, one in enumerate(found):
        wanted = _naive(model, chunk, size, most)
        assert one.tokens == wanted.tokens
        assert math.isclose(one.score, wanted.score, rel_tol=1e-5, abs_tol=1e-5)


@given(_SEEDS, _WIDTHS, st.integers(1, 5), st.integers(1, 20))
def test_times_come_in_pairs_and_never_go_back(
    seed: int, width: float, size: int, most: int
) -> None:
    (one,), _ = _run(_model(seed, width), 1, size, most)
    assert 0 < len(one.tokens) <= most
    assert FIRST_TIME <= one.tokens[0] <= FIRST_TIME + MAX_FIRST_TIME
    times = [token for token in one.tokens if token >= FIRST_TIME]
    assert times == sorted(times)
    assert END not in one.tokens
    for at in range(2, len(one.tokens)):
        assert not all(token >= FIRST_TIME for token in one.tokens[at - 2 : at + 1])


@given(_SEEDS, st.integers(2, 5), st.integers(1, 5))
def test_a_stretch_is_followed_the_same_whatever_is_beside_it(
    seed: int, count: int, size: int
) -> None:
    model = _model(seed, 2.0)
    together, rows = _run(model, count, size, 15)
    assert rows[0] == count
    assert all(number % size == 0 for number in rows[1:])
    for chunk, one in enumerate(together):
        ((alone,), _) = _run(lambda _, said, at=chunk: model(at, said), 1, size, 15)
        assert alone == one
