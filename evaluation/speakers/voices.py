"""The voices that calls are made of, and which of them nothing may be tuned to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 16_000
"""Samples per second of every utterance."""

SOUNDS = {".wav", ".flac"}
_NAME = re.compile(r"(?:tel_)?([a-z]+(?:_?\d+)?)")
_EDGE_LEVEL = 0.02

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Voice:
    """One person, or one synthetic voice, with what they say."""

    name: str
    utterances: tuple[Samples, ...]

    @property
    def seconds(self) -> float:
        """How much there is of it."""
        return sum(map(len, self.utterances)) / RATE


def read_voices(folder: Path) -> list[Voice]:
    """Return the voices of a folder: one for each sub-folder, and one for each name beside them.

    A file's voice is the word and the number that its name begins with (``zeroth_104_003.flac`` is
    ``zeroth_104``). A recording of two channels is no voice, and is left out.
    """
    found: dict[str, list[Samples]] = {}
    for path in sorted(one for one in folder.rglob("*") if one.suffix in SOUNDS):
        named = _NAME.match(path.stem)
        name = path.parent.name if path.parent != folder else named.group(1) if named else path.stem
        samples = _read(path)
        if samples is not None:
            found.setdefault(name, []).append(samples)
    return [Voice(name, tuple(spoken)) for name, spoken in sorted(found.items())]


def _read(path: Path) -> Samples | None:
    """Return a mono file's samples without the silence around them, all at one level."""
    with av.open(str(path)) as container:
        if container.streams.audio[0].codec_context.channels > 1:
            return None
        resampler = av.AudioResampler("flt", "mono", RATE)
        parts = [
            one.to_ndarray()[0]
            for frame in [*container.decode(audio=0), None]
            for one in resampler.resample(frame)
        ]
    samples = np.concatenate(parts).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > _EDGE_LEVEL * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1]
    spoken: Samples = samples * np.float32(0.06 / np.sqrt((samples**2).mean()))
    return spoken
