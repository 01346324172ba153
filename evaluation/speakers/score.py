"""What a diarisation got right, against the truth of a made call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluation.speakers.calls import Call, Turn
from stt_engine.voice_messages import DiariseResult

MARGIN = 0.8
"""Words whose speaker is less certain have none."""

_GRID_SEC = 0.05
_PAIR = 2


@dataclass(slots=True)
class Score:
    """Sums over calls. ``wrong``, ``unknown`` and ``words`` count words, ``confused_sec`` time."""

    calls: int = 0
    seconds: float = 0.0
    confused_sec: float = 0.0
    missed_sec: float = 0.0
    speech_sec: float = 0.0
    words: int = 0
    wrong: int = 0
    unknown: int = 0
    turns: int = 0
    turns_wrong: int = 0
    count_right: int = 0
    others_sec: float = 0.0
    others_named_sec: float = 0.0
    """Of music, tones and announcements (``others_sec``), what has a voice of the call."""
    certain: list[tuple[float, bool]] = field(default_factory=list)
    """Of each word: how sure its speaker is, and whether it is the right one."""

    def add(self, other: Score) -> None:
        """Add what another one counted."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def spans_of(call: Call, join_sec: float = 0.5) -> list[tuple[float, float]]:
    """Return where speech is, as a recogniser's segments would say: turns joined over pauses."""
    spans: list[tuple[float, float]] = []
    said = [(turn.start, turn.end) for turn in call.turns]
    for first, last in sorted([*said, *call.others]):
        start, end = max(0.0, first - 0.1), last + 0.1
        if spans and start <= spans[-1][1] + join_sec:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return spans


def score(call: Call, found: DiariseResult) -> Score:
    """Compare; the two voices found are named as fits the truth best."""
    many = len(call.voices)
    right = Score(1, call.seconds, count_right=int(found["voices"] == many))
    starts = np.asarray(found["starts"])
    grid = [at for first, last in call.others for at in np.arange(first, last, _GRID_SEC)]
    heard = [one for at in grid if (one := _at(found, starts, float(at))) is not None]
    right.others_sec = len(grid) * _GRID_SEC
    if found["voices"] is not None and found["voices"] <= _PAIR:
        right.others_named_sec = sum(sure >= MARGIN for _, sure in heard) * _GRID_SEC
    if many != _PAIR or found["voices"] != _PAIR:
        if many == _PAIR:  # nobody is named: no word is at the wrong speaker
            right.words = right.unknown = sum(len(turn.words) for turn in call.turns)
        return right
    tried = [_compared(call, found, names) for names in ((0, 1), (1, 0))]
    best = min(tried, key=lambda one: one.confused_sec)
    best.add(right)
    return best


def _compared(call: Call, found: DiariseResult, names: Sequence[int]) -> Score:
    kept = Score()
    starts = np.asarray(found["starts"])
    for turn in call.turns:
        said = [_at(found, starts, at) for at in turn.words]
        for at, one in zip(turn.words, said, strict=True):
            if _alone(call.turns, turn, at):
                _add_word(kept, turn, one, names)
        grid = np.arange(turn.start + _GRID_SEC, turn.end - _GRID_SEC, _GRID_SEC)
        steps = [_at(found, starts, at) for at in grid if _alone(call.turns, turn, float(at))]
        heard = [one for one in steps if one is not None]
        confused = sum(names[voice] != turn.voice for voice, _ in heard)
        kept.confused_sec += confused * _GRID_SEC
        kept.missed_sec += (len(steps) - len(heard)) * _GRID_SEC
        kept.speech_sec += len(steps) * _GRID_SEC
        kept.turns += 1
        kept.turns_wrong += 2 * confused > len(heard)
    return kept


def _add_word(kept: Score, turn: Turn, one: tuple[int, float] | None, names: Sequence[int]) -> None:
    kept.words += 1
    if one is None:
        kept.unknown += 1
        return
    fits = names[one[0]] == turn.voice
    kept.certain.append((one[1], fits))
    if one[1] < MARGIN:
        kept.unknown += 1
    elif not fits:
        kept.wrong += 1


def _at(found: DiariseResult, starts: np.ndarray, at: float) -> tuple[int, float] | None:
    """Return voice and certainty of the step nearest to a moment, if one is near."""
    if not len(starts):
        return None
    middles = starts + found["step_sec"] / 2
    nearest = int(np.abs(middles - at).argmin())
    if abs(middles[nearest] - at) > 2 * found["step_sec"]:
        return None
    return found["voice"][nearest], found["probability"][nearest]


def _alone(turns: Iterable[Turn], turn: Turn, at: float) -> bool:
    """Return whether nobody else speaks at that moment."""
    return not any(one is not turn and one.start <= at <= one.end for one in turns)


def calibration(certain: Sequence[tuple[float, bool]]) -> list[tuple[str, int, float, float]]:
    """Return for bands of certainty: the band, words, mean certainty, share that is right."""
    rows = []
    for low, high in ((0.5, 0.8), (0.8, 0.9), (0.9, 0.97), (0.97, 0.995), (0.995, 1.01)):
        band = [one for one in certain if low <= one[0] < high]
        if band:
            says = sum(sure for sure, _ in band) / len(band)
            rows.append(
                (f"{low}-{min(high, 1.0)}", len(band), says, sum(f for _, f in band) / len(band))
            )
    return rows
