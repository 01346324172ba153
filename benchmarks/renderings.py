"""One clip in many ways: faster, slower, with noise.

With only a few clips, a rounding error somewhere moves an error rate by two points either way.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from faster_whisper import decode_audio

from tests.support.sounds import RATE, Samples, write_wav

Render = Callable[[Samples], Samples]


def files(clip: Path, renders: Iterable[Render]) -> Iterator[Path]:
    """Yield each rendering of a clip as a file, which exists until the next one is requested."""
    samples = decode_audio(str(clip), sampling_rate=RATE).astype(np.float64)
    with tempfile.TemporaryDirectory(prefix="clips-") as name:
        for render in renders:
            path = Path(name) / f"{clip.stem}.wav"
            write_wav(path, render(samples), RATE)
            yield path


def at_speed(speed: float) -> Render:
    """Return what plays a clip so many times as fast, and higher."""

    def render(clip: Samples) -> Samples:
        return np.interp(np.arange(0, len(clip) - 1, speed), np.arange(len(clip)), clip)

    return render


def with_noise(below_db: float, seed: int = 0) -> Render:
    """Return what adds white noise, so many decibels below a clip."""

    def render(clip: Samples) -> Samples:
        noise = np.random.default_rng(seed).standard_normal(len(clip))
        return clip + noise * np.sqrt(np.mean(clip**2)) * 10 ** (-below_db / 20)

    return render


def many(speeds: Sequence[float], below_db: Sequence[float]) -> list[Render]:
    """Return every speed with every noise, each with a noise of its own."""
    ways = [(speed, noise) for speed in speeds for noise in below_db]
    return [
        _both(at_speed(speed), with_noise(noise, seed)) for seed, (speed, noise) in enumerate(ways)
    ]


def _both(first: Render, then: Render) -> Render:
    return lambda clip: then(first(clip))
