"""What one channel of a pair explains of the other: copies of a signal, and crosstalk.

The path from one channel to the other is estimated where the source is (nearly) alone. What it
predicts is taken out of the other channel; where nothing but the path's own error is left, the
other channel is silent. Two people who speak at once explain nothing of each other, so that their
words stay.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from stt_engine.audio.acoustic_path import FRAME, REACH, Mask, PathEstimate, PathFilter, Samples
from stt_engine.audio.ledger import joined
from stt_engine.protocol import DecodeStep
from stt_engine.speech import SAMPLE_RATE

_BLOCK = 960 * FRAME
_WINDOW = _BLOCK + 2 * REACH
_CORE = slice(REACH // FRAME, (REACH + _BLOCK) // FRAME)
_FRAME_SEC = FRAME / SAMPLE_RATE

_SMOOTH = np.ones(7, np.float32) / 7
"""Frames that are judged together: a tenth of a second."""

_FLOOR_DB = 45.0
"""Below the loudest half second nothing is speech."""

_ALIKE_DB = 15.0
"""By how much copies of one signal may differ."""

_ALIKE_SEC = 0.5
"""Of a block, before it may be copies."""

_COPY_DB = 3.0
"""A path that changes the level by more makes no copies but crosstalk: the louder one speaks."""

_ALONE_DB = 2.0
"""By how much the source is at least louder where its crosstalk is measured."""

_SPREAD = (25.0, 8.0)
"""Percentile of the ratios of both levels, and how many times it is still the source alone."""

_FOLLOWS, _SURELY = 0.3, 0.7
"""Correlation of both levels there: below the first there is no crosstalk."""

_DELAYS = (0, 2, 4, 6, 8, 10, 12, 14, 16, -4, -8, -12, -16)
"""Frames by which the levels are compared: up to a quarter of a second."""

_ERROR = (4.0, 0.03, 1.0)
"""How many times a path's mean error is left at most where nobody else speaks; its bounds."""

_BEST = 0.003
_WORSE = 2.0
"""How many times its error a path may have before it is learnt again."""

_HEARD_DB = 20.0
"""Over the floor: what is softer than that may be the noise of one channel."""

_OVER_NOISE_DB = 3.0

_TOGETHER, _APART_DB, _OWN_SEC = 0.9, 8.0, 0.2
"""Correlation of the levels of copies, and how long one may be louder than the other explains."""

_SAME = 0.97
"""The same where no path was found: too much noise hides it."""

_ALIKE_LEAST_SEC = 3.0

_SYLLABLE = np.ones(9, np.float32) / 9
_LATEST = 128
"""Frames by which a copy may be late that has no path of a quarter of a second: two seconds."""

_NOTHING = 1e-3
_SHORTEST_SEC = 0.3
_JOIN_SEC = 1.0
_WHOLE_SHARE = 0.95
"""Of a channel's sound that the other one explains: the channel has nothing of its own."""

Frames = npt.NDArray[np.float32]


@dataclass(slots=True)
class PairFound:
    """What two channels have in common.

    ``copies`` are seconds in which they are one signal; ``empty`` is a channel that has nothing of
    its own. ``taken_sec``: by channel, how much of the other one's voice was taken out of it;
    ``level_db`` is how loud it was beside that voice. ``alike``: both get loud together all along,
    however different they are, so that neither shows who speaks.
    """

    copies: list[tuple[float, float]] = field(default_factory=list)
    empty: int | None = None
    alike: bool = False
    taken_sec: list[float] = field(default_factory=lambda: [0.0, 0.0])
    level_db: list[float] = field(default_factory=lambda: [0.0, 0.0])


@dataclass(slots=True)
class _Pair:
    """Two channels on their way through their blocks.

    ``related``: a path from one to the other was found; ``own_sec``: the longest that each channel
    had something loud that the other one does not explain.
    """

    floors: list[float]
    copy: PathEstimate = field(default_factory=PathEstimate)
    crosstalk: list[PathEstimate] = field(default_factory=lambda: [PathEstimate(), PathEstimate()])
    copied: list[tuple[float, float]] = field(default_factory=list)
    sounding: list[int] = field(default_factory=lambda: [0, 0])
    explained: list[int] = field(default_factory=lambda: [0, 0])
    related: bool = False
    own_sec: list[float] = field(default_factory=lambda: [0.0, 0.0])
    levels: list[list[Frames]] = field(default_factory=lambda: [[], []])
    found: PairFound = field(default_factory=PairFound)

    def cleaned(self, samples: list[Samples], start: int) -> dict[int, Samples]:
        """Return the channels' windows that change, without what the other channel explains."""
        power = [_power(one) for one in samples]
        active = [one > floor for one, floor in zip(power, self.floors, strict=True)]
        copies = self._copies(samples, power, active, start)
        changed = dict[int, Samples]()
        silent = [np.zeros_like(copies), copies]
        for source in (0, 1):
            rest, gone = self._crosstalk(samples, power, active[source] & ~copies, source)
            if rest is not None:
                changed[1 - source] = rest
                silent[1 - source] = silent[1 - source] | gone
        self.related |= any(one.filter is not None for one in (self.copy, *self.crosstalk))
        for channel in (0, 1):
            if silent[channel].any():
                changed[channel] = _faded(changed.get(channel, samples[channel]), silent[channel])
            self.levels[channel].append(power[channel][_CORE])
            self.sounding[channel] += int(active[channel][_CORE].sum())
            self.explained[channel] += int((active[channel] & silent[channel])[_CORE].sum())
            own = (power[channel] > _ratio(_HEARD_DB) * self.floors[channel]) & ~silent[channel]
            self.own_sec[channel] = max(self.own_sec[channel], _longest_sec(own[_CORE]))
        return changed

    def _copies(
        self, samples: list[Samples], power: list[Frames], active: list[Mask], start: int
    ) -> Mask:
        """Return the frames in which the second channel is the first once more."""
        most = _ratio(_ALIKE_DB)
        alike = active[0] & active[1] & (power[0] < most * power[1]) & (power[1] < most * power[0])
        sounding = active[0] | active[1]
        none = np.zeros_like(alike)
        if alike.sum() * _FRAME_SEC < _ALIKE_SEC:
            return none
        found, rest, predicted = _explained(self.copy, samples, 0, (alike, ~sounding), sounding)
        if found is None or abs(found.level_db) > _COPY_DB:
            return none
        copies = sounding & (_power(rest) <= _allowed(found) * _power(predicted))
        (frames,) = np.nonzero(copies[_CORE])
        at = start / SAMPLE_RATE
        spans = ((at + n * _FRAME_SEC, at + (n + 1) * _FRAME_SEC) for n in frames.tolist())
        self.copied = joined([*self.copied, *spans])
        return copies

    def _crosstalk(
        self, samples: list[Samples], power: list[Frames], where: Mask, source: int
    ) -> tuple[Samples | None, Mask]:
        """Return the other channel without the source's voice, and the frames of nothing else."""
        quiet = power[1 - source]
        alone = _alone(quiet, power[source], where)
        if not alone.any():
            return None, alone
        pauses = quiet <= self.floors[1 - source]
        path = self.crosstalk[source]
        found, rest, predicted = _explained(path, samples, source, (alone, pauses), where)
        if found is None or found.level_db > -_COPY_DB:
            return None, alone
        gone = _power(rest) <= _allowed(found) * _power(predicted)
        taken = float((gone & alone)[_CORE].sum()) * _FRAME_SEC
        self.found.taken_sec[1 - source] += taken
        if taken:
            self.found.level_db[1 - source] = found.level_db
        return rest, gone

    def settled(self) -> PairFound:
        """Return what was found in all blocks."""
        self.found.copies = _stretches(self.copied)
        first, second = (
            np.concatenate(one) / floor for one, floor in zip(self.levels, self.floors, strict=True)
        )
        self.found.alike = _alike(first, second, _TOGETHER if self.related else _SAME) or _alike(
            *_aligned(first, second), _SAME
        )
        counts = zip(self.explained, self.sounding, self.own_sec, strict=True)
        shares = [
            explained / max(1, sounding) if own < _OWN_SEC else 0.0
            for explained, sounding, own in counts
        ]
        if max(shares) >= _WHOLE_SHARE:
            self.found.empty = 0 if shares[0] > shares[1] else 1
        return self.found


def _explained(
    path: PathEstimate, samples: list[Samples], source: int, learnt: tuple[Mask, Mask], where: Mask
) -> tuple[PathFilter | None, Samples, Samples]:
    """Return the path as it is now, what it leaves of the other channel, and what it predicts."""
    other = samples[1 - source]
    for known in (path.filter is not None, False):
        if not known:
            path.learn(samples[source], other, *learnt)
        found = path.filter
        if found is None:
            break
        predicted = found.predicted(samples[source], where)
        rest = other - predicted
        left, made = (float(_power(one)[learnt[0]].sum()) for one in (rest, predicted))
        if not known or left <= _WORSE * max(found.error, _BEST) * made:
            return found, rest, predicted
    return None, other, other


def _alone(quiet: Frames, loud: Frames, where: Mask) -> Mask:
    """Return the frames in which all of one channel may come from the other, if its level follows.

    ``where`` are the frames in which the other one, which is the louder, sounds.
    """
    best, most = np.zeros_like(where), _FOLLOWS
    for delay in _DELAYS:  # in frames; the first ones are those of nearly every call
        source = np.roll(loud, delay)
        mask = np.roll(where, delay) & (source > _ratio(_ALONE_DB) * quiet)
        if not mask.any():
            continue
        ratio = np.percentile(quiet[mask] / source[mask], _SPREAD[0])
        mask &= quiet <= _SPREAD[1] * ratio * source
        follows = _correlation(quiet[mask], source[mask])
        if follows >= most:
            best, most = mask, follows
        if most >= _SURELY:
            break
    return best


def _alike(first: Frames, second: Frames, together: float) -> bool:
    """Return whether two channels are loud together, and neither ever alone.

    ``first``, ``second``: energies over the least that may be speech; ``together``: how well the
    levels have to agree.
    """
    least = [_over_noise(one) for one in (first, second)]
    both = (first > least[0]) & (second > least[1])
    if both.sum() * _FRAME_SEC < _ALIKE_LEAST_SEC:
        return False
    gain = np.median(first[both] / second[both])
    second, floor = second * gain, max(least[0], least[1] * gain)
    sounding = (first > floor) | (second > floor)
    levels = [np.maximum(one[sounding], floor) for one in (first, second)]
    if _correlation(*levels) < together:
        return False
    ratio = 10 * np.log10(levels[0] / levels[1])
    apart = np.zeros_like(sounding)
    apart[sounding] = np.abs(ratio - np.median(ratio)) > _APART_DB
    return _longest_sec(apart) < _OWN_SEC


def _aligned(first: Frames, second: Frames) -> tuple[Frames, Frames]:
    """Return both levels, smoothed, with the delay between them taken out that fits them best."""
    smooth = [np.convolve(one, _SYLLABLE, "same").astype(np.float32) for one in (first, second)]
    levels = [
        np.log(one + np.percentile(one, 99) * _ratio(-_HEARD_DB) + _NOTHING) for one in smooth
    ]
    size = 1 << (2 * len(first)).bit_length()
    spectra = [np.fft.rfft(one - one.mean(), size) for one in levels]
    fits = np.fft.irfft(spectra[0] * spectra[1].conj(), size)
    delays = np.arange(-_LATEST, _LATEST + 1)
    delay = int(delays[np.argmax(fits[delays])])
    end = len(first) - abs(delay)
    return smooth[0][max(0, delay) :][:end], smooth[1][max(0, -delay) :][:end]


def _over_noise(level: Frames) -> float:
    """Return what is louder than the noise of a channel, by its quietest tenth."""
    sound = level[level > 0]  # behind the end of the file there is none
    quietest = float(np.percentile(sound, 10)) if len(sound) else 0.0
    return max(_ratio(_HEARD_DB), _ratio(_OVER_NOISE_DB) * quietest)


def _longest_sec(frames: Mask) -> float:
    """Return how long the longest stretch of these frames is."""
    (edges,) = np.nonzero(np.diff(frames.astype(np.int8), prepend=0, append=0))
    return float((edges[1::2] - edges[::2]).max(initial=0)) * _FRAME_SEC


def _correlation(quiet: Frames, loud: Frames) -> float:
    levels = [np.log(one + _NOTHING) for one in (quiet, loud)]
    if min(one.std() for one in levels) < _NOTHING:
        return 0.0
    return float(np.corrcoef(*levels)[0, 1])


def _allowed(found: PathFilter) -> float:
    times, low, high = _ERROR
    return min(max(low, times * found.error), high)


def _power(samples: Samples) -> Frames:
    """Return the mean energy of frames, of a tenth of a second around each."""
    frames = samples.reshape(-1, FRAME)
    return np.convolve(np.einsum("ij,ij->i", frames, frames) / FRAME, _SMOOTH, "same")


def _ratio(decibels: float) -> float:
    return float(10 ** (decibels / 10))


def _faded(samples: Samples, silent: Mask) -> Samples:
    """Return samples with silent frames, whose edges are soft."""
    gain = np.convolve(1.0 - silent, np.ones(3) / 3, "same")
    gain[silent] = 0.0
    at = np.arange(len(samples), dtype=np.float32) / FRAME - 0.5
    return samples * np.interp(at, np.arange(len(gain)), gain).astype(np.float32)


def _stretches(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return spans joined over short gaps, without those that are very short."""
    half = _JOIN_SEC / 2
    wide = joined((start - half, end + half) for start, end in spans)
    return [
        (round(start + half, 3), round(end - half, 3))
        for start, end in wide
        if end - start - _JOIN_SEC >= _SHORTEST_SEC
    ]


def separate(
    paths: list[Path], levels: list[float], length: int
) -> Generator[DecodeStep, None, PairFound]:
    """Take out of each of two files what the other one explains, and return what that was.

    ``levels``: what the loudest half second of each reaches, 0 to 1; ``length``: samples of a file.
    """
    pair = _Pair([(level * 32_768) ** 2 / 10 / _ratio(_FLOOR_DB) for level in levels])
    with paths[0].open("r+b") as first, paths[1].open("r+b") as second:
        files = (first, second)
        windows = [np.zeros(_WINDOW, np.float32) for _ in files]
        for window, file in zip(windows, files, strict=True):
            _fill(window, REACH, file, 0)
        for start in range(0, length, _BLOCK):
            changed = pair.cleaned(windows, start)
            for channel, cleaned in changed.items():
                _write(cleaned, files[channel], start, min(_BLOCK, length - start))
            for window, file in zip(windows, files, strict=True):
                window[: 2 * REACH] = window[_BLOCK:]
                _fill(window, 2 * REACH, file, start + _BLOCK + REACH)
            yield {"kind": "progress"}
    return pair.settled()


def _fill(window: Samples, at: int, file: BinaryIO, sample: int) -> None:
    """Read into the rest of a window; behind the end of the file there is silence."""
    file.seek(2 * sample)
    read = np.fromfile(file, "<i2", len(window) - at)
    window[at : at + len(read)] = read
    window[at + len(read) :] = 0


def _write(window: Samples, file: BinaryIO, start: int, count: int) -> None:
    file.seek(2 * start)
    kept = np.clip(np.rint(window[REACH : REACH + count]), -32_768, 32_767)
    file.write(kept.astype("<i2").tobytes())
