"""What the network looks at: Kaldi's log mel filter banks, 80 bands for every 10 ms."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stt_engine.backends.voices.network import BANDS
from stt_engine.speech import SAMPLE_RATE

Floats = NDArray[np.float32]

HOP = SAMPLE_RATE // 100
"""Samples from frame to frame: 10 ms."""

_LENGTH, _FFT = 400, 512
_LOWEST_HZ, _EMPHASIS = 20.0, 0.97
_LEAST = np.finfo(np.float32).eps
_AT_ONCE = 400


def log_mel(samples: Floats) -> Floats:
    """Return the features (frames, 80) of 16 kHz samples from -1 to 1, some frames at a time.

    The scale of the samples does not matter: a window's mean is taken off before it is looked at.
    """
    count = frames_of(len(samples))
    found = np.empty((count, BANDS), np.float32)
    for at in range(0, count, _AT_ONCE):
        many = min(_AT_ONCE, count - at)
        part = samples[at * HOP : (at + many - 1) * HOP + _LENGTH]
        found[at : at + many] = _log_mel(part)
    return found


def frames_of(samples: int) -> int:
    """Return how many frames so many samples have."""
    return max(0, 1 + (samples - _LENGTH) // HOP)


def _log_mel(samples: Floats) -> Floats:
    frames = np.lib.stride_tricks.sliding_window_view(samples, _LENGTH)[::HOP]
    frames = (frames * np.float32(32_768)).astype(np.float32)
    frames -= frames.mean(axis=1, keepdims=True)
    before = np.concatenate((frames[:, :1], frames[:, :-1]), axis=1)
    frames = (frames - np.float32(_EMPHASIS) * before) * _window()
    spectrum = np.fft.rfft(frames, _FFT)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    found: Floats = np.log(np.maximum(power[:, :-1] @ _bank(), _LEAST))
    return found


@cache
def _window() -> Floats:
    turn = 2 * np.pi * np.arange(_LENGTH) / (_LENGTH - 1)
    return np.asarray((0.5 - 0.5 * np.cos(turn)) ** 0.85, np.float32)


@cache
def _bank() -> Floats:
    """Return the triangles (bins, bands) of Kaldi's mel scale."""
    lowest, highest = _mel(np.array([_LOWEST_HZ, SAMPLE_RATE / 2]))
    step = (highest - lowest) / (BANDS + 1)
    bins = _mel(np.arange(_FFT // 2) * SAMPLE_RATE / _FFT)[:, None]
    left = lowest + step * np.arange(BANDS)
    rising, falling = (bins - left) / step, (left + 2 * step - bins) / step
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), np.float32)


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(hertz / 700.0))
