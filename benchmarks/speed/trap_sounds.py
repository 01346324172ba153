"""The sounds that Whisper is known to invent text on, or to lose its time on."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np

from examples.make_sample_call import Samples, set_level, write_pcm

RATE = 16_000
LONG_SEC = 30
SPOKEN_SEC = 10
GRAIN_SEC = 0.11
CHORDS = ((262, 330, 392, 523), (220, 262, 330, 440), (175, 220, 262, 349), (196, 247, 294, 392))


def make_traps(folder: Path, clips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write them all; ``speech`` marks those with speech, for which text is allowed."""
    talk = np.concatenate([_read(folder / one["file"]) for one in clips])
    random = np.random.default_rng(7)
    seconds = np.arange(LONG_SEC * RATE) / RATE
    some = talk[: SPOKEN_SEC * RATE]
    wordless = {
        "silence": np.zeros(len(seconds)),
        "white noise": random.standard_normal(len(seconds)) * 0.1,
        "line noise": random.standard_normal(len(seconds)) * 0.002,
        "ringing": _ringing(seconds),
        "music": _music(),
    }
    spoken = {
        "reversed speech": some[::-1],
        "shuffled speech": _shuffled(some, random),
        "babble": set_level(_babble(talk), -19.0),
        "muffled speech": _muffled(some, random),
    }
    told = []
    for name, samples in (wordless | spoken).items():
        file = f"trap_{name.replace(' ', '_')}.wav"
        write_pcm(folder / file, samples, RATE)
        told.append(
            {
                "name": name,
                "file": file,
                "language": "en",
                "seconds": round(len(samples) / RATE, 3),
                "speech": name in spoken,
            }
        )
    return told


def _read(path: Path) -> Samples:
    with wave.open(str(path), "rb") as source:
        return np.frombuffer(source.readframes(source.getnframes()), "<i2") / 32_768


def _ringing(seconds: Samples) -> Samples:
    """Return the Korean ring-back tone: one second on, two off."""
    tone = sum(np.sin(2 * np.pi * hertz * seconds) for hertz in (440, 480))
    return 0.2 * tone * (seconds % 3 < 1)


def _music() -> Samples:
    """Return hold music: plucked chords, note by note."""
    tune = np.zeros(LONG_SEC * RATE)
    ring = np.arange(RATE) / RATE
    for index, start in enumerate(range(0, len(tune), RATE // 4)):
        hertz = CHORDS[index // 8 % len(CHORDS)][(0, 1, 2, 3, 2, 1, 2, 3)[index % 8]]
        note = sum(np.sin(2 * np.pi * hertz * k * ring) / k**2 for k in range(1, 5))
        note = note * np.exp(-4 * ring) * np.minimum(1, ring / 0.005)
        end = min(len(tune), start + len(note))
        tune[start:end] += note[: end - start]
    return 0.4 * tune / np.max(np.abs(tune))


def _shuffled(talk: Samples, random: np.random.Generator) -> Samples:
    """Return grains of speech in a random order: sounds like speech, has no words."""
    size = round(GRAIN_SEC * RATE)
    grains = talk[: len(talk) // size * size].reshape(-1, size) * np.hanning(size)
    return random.permutation(grains).reshape(-1) * 1.5


def _babble(talk: Samples) -> Samples:
    """Return eight voices at once."""
    size = SPOKEN_SEC * RATE
    return sum((talk[k * size : (k + 1) * size] for k in range(1, 9)), np.zeros(size))


def _muffled(talk: Samples, random: np.random.Generator) -> Samples:
    """Return speech behind a wall: what is below 350 Hz, and noise."""
    spectrum = np.fft.rfft(talk)
    spectrum[np.fft.rfftfreq(len(talk), 1 / RATE) > 350] = 0
    low = set_level(np.fft.irfft(spectrum, len(talk)), -22.0)
    return low + random.standard_normal(len(low)) * 0.01
