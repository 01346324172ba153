"""People who speak for half a minute to five minutes, made of the clips of a folder.

Clips of one sentence show nothing of what is lost at the end of a long chunk of speech, or in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from faster_whisper import decode_audio

from benchmarks.renderings import at_speed, with_noise
from tests.support.sounds import RATE, Samples, write_wav

LENGTHS_SEC = (30, 35, 40, 50, 60, 90, 150, 300)
_PAUSES_SEC = (0.3, 0.6, 0.2, 0.9, 1.2)
_SPEEDS = (1.0, 1.05, 0.95)
_NOISY = 4
"""Every fourth has noise, 20 dB below the voice."""


@dataclass(frozen=True)
class Sentence:
    """A clip without the silence around it, and what is said in it."""

    samples: Samples
    text: str


def sentences(clips: Sequence[tuple[Path, str]]) -> list[Sentence]:
    """Read clips, each with what is said in it."""
    read = ((decode_audio(str(path), sampling_rate=RATE), text) for path, text in clips)
    return [Sentence(trimmed(samples.astype(np.float64)), text) for samples, text in read]


def trimmed(samples: Samples) -> Samples:
    """Return the sound without what is 35 dB below its loudest 10 ms, before and after."""
    frame = RATE // 100
    count = len(samples) // frame
    power = (samples[: count * frame].reshape(count, frame) ** 2).mean(axis=1)
    (loud,) = np.nonzero(power > power.max() * 10**-3.5)
    return samples[max(0, loud[0] - 10) * frame : (loud[-1] + 11) * frame]


def monologues(said: Sequence[Sentence]) -> Iterator[tuple[Path, str]]:
    """Yield each monologue as a file, there until the next one is asked for, and its words."""
    with tempfile.TemporaryDirectory(prefix="monologues-") as name:
        for number, seconds in enumerate(LENGTHS_SEC):
            samples, text = monologue(said, number)
            path = Path(name) / f"{seconds}s.wav"
            write_wav(path, samples, RATE)
            yield path, text


def monologue(said: Sequence[Sentence], number: int) -> tuple[Samples, str]:
    """Return sentences in a random order, none twice running, and their words.

    ``number`` chooses among :data:`LENGTHS_SEC`.
    """
    rng, seconds = np.random.default_rng(number), LENGTHS_SEC[number]
    pause = np.zeros(round(_PAUSES_SEC[number % len(_PAUSES_SEC)] * RATE))
    faster = at_speed(_SPEEDS[number % len(_SPEEDS)])
    parts, texts, left = list[Samples](), list[str](), list[int]()
    while sum(map(len, parts)) < seconds * RATE:
        last, left = (left[-1] if left else -1), left[:-1]
        if not left:
            left = [int(at) for at in rng.permutation(len(said)) if at != last]
        one = said[left[-1]]
        parts += [faster(one.samples), pause]
        texts.append(one.text)
    samples = np.concatenate(parts)
    if number % _NOISY == _NOISY - 1:
        samples = with_noise(20, number)(samples)
    return samples, " ".join(texts)
