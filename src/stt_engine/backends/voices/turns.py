"""Which of two voices speaks when, out of embeddings of windows.

There are two passes, and the second is Viterbi's. The first splits the windows in two; the second
looks at every quarter of a second with the voices that came of it, and a change of speaker has its
price. Whether there are two voices at all is seen from how far apart they end; whether there are
more, from whether one of the two falls apart in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.float32]
Numbers = NDArray[np.float64]

_ROUNDS = 8
_SHARPNESS = 30.0
"""What a difference of cosines of 1 is worth, as a logarithm of odds."""

_CHANGE = 2.0
"""What a change of speaker between two steps costs, likewise."""

_TEMPER = 2.0
"""Windows overlap, and their evidence is counted more than once: odds are divided by so much."""

_TWO_VOICES, _ONE_VOICE = 0.77, 0.85
"""Likeness up to which two voices are two, and from which on they are one; between them nobody can
tell (see docs/speakers.md)."""

_MORE_VOICES = 0.8
"""The same, of the halves of one of the two: up to it they are voices of their own. On made calls
those of one voice have 0.83 to 0.95, those of two 0.22 to 0.76."""

_FAR = 12
"""Steps between two windows that are compared: what is said in one breath is always alike."""

_FEWEST_PAIRS = 40
"""Pairs of windows, in either order, that a comparison takes."""

_FEWEST = 4
"""Steps of a voice; with fewer there is no second one."""

_FEWEST_OF_MORE = 16
"""Steps of a third voice: four seconds."""

_CLEAR = 0.9
"""Certainty of the steps in which a third voice is looked for: between two voices is no third."""

MORE = 3
"""Stands for three voices or more."""


@dataclass(frozen=True, slots=True)
class Turns:
    """Who speaks in each step; ``voice`` is 0 or 1, ``probability`` how sure that is, 0.5 to 1.

    ``likeness`` is how alike the two voices are, measured by how alike each is to itself at another
    time; ``None`` where there is too little of one. ``voices`` is 1 where they are one,
    :data:`MORE` where there are more than two (nobody knows then who speaks), ``None`` where that
    cannot be told.
    """

    voice: NDArray[np.int64]
    probability: Numbers
    likeness: float | None
    voices: int | None


def tell_apart(embeddings: Embeddings, follows: NDArray[np.bool_]) -> Turns:
    """Return who speaks in each step.

    Args:
        embeddings: one for each step with speech (steps, numbers), in order.
        follows: whether a step is the next one after the step before it, without a pause.
    """
    units = _units(embeddings)
    if len(units) < 2 * _FEWEST:
        return _untold(len(units), None)
    centres = _split(units)
    for _ in range(_ROUNDS):
        voice = _path(units, centres, follows)
        if min(np.bincount(voice, minlength=2)) < _FEWEST:
            return _untold(len(units), None)
        renewed = np.stack([units[voice == one].mean(axis=0) for one in (0, 1)])
        renewed = _units(renewed)
        if np.allclose(renewed, centres, atol=1e-5):
            break
        centres = renewed
    likeness = _likeness(units, voice)
    if likeness is None or _TWO_VOICES < likeness < _ONE_VOICE:
        return _untold(len(units), likeness)
    if likeness >= _ONE_VOICE:
        return _one(len(units), likeness)
    sure = _posterior(units, centres, follows, voice)
    inner = inner_likeness(units, voice, sure)
    if inner is not None and inner <= _MORE_VOICES:
        return Turns(voice, np.full(len(units), 0.5), likeness, MORE)
    return Turns(voice, sure, likeness, 2)


def inner_likeness(units: Embeddings, voice: NDArray[np.int64], sure: Numbers) -> float | None:
    """Return how alike the two halves of either voice are, of that one where they are less so."""
    found = []
    for one in (0, 1):
        places = np.flatnonzero((voice == one) & (sure >= _CLEAR))
        if len(places) < 2 * _FEWEST_OF_MORE:
            continue
        part, follows = units[places], np.diff(places, prepend=-2) == 1
        halves = _path(part, _split(part), follows)
        if min(np.bincount(halves, minlength=2)) >= _FEWEST_OF_MORE:
            likeness = _likeness(part, halves)
            found += [] if likeness is None else [likeness]
    return min(found, default=None)


def _one(steps: int, likeness: float) -> Turns:
    return Turns(np.zeros(steps, np.int64), np.ones(steps), likeness, 1)


def _likeness(units: Embeddings, voice: NDArray[np.int64]) -> float | None:
    """Return the mean cosine between the voices over that within each, of windows far apart.

    The cosine of the centres says less: the two halves of any one voice differ by what is said.
    """
    sums = np.stack([units[voice == one].sum(axis=0) for one in (0, 1)]).astype(np.float64)
    sizes = np.bincount(voice, minlength=2).astype(np.float64)
    total, pairs = sums @ sums.T, np.outer(sizes, sizes)
    for lag in range(_FAR):
        one, other = voice[: len(voice) - lag], voice[lag:]
        near = np.einsum("ij,ij->i", units[: len(units) - lag], units[lag:])
        for first, second in ((one, other), (other, one))[: 1 if lag == 0 else 2]:
            np.subtract.at(total, (first, second), near)
            np.subtract.at(pairs, (first, second), 1.0)
    if pairs.min() < _FEWEST_PAIRS:
        return None
    mean = total / pairs
    if min(mean[0, 0], mean[1, 1]) <= 0:
        return None
    return float(mean[0, 1] / np.sqrt(mean[0, 0] * mean[1, 1]))


def _untold(steps: int, likeness: float | None) -> Turns:
    return Turns(np.zeros(steps, np.int64), np.full(steps, 0.5), likeness, None)


def _units(vectors: Embeddings) -> Embeddings:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)


def _split(units: Embeddings) -> Embeddings:
    """Return two centres: the best of several starts, by how close the windows are to theirs."""
    away = units - units.mean(axis=0)
    _, _, axes = np.linalg.svd(away[:: max(1, len(away) // 1_000)], full_matrices=False)
    starts = [away @ axis > 0 for axis in axes[:3]]
    tried = [_settled(units, start) for start in starts if 0 < start.sum() < len(units)]
    return max(tried, key=lambda one: float((units @ one.T).max(axis=1).sum()))


def _settled(units: Embeddings, second: NDArray[np.bool_]) -> Embeddings:
    """Return the two centres that a first guess comes to."""
    for _ in range(_ROUNDS):
        centres = _units(np.stack([units[~second].mean(axis=0), units[second].mean(axis=0)]))
        renewed = units @ (centres[1] - centres[0]) > 0
        if (renewed == second).all() or not 0 < renewed.sum() < len(units):
            break
        second = renewed
    return centres


def _evidence(units: Embeddings, centres: Embeddings) -> Numbers:
    """Return for each step the logarithm of the odds that the second voice speaks."""
    return np.asarray(_SHARPNESS * (units @ (centres[1] - centres[0])), np.float64)


def _price(follows: NDArray[np.bool_]) -> Numbers:
    return np.where(follows, _CHANGE, _CHANGE / 2)


def _path(units: Embeddings, centres: Embeddings, follows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the likeliest course of the call (Viterbi)."""
    odds, prices = _evidence(units, centres).tolist(), _price(follows).tolist()
    lead, changed = odds[0], [(False, False)]
    for step, price in zip(odds[1:], prices[1:], strict=True):
        changed.append((lead > price, -lead > price))
        lead = min(max(lead, -price), price) + step
    voice = [int(lead > 0)]
    for step in reversed(changed[1:]):
        voice.append(voice[-1] ^ int(step[voice[-1]]))
    return np.array(voice[::-1], np.int64)


def _posterior(
    units: Embeddings,
    centres: Embeddings,
    follows: NDArray[np.bool_],
    voice: NDArray[np.int64],
) -> Numbers:
    """Return the probability of each step's voice, from what is before it and behind it."""
    odds, prices = _evidence(units, centres), _price(follows)
    ahead, back = np.zeros(len(odds)), np.zeros(len(odds))
    for step in range(1, len(odds)):
        ahead[step] = _carried(ahead[step - 1] + odds[step - 1], prices[step])
    for step in range(len(odds) - 2, -1, -1):
        back[step] = _carried(back[step + 1] + odds[step + 1], prices[step + 1])
    total = (ahead + odds + back) / _TEMPER
    return np.asarray(1 / (1 + np.exp(-np.clip(np.where(voice == 1, total, -total), -50, 50))))


def _carried(odds: float, price: float) -> float:
    """Return odds after a step in which the speaker may have changed."""
    stay, change = 1.0, np.exp(-price)
    share = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
    return float(
        np.log((share * stay + (1 - share) * change) / (share * change + (1 - share) * stay))
    )
