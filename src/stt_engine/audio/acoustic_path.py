"""The way of a sound from one channel into another: a delay and a short filter."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log10

import numpy as np
import numpy.typing as npt

FRAME = 256
MAX_LAG = 4_096
"""Samples of delay, either way: a quarter of a second."""

TAPS = 128
REACH = 32 * FRAME
"""Samples around those to be predicted that have to be known."""

_BEFORE = 32
"""Taps before the strongest one."""

_REGULAR = 1e-4
"""Share of the energy that keeps the equations solvable where a band is empty (telephone)."""

_LEARNT = 1 << 16
"""Samples that are learnt from at once, those with the most to learn."""

_ENOUGH_SEC = 0.5
_SELF_SUFFICIENT_SEC = 2.0
"""With as much, what was learnt before does not count."""

_EXPLAINED = 0.5
"""Share of the energy that a path has to explain to be one."""

_LOUDEST = 3.0
"""What makes any frequency louder by more is no path: a tone made of another's distortion."""

_HOP = 15 * FRAME
_TURN = 4_096
_RATE = 16_000

Doubles = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PathFilter:
    """``taps`` from a delay of ``first`` samples on.

    ``error``: the energy that it leaves over that which it explains; ``level_db``: what it does to
    the source.
    """

    taps: Doubles
    first: int
    error: float
    level_db: float

    def predicted(self, source: Samples, wanted: Mask) -> Samples:
        """Return what ``source`` makes in the other channel near the ``wanted`` frames, else zeros.

        The outermost :data:`REACH` samples are zeros, too.
        """
        found = np.zeros_like(source)
        starts = np.arange(REACH - _HOP, len(source) - REACH + _HOP, _HOP)
        near = wanted | np.roll(wanted, MAX_LAG // FRAME) | np.roll(wanted, -MAX_LAG // FRAME)
        starts = starts[[near[one // FRAME : (one + _HOP) // FRAME].any() for one in starts]]
        if len(starts):
            at = starts[:, None] - self.first - TAPS + np.arange(_TURN)
            spectra = np.fft.rfft(source[at])
            spectra *= np.fft.rfft(self.taps.astype(np.float32), _TURN)
            made = np.fft.irfft(spectra, _TURN)[:, TAPS : TAPS + _HOP]
            found[starts[:, None] + np.arange(_HOP)] = made
        return found


@dataclass(slots=True)
class PathEstimate:
    """What is known of a path so far; ``filter`` is ``None`` where there is none."""

    filter: PathFilter | None = None
    _own: Doubles = field(default_factory=lambda: np.zeros(TAPS))
    _cross: Doubles = field(default_factory=lambda: np.zeros(2 * MAX_LAG + 1))
    _energy: float = 0.0
    _seconds: float = 0.0

    def learn(self, source: Samples, other: Samples, alone: Mask, pauses: Mask) -> None:
        """Learn where the source is alone, most of all where it is so for long.

        ``pauses``: frames in which nobody speaks; with them there are fewer edges.
        """
        frames, edge = _LEARNT // FRAME, MAX_LAG // FRAME
        counts = np.concatenate(([0], np.cumsum(alone)))
        first = int(np.argmax(counts[frames - edge : -edge] - counts[edge : edge - frames]))
        seconds = float(alone[first + edge : first + frames - edge].sum()) * FRAME / _RATE
        if not seconds:
            return
        span = slice(first * FRAME, (first + frames) * FRAME)
        chosen = (alone | pauses)[first : first + frames]
        chosen[:edge] = chosen[-edge:] = False
        gate = np.repeat(chosen, FRAME)
        heard = other[span] * gate
        cross = np.fft.irfft(np.fft.rfft(heard) * np.fft.rfft(source[span]).conj())
        kept = 0.0 if seconds >= _SELF_SUFFICIENT_SEC else 0.5
        self._cross = kept * self._cross + np.concatenate((cross[-MAX_LAG:], cross[: MAX_LAG + 1]))
        own = np.fft.rfft(source[span] * np.roll(gate, -self._delay))
        self._own = kept * self._own + np.fft.irfft(own * own.conj())[:TAPS]
        self._energy = kept * self._energy + float(heard @ heard)
        self._seconds = kept * self._seconds + seconds
        self.filter = self._solved()

    @property
    def _delay(self) -> int:
        """The delay of the strongest tap."""
        return int(np.argmax(np.abs(self._cross))) - MAX_LAG

    def _solved(self) -> PathFilter | None:
        if self._seconds < _ENOUGH_SEC or self._energy <= 0 or self._own[0] <= 0:
            return None
        first = min(max(0, self._delay + MAX_LAG - _BEFORE), len(self._cross) - TAPS)
        wanted = self._cross[first : first + TAPS]
        own = self._own * np.where(np.arange(TAPS), 1.0, 1.0 + _REGULAR)
        taps = _toeplitz_solution(own, wanted)
        energy = float(taps @ wanted)
        if energy < _EXPLAINED * self._energy:
            return None
        if np.abs(np.fft.rfft(taps, 8 * TAPS)).max() > _LOUDEST:
            return None
        error = max(0.0, self._energy / energy - 1)
        return PathFilter(taps, first - MAX_LAG, error, 10 * log10(energy / float(own[0])))


def _toeplitz_solution(row: Doubles, wanted: Doubles) -> Doubles:
    """Solve a symmetric Toeplitz system given by its first row (Levinson)."""
    forward, found = np.array([1 / row[0]]), np.array([wanted[0] / row[0]])
    for size in range(1, len(row)):
        before = row[size:0:-1]
        error = float(before @ forward)
        padded = np.append(forward, 0.0)
        forward = (padded - error * padded[::-1]) / (1 - error * error)
        found = np.append(found, 0.0) + (wanted[size] - before @ found) * forward[::-1]
    return found
