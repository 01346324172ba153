"""Floating-point samples that were written as if they were integers, or beyond full scale."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from stt_engine.audio.decoders import Gains, rows_of
from stt_engine.audio.opening import opened_part
from stt_engine.audio.parts import Part
from stt_engine.protocol import DecodeStep
from stt_engine.speech import AudioLimits

_MAX_EXPONENT = 64
_CLIPPED_SHARE = 1e-4
"""Samples beyond full scale that are clipped, as every player does; with more all are scaled."""

_STEP_FRAMES = 2_000


_LEAST = 2.0**-31
"""Below it nothing comes from a converter."""


@dataclass(frozen=True, slots=True)
class Scale:
    """``gains`` bring each channel of a track into -1 to 1; ``peak`` is its loudest sample then."""

    gains: Gains
    peak: float


@dataclass(slots=True)
class _Seen:
    """The samples of one track: how many by power of two and channel, and which are no integers."""

    counts: npt.NDArray[np.int64]
    peaks: npt.NDArray[np.float64]
    fractions: npt.NDArray[np.bool_]

    def take(self, frame: AudioFrame) -> None:
        rows = rows_of(frame)
        for number, row in enumerate(rows[: len(self.counts)]):
            finite = np.abs(row[np.isfinite(row)])
            self.counts[number] += _exponents(finite)
            self.peaks[number] = max(self.peaks[number], float(finite.max(initial=0.0)))
            if not self.fractions[number]:
                self.fractions[number] = bool((finite != np.rint(finite)).any())

    def exponents(self) -> list[int]:
        """Return by channel the power of two that hardly any sample exceeds."""
        beyond = np.cumsum(self.counts[:, ::-1], axis=1)[:, ::-1]
        allowed = _CLIPPED_SHARE * self.counts.sum(axis=1)
        return [
            int(np.argmax(np.append(one[1:], 0) <= most))
            for one, most in zip(beyond, allowed, strict=True)
        ]


def is_float(stream: AudioStream) -> bool:
    """Return whether the samples of ``stream`` are stored as floating-point numbers."""
    return stream.codec_context.codec.name.startswith("pcm_f")


def float_scales(
    file: BinaryIO, part: Part, streams: Sequence[AudioStream], limits: AudioLimits
) -> Generator[DecodeStep, None, dict[int, Scale]]:
    """Return how to scale each stream of floating-point numbers, by its index.

    Channels beyond full scale have one gain, a power of two, so that they keep their distance; one
    within full scale keeps its own level, unless it holds nothing but integers.
    """
    seen = {one.index: _nothing_of(one) for one in streams if is_float(one)}
    if not seen:
        return {}
    with opened_part(file, part, limits) as container:
        chosen = [one for one in container.streams.audio if one.index in seen]
        for number, packet in enumerate(container.demux(chosen)):
            try:
                frames = cast("list[AudioFrame]", packet.decode())
            except av.FFmpegError:
                continue
            for frame in frames:
                seen[packet.stream_index].take(frame)
            if number % _STEP_FRAMES == 0:
                yield {"kind": "progress"}
    exponents = {index: one.exponents() for index, one in seen.items()}
    gain = 0.5 ** max(max(each) for each in exponents.values())
    return {index: _scale(one, exponents[index], gain) for index, one in seen.items()}


def _nothing_of(stream: AudioStream) -> _Seen:
    count = max(1, stream.codec_context.channels)
    return _Seen(np.zeros((count, _MAX_EXPONENT + 1), np.int64), np.zeros(count),
                 np.zeros(count, np.bool_))  # fmt: skip


def _scale(seen: _Seen, exponents: list[int], gain: float) -> Scale:
    fits = [not one and bool(fraction) for one, fraction in zip(exponents, seen.fractions,
                                                                strict=True)]  # fmt: skip
    gains = tuple(1.0 if one else gain for one in fits)
    peak = float((seen.peaks * gains).max())
    return Scale(gains, peak if peak >= _LEAST else 0.0)


def _exponents(finite: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Count samples by the power of two that they do not exceed; 0 is full scale and below."""
    exponents = np.clip(np.frexp(finite)[1], 0, _MAX_EXPONENT)
    exponents[finite <= 1.0] = 0
    return np.bincount(exponents, minlength=_MAX_EXPONENT + 1)
