"""Which of two voices speaks when, out of embeddings of windows.

There are two passes, and the second is Viterbi's. The first splits the windows in two; the second
looks at every quarter of a second with the voices that came of it, and a change of speaker has its
price. Whether there are two voices at all is seen from how far apart they end; whether there are
more, from whether one of the two falls apart in the same way. Music that was taken for speech is
left out then, and so is an announcement: a voice that begins, and never returns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stt_engine.backends.voices.steadiness import is_voice

Embeddings = NDArray[np.float32]
Numbers = NDArray[np.float64]

_ROUNDS = 8
_SHARPNESS = 30.0
"""What a difference of cosines of 1 is worth, as a logarithm of odds."""

_CHANGE = 2.0
"""What a change of speaker between two steps costs, likewise."""

_TEMPER = 2.7
"""Windows overlap, and their evidence is counted more than once: odds are divided by so much."""

_TWO_VOICES, _ONE_VOICE = 0.77, 0.85
"""Likeness up to which two voices are two, and from which on they are one; between them nobody can
tell (see docs/speakers.md)."""

_MORE_VOICES, _NO_MORE = 0.8, 0.86
"""The same, of the halves of one of the two: up to the first they are voices of their own, from the
second on they are one; between them nobody can tell (see docs/speakers.md)."""

_FAR = 12
"""Steps between two windows that are compared: what is said in one breath is always alike."""

_FEWEST_PAIRS = 40
"""Pairs of windows, in either order, that a comparison takes."""

_FEWEST = 4
"""Steps of a voice; with fewer there is no second one."""

_FEWEST_OF_MORE = 16
"""Steps of a third voice: four seconds."""

_SAME = 0.92
"""Cosine from which on a window is the same sound as one before, and not only the same voice."""

_ROWS = 128
"""Windows that are compared with all others at once."""

_SHORTEST_BEGINNING, _FEWEST_BEHIND = 12, 60
"""Steps of an announcement at the beginning, and behind it: three seconds, and fifteen."""

_STRAY = 0.1
"""Of the steps of an announcement, those on the wrong side of its end."""

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
    cannot be told. The first ``announced`` steps are an announcement, and nobody's of the call.
    """

    voice: NDArray[np.int64]
    probability: Numbers
    likeness: float | None
    voices: int | None
    announced: int = 0


def tell_apart(
    embeddings: Embeddings, follows: NDArray[np.bool_], steady: Embeddings | None = None
) -> Turns:
    """Return who speaks in each step.

    Args:
        embeddings: one for each step with speech (steps, numbers), in order.
        follows: whether a step is the next one after the step before it, without a pause.
        steady: how steady the sound is (steps, 2), where that is known: music is nobody's.
    """
    units = as_units(embeddings)
    fresh = first_times(units)
    kept = np.arange(len(units))
    while True:
        near = follows[kept] & (np.diff(kept, prepend=-2) == 1)
        found, groups = _told(units[kept], near, fresh[kept])
        noise = _not_voices(groups, steady[kept]) if steady is not None else None
        if noise is None:
            break
        kept = kept[~noise]
    end = beginning_of(groups)
    if end is not None:
        found, _ = _told(units[kept[end:]], near[end:], fresh[kept[end:]])
    voice, probability = np.zeros(len(units), np.int64), np.full(len(units), 0.5)
    voice[kept[end or 0 :]], probability[kept[end or 0 :]] = found.voice, found.probability
    announced = 0 if end is None else int(kept[end - 1]) + 1
    return replace(found, voice=voice, probability=probability, announced=announced)


def _not_voices(groups: NDArray[np.int64], steady: Embeddings) -> NDArray[np.bool_] | None:
    """Return which steps are of a group that is too steady for a voice, if one is."""
    for one in np.unique(groups):
        if not is_voice(steady[groups == one]):
            return np.asarray(groups == one)
    return None


def _told(
    units: Embeddings, follows: NDArray[np.bool_], fresh: NDArray[np.bool_]
) -> tuple[Turns, NDArray[np.int64]]:
    """Return who speaks, and for each step one of up to three groups of steps that are alike."""
    nobody = np.zeros(len(units), np.int64)
    if len(units) < 2 * _FEWEST:
        return _untold(len(units), None), nobody
    centres = _split(units)
    for _ in range(_ROUNDS):
        voice = _path(units, centres, follows)
        if min(np.bincount(voice, minlength=2)) < _FEWEST:
            return _untold(len(units), None), nobody
        renewed = as_units(np.stack([units[voice == one].mean(axis=0) for one in (0, 1)]))
        if np.allclose(renewed, centres, atol=1e-5):
            break
        centres = renewed
    likeness = _likeness(units, voice, fresh)
    if likeness is None or _TWO_VOICES < likeness < _ONE_VOICE:
        return _untold(len(units), likeness), nobody
    if likeness >= _ONE_VOICE:
        return _one(len(units), likeness), nobody
    sure = _posterior(units, centres, follows, voice)
    inner, groups = inner_likeness(units, voice, sure, fresh)
    if inner is not None and inner < _NO_MORE:
        voices = MORE if inner <= _MORE_VOICES else None
        return Turns(voice, np.full(len(units), 0.5), likeness, voices), groups
    return Turns(voice, sure, likeness, 2), voice


def inner_likeness(
    units: Embeddings, voice: NDArray[np.int64], sure: Numbers, fresh: NDArray[np.bool_]
) -> tuple[float | None, NDArray[np.int64]]:
    """Return how alike the two halves of either voice are, of that one where they are less so.

    With it comes the group of each step: its voice, and 2 for one of those halves.
    """
    least: float | None = None
    groups = voice
    for one in (0, 1):
        places = np.flatnonzero((voice == one) & (sure >= _CLEAR))
        if len(places) < 2 * _FEWEST_OF_MORE:
            continue
        part, follows = units[places], np.diff(places, prepend=-2) == 1
        halves = _path(part, _split(part), follows)
        if min(np.bincount(halves, minlength=2)) >= _FEWEST_OF_MORE:
            likeness = _likeness(part, halves, fresh[places])
            if likeness is not None and (least is None or likeness < least):
                least, groups = likeness, _grouped(units, voice, one, part, halves)
    return least, groups


def _grouped(
    units: Embeddings,
    voice: NDArray[np.int64],
    one: int,
    part: Embeddings,
    halves: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the voices, with 2 for the steps of ``one`` that are nearer to its second half."""
    centres = as_units(np.stack([part[halves == half].mean(axis=0) for half in (0, 1)]))
    second = (voice == one) & (units @ (centres[1] - centres[0]) > 0)
    return np.where(second, 2, voice)


def beginning_of(groups: NDArray[np.int64]) -> int | None:
    """Return how many steps the first group has, where it begins, and never returns."""
    if len(groups) < _SHORTEST_BEGINNING + _FEWEST_BEHIND:
        return None
    first = groups == np.bincount(groups[:_SHORTEST_BEGINNING]).argmax()
    astray = np.cumsum(~first) + (first.sum() - np.cumsum(first))
    end = int(astray.argmin()) + 1
    long_enough = _SHORTEST_BEGINNING <= end <= len(groups) - _FEWEST_BEHIND
    return end if long_enough and astray[end - 1] <= _STRAY * end else None


def first_times(units: Embeddings) -> NDArray[np.bool_]:
    """Return which windows are not the same sound again as one long before: a clip, a ring."""
    fresh = np.ones(len(units), bool)
    for at in range(_FAR, len(units), _ROWS):
        rows = units[at : at + _ROWS]
        alike = rows @ units[: at + _ROWS - _FAR].T >= _SAME
        places = np.arange(alike.shape[1])
        alike &= places <= (np.arange(at, at + len(rows)) - _FAR)[:, None]
        fresh[at : at + _ROWS] = ~alike.any(axis=1)
    return fresh


def _one(steps: int, likeness: float) -> Turns:
    return Turns(np.zeros(steps, np.int64), np.ones(steps), likeness, 1)


def _likeness(
    units: Embeddings, voice: NDArray[np.int64], fresh: NDArray[np.bool_]
) -> float | None:
    """Return the mean cosine between the voices over that within each, of windows far apart.

    The cosine of the centres says less: the two halves of any one voice differ by what is said.
    What is not ``fresh`` counts for nothing: a clip is like itself, whoever speaks in it.
    """
    units = units * fresh[:, None]
    sums = np.stack([units[voice == one].sum(axis=0) for one in (0, 1)]).astype(np.float64)
    sizes = np.array([fresh[voice == one].sum() for one in (0, 1)], np.float64)
    total, pairs = sums @ sums.T, np.outer(sizes, sizes)
    for lag in range(_FAR):
        one, other = voice[: len(voice) - lag], voice[lag:]
        near = np.einsum("ij,ij->i", units[: len(units) - lag], units[lag:])
        both = (fresh[: len(units) - lag] & fresh[lag:]).astype(np.float64)
        for first, second in ((one, other), (other, one))[: 1 if lag == 0 else 2]:
            np.subtract.at(total, (first, second), near)
            np.subtract.at(pairs, (first, second), both)
    if pairs.min() < _FEWEST_PAIRS:
        return None
    mean = total / pairs
    if min(mean[0, 0], mean[1, 1]) <= 0:
        return None
    return float(mean[0, 1] / np.sqrt(mean[0, 0] * mean[1, 1]))


def _untold(steps: int, likeness: float | None) -> Turns:
    return Turns(np.zeros(steps, np.int64), np.full(steps, 0.5), likeness, None)


def as_units(vectors: Embeddings) -> Embeddings:
    """Return the vectors (steps, numbers), each with a length of 1."""
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
        centres = as_units(np.stack([units[~second].mean(axis=0), units[second].mean(axis=0)]))
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
