"""How steady a sound is: music and tones hold their notes, and speech changes all the time.

Two numbers for each step, out of two seconds around it and of what is loud there: how much a band
changes within 10 ms, and how alike the spectra are that are 100 ms apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stt_engine.backends.voices.network import BANDS

Floats = NDArray[np.float32]

_LOWEST, _HIGHEST = 8, 64
"""Bands that a telephone has, of :data:`BANDS`."""

_APART = 10
"""Frames of 10 ms between two spectra that are compared."""

_AROUND = 100
"""Frames before a step and behind it."""

_LEAST_CHANGE, _MOST_ALIKE = 0.67, 0.88
"""Mean change up to which, and likeness from which on, a voice is none (see docs/speakers.md)."""


class Steadiness:
    """Looks at the frames of a call, part by part.

    Args:
        sound: which frames of the whole call are loud.
    """

    def __init__(self, sound: NDArray[np.bool_]) -> None:
        self._sound = sound
        self._sums = np.zeros((len(sound) + 1, 3), np.float32)
        self._before = np.empty((0, BANDS), np.float32)
        self._at = 0

    def add(self, features: NDArray[np.float16]) -> None:
        """Take the next frames (frames, 80)."""
        rows = np.concatenate((self._before, features.astype(np.float32)))
        skipped = len(self._before)
        bands = rows[:, _LOWEST:_HIGHEST]
        change = np.abs(np.diff(bands, axis=0, prepend=bands[:1])).mean(axis=1)
        away = bands - bands.mean(axis=1, keepdims=True)
        lengths = np.linalg.norm(away, axis=1) + 1e-6
        alike = np.zeros(len(rows), np.float32)
        products = (away[_APART:] * away[:-_APART]).sum(axis=1)
        alike[_APART:] = products / (lengths[_APART:] * lengths[:-_APART])
        first, last = self._at, self._at + len(features)
        places = np.arange(first, last)
        compared = (places >= _APART) & self._sound[np.maximum(places - _APART, 0)]
        counted = self._sound[first:last] & compared
        found = np.stack((change[skipped:], alike[skipped:], np.ones(len(features))), axis=1)
        self._sums[first + 1 : last + 1] = found * counted[:, None]
        self._before, self._at = rows[-_APART:], last

    def around(self, middles: NDArray[np.int64]) -> Floats:
        """Return the two numbers at frames (steps, 2); 1 and 0 where nothing is loud."""
        sums = np.cumsum(self._sums, axis=0, dtype=np.float64)
        first = np.maximum(0, middles - _AROUND)
        last = np.minimum(len(self._sound), middles + _AROUND)
        change, alike, many = (sums[last] - sums[first]).T
        found = np.stack((change / np.maximum(many, 1), alike / np.maximum(many, 1)), axis=1)
        found[many == 0] = (1.0, 0.0)
        return found.astype(np.float32)


def is_voice(steady: Floats) -> bool:
    """Return whether steps that are alike (steps, 2) may be somebody's voice."""
    change, alike = steady.mean(axis=0)
    return bool(change > _LEAST_CHANGE and alike < _MOST_ALIKE)
