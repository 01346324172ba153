"""The samples on disk: one file for each channel of each track, and which of them are the same."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from stt_engine.audio.crosstalk import PairFound, separate
from stt_engine.errors import AudioTooLong, AudioTooManyChannels
from stt_engine.protocol import DecodeStep
from stt_engine.speech import SAMPLE_RATE, AudioLimits

Samples = npt.NDArray[np.int16]
Key = tuple[int, int]
"""Track and channel."""

SAME_CHANNELS = 1e-3
"""Two channels whose difference has less than this share of their energy (-30 dB) are one."""

_BLOCK = 1 << 19
_FRAME = 320
_LOUD_FRAMES = 25
"""Half a second: what is louder for a shorter time is a click."""

_QUIET = 0.02
_TARGET = 0.3
_MAX_GAIN = 100.0
_OFFSET = 0.1
"""Share of a channel's level that its mean may be; a larger one is a fault of its converter."""

_NOTHING = 16 / 32_768
"""Below it there is nothing to be made louder but the noise of the converter."""

_PAIR = 2


@dataclass(slots=True)
class _Slot:
    """One channel: its zeros at the start and in pauses cost no room on the disk."""

    path: Path
    length: int = 0
    stored: int = 0
    file: BinaryIO | None = None

    def put(self, at: int, samples: Samples) -> None:
        if samples.any():
            if self.file is None:
                self.file = self.path.open("wb")
            if self.stored != at:
                self.file.seek(2 * at)
            self.file.write(samples.tobytes())
            self.stored = at + len(samples)
        self.length = at + len(samples)

    def close(self, length: int) -> None:
        """Let the file have ``length`` samples; what was never written reads as zeros."""
        if self.file is None:
            self.file = self.path.open("wb")
        self.file.truncate(2 * length)
        self.file.close()


@dataclass
class Writer:
    """Takes the samples of every track at their times; :meth:`finish` says what they are."""

    folder: Path
    limits: AudioLimits
    slots: dict[Key, _Slot] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)
    length: int = 0

    def put(self, track: int, at: int, samples: Samples) -> None:
        """Write ``samples``, a row for each channel, where sample number ``at`` is.

        Raises:
            AudioTooLong: more than the limit.
            AudioTooManyChannels: more than the limit.
        """
        end = at + samples.shape[1]
        if end > self.length:
            self.length = end
            self._check_length()
        for number, row in enumerate(samples):
            slot = self.slots.get((track, number)) or self._slot((track, number))
            slot.put(at, row)

    def reach(self, length: int) -> None:
        """Let the recording be at least ``length`` samples long; what is not there is silence.

        Raises:
            AudioTooLong: more than the limit.
        """
        if length > self.length:
            self.length = length
            self._check_length()

    def _slot(self, key: Key) -> _Slot:
        if len(self.slots) >= self.limits.max_channels:
            raise AudioTooManyChannels(
                f"more than {self.limits.max_channels} channels of sound, which is the limit"
            )
        slot = _Slot(self.folder / f"channel{len(self.slots)}.s16")
        self.stack.callback(lambda: slot.file and slot.file.close())
        self.slots[key] = slot
        return slot

    def _check_length(self) -> None:
        if self.length > self.limits.max_duration_sec * SAMPLE_RATE:
            raise AudioTooLong(
                f"longer than {self.limits.max_duration_sec:g} s, which is the limit"
            )
        sounding = sum(one.file is not None for one in self.slots.values())
        if self.length * sounding > self.limits.max_channel_sec * SAMPLE_RATE:
            raise AudioTooLong(
                f"{sounding} channels of more than {self.length / SAMPLE_RATE:.0f} s; the limit is "
                f"{self.limits.max_channel_sec:g} s of all channels together"
            )

    @property
    def duration(self) -> float:
        """Seconds so far."""
        return self.length / SAMPLE_RATE

    def finish(self) -> Generator[DecodeStep, None, Finished]:
        """Close the files, and return those that differ."""
        keys = sorted(self.slots)
        sounding = [key for key in keys if self.slots[key].file is not None]
        # The silent ones of many channels are unused; of two, one is a speaker who says nothing.
        kept = sounding if len(keys) > _PAIR and sounding else keys
        for key in kept:
            self.slots[key].close(self.length)
        paths = [self.slots[key].path for key in kept]
        measured = yield from _measured(paths, self.length)
        for path, level, offset in zip(paths, measured.levels, measured.offsets, strict=True):
            if abs(offset) > _OFFSET * level:
                yield from _changed(path, 1.0, offset * 32_768)
        groups = _groups(measured.products)
        gain = _gain(max(measured.levels, default=0.0))
        pair = None
        if len(groups) == _PAIR and min(measured.levels[one[0]] for one in groups) > 0:
            both = [one[0] for one in groups]
            pair = yield from separate(
                [paths[one] for one in both], [measured.levels[one] for one in both], self.length
            )
            if pair.empty is not None:
                groups = [groups[1 - pair.empty] + groups[pair.empty]]
        chosen = [paths[one[0]] for one in groups]
        if gain > 1:
            for path in chosen:
                yield from _changed(path, gain)
        return Finished(
            tuple(str(path) for path in chosen),
            [[kept[one] for one in group] for group in groups],
            [key for key in keys if key not in kept],
            gain,
            max(measured.levels, default=0.0),
            pair,
        )


@dataclass(frozen=True, slots=True)
class Finished:
    """Files in order of track and channel, with what each holds and which silent ones are left out.

    ``level``: what the loudest half second of the loudest channel reaches, 0 to 1, before ``gain``.
    ``pair``: what two channels have in common.
    """

    files: tuple[str, ...]
    groups: list[list[Key]]
    silent: list[Key]
    gain: float
    level: float
    pair: PairFound | None = None


@dataclass(frozen=True, slots=True)
class _Measured:
    products: npt.NDArray[np.float64]
    levels: list[float]
    offsets: list[float]


def _measured(paths: list[Path], length: int) -> Generator[DecodeStep, None, _Measured]:
    """Return every channel's product with every other, how loud each is, and its mean."""
    products, sums = np.zeros((len(paths), len(paths))), np.zeros(len(paths))
    sounding = np.ones(len(paths))
    loudest = [np.zeros(0, np.int32) for _ in paths]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        for start in range(0, length, _BLOCK):
            count = min(_BLOCK, length - start)
            rows = [np.fromfile(file, "<i2", count) for file in files]
            for number, row in enumerate(rows):
                loudest[number] = _loudest(loudest[number], row)
                sums[number] += row.sum(dtype=np.int64)
                sounding[number] += np.count_nonzero(row)  # a pause is zeros, without the offset
            if len(rows) > 1:
                products += _products(rows)
            yield {"kind": "progress"}
    levels = [float(one.min(initial=32_768)) / 32_768 if one.size else 0.0 for one in loudest]
    products -= np.outer(sums, sums) / max(1, length)  # an offset is nothing in common
    return _Measured(products, levels, [float(one) for one in sums / sounding / 32_768])


def _products(rows: list[Samples]) -> npt.NDArray[np.float64]:
    block = np.stack(rows).astype(np.float32)
    total = np.zeros((len(rows), len(rows)))
    for start in range(0, block.shape[1], 1 << 15):  # single precision is enough for so many
        part = block[:, start : start + (1 << 15)]
        total += part @ part.T
    return total


def _loudest(before: npt.NDArray[np.int32], row: Samples) -> npt.NDArray[np.int32]:
    """Return the peaks of the loudest frames so far; a constant offset is no sound."""
    frames = row[: len(row) // _FRAME * _FRAME].reshape(-1, _FRAME)
    if not len(frames):
        frames = row.reshape(1, -1)
    peaks = (frames.max(axis=1).astype(np.int32) - frames.min(axis=1) + 1) // 2
    every = np.concatenate((before, peaks))
    return np.sort(every)[-_LOUD_FRAMES:]


def _groups(products: npt.NDArray[np.float64]) -> list[list[int]]:
    """Return the channels in groups of copies: the same sound twice is one channel."""
    groups: list[list[int]] = []
    for number in range(len(products)):
        for group in groups:
            energy = products[number, number] + products[group[0], group[0]]
            if energy - 2 * products[number, group[0]] <= SAME_CHANNELS * energy:
                group.append(number)
                break
        else:
            groups.append([number])
    return groups


def _gain(level: float) -> float:
    """Return by how much a recording is too quiet for what detects speech."""
    if not _NOTHING <= level < _QUIET:
        return 1.0
    return min(_MAX_GAIN, _TARGET / level)


def _changed(path: Path, gain: float, offset: float = 0.0) -> Generator[DecodeStep, None, None]:
    """Take ``offset`` out of the samples that are no silence, and multiply them by ``gain``."""
    with path.open("r+b") as file:
        while True:
            place = file.tell()
            block = np.fromfile(file, "<i2", _BLOCK)
            if not block.size:
                return
            changed = (block - np.float32(offset) * (block != 0)) * np.float32(gain)
            file.seek(place)
            file.write(np.clip(np.rint(changed), -32_768, 32_767).astype("<i2").tobytes())
            yield {"kind": "progress"}
