"""A recording with tones in place of what nobody is to hear: WAV, 16 kHz, all channels."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api_server.export.masking import Stretch
from stt_engine.speech import SAMPLE_RATE, DecodedAudio

_BLOCK = 1 << 20
_TONE_HZ, _TONE_LEVEL = 1000.0, 3000.0


def write_beeped(audio: DecodedAudio, stretches: Sequence[Stretch], target: Path) -> None:
    """Write a decoded recording, with a tone on every channel for each of ``stretches``.

    Raises:
        OSError: the samples cannot be read, or the file cannot be written.
    """
    channels = [np.memmap(file, "<i2", "r") for file in audio.files if file.stat().st_size]
    length = max((len(one) for one in channels), default=0)
    with target.open("xb") as file, wave.open(file, "wb") as out:
        out.setnchannels(max(1, len(channels)))
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        for begin in range(0, length, _BLOCK):
            count = min(_BLOCK, length - begin)
            block = np.zeros((count, len(channels)), "<i2")
            for number, samples in enumerate(channels):
                part = samples[begin : begin + count]
                block[: len(part), number] = part
            _beep(block, begin, stretches)
            out.writeframes(block.tobytes())


def _beep(block: NDArray[np.int16], begin: int, stretches: Sequence[Stretch]) -> None:
    for start, end in stretches:
        first = max(0, int(start * SAMPLE_RATE) - begin)
        last = min(len(block), int(np.ceil(end * SAMPLE_RATE)) - begin)
        if first < last:
            at = np.arange(first + begin, last + begin) / SAMPLE_RATE
            tone = _TONE_LEVEL * np.sin(2 * np.pi * _TONE_HZ * at)
            block[first:last] = tone.astype("<i2")[:, None]
