"""Frames of one track as rows of 16-bit samples at 16 kHz, handed to the writer in batches."""

from __future__ import annotations

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from stt_engine.audio.decoders import Gains, scaled
from stt_engine.audio.writer import Writer
from stt_engine.speech import SAMPLE_RATE

_BATCH = SAMPLE_RATE
"""Samples of a channel that are written at once."""

Shape = tuple[str, int, int]


def shape_of(frame: AudioFrame) -> Shape:
    """Return a frame's format, channels and sample rate."""
    return frame.format.name, frame.layout.nb_channels, frame.sample_rate


class Output:
    """The samples of a track on their way into the channels of ``number``."""

    def __init__(self, writer: Writer, number: int, start: float, gains: Gains | None) -> None:
        """Take where the samples go, from ``start`` seconds on, and what they are scaled by."""
        self._writer, self._number, self._gains = writer, number, gains
        self._resampler: AudioResampler | None = None
        self._at = round(start * SAMPLE_RATE)
        self._batch: list[np.ndarray] = []
        self._collected, self._channels = 0, 1
        self.shape: Shape | None = None

    def put(self, frame: AudioFrame) -> None:
        """Take a frame that follows the one before."""
        shape = shape_of(frame)
        if self._resampler is None or shape != self.shape:
            self.flush()  # a change of format in mid file starts a new resampler
            self._resampler = AudioResampler("s16", frame.layout.name, SAMPLE_RATE)
            self.shape, self._channels = shape, frame.layout.nb_channels
        if self._gains is not None:
            frame = scaled(frame, self._gains)
        frame.pts = None  # the times are kept by the track
        self._collect(self._resampler.resample(frame))
        if self._collected >= _BATCH * self._channels:
            self._hand_over()

    def flush(self) -> None:
        """Hand everything over."""
        if self._resampler is not None:
            self._collect(self._resampler.resample(None))
            self._resampler = None
        self._hand_over()

    def go_to(self, seconds: float) -> None:
        """Go on at ``seconds`` from the start of the recording; up to there is silence."""
        self.flush()
        self._at = round(seconds * SAMPLE_RATE)
        self._writer.reach(self._at)

    def _collect(self, frames: list[AudioFrame]) -> None:
        for one in frames:
            samples = np.frombuffer(
                memoryview(one.planes[0]), np.int16, one.samples * self._channels
            )
            self._batch.append(samples)
            self._collected += len(samples)

    def _hand_over(self) -> None:
        """Hand what is collected to the writer, a row for each channel."""
        if not self._batch:
            return
        samples = np.concatenate(self._batch).reshape(-1, self._channels).T
        self._batch.clear()
        self._collected = 0
        self._writer.put(self._number, self._at, samples)
        self._at += samples.shape[1]
