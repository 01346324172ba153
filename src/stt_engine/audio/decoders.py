"""Decoders as they are to be used here, and samples that are no 16-bit numbers."""

from __future__ import annotations

from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import CodecContext

from stt_engine.errors import NotAudio

_BETTER_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}
"""FFmpeg's own drop the pauses of a recorder that sends none (DTX), and every time after them."""

_CHECKED = {"flac", "wavpack", "tta", "ape", "ac3", "eac3"}
"""Codecs with a checksum in each frame: one that is wrong is damage, and no sound."""

PAUSING = {"opus", "libopus", "amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb", "speex",
           "libspeex", "g723_1", "g729"}  # fmt: skip
"""Codecs that send nothing in a pause; from others a short gap is something lost."""

Gains = tuple[float, ...]
"""What the samples of each channel of a track are multiplied by."""

_RATES = range(1_000, 768_001)
"""Sample rates of real recorders; a damaged one makes FFmpeg's resampler run for ever."""


def check_rate(rate: int) -> None:
    """Refuse a sample rate that no recorder has.

    Raises:
        NotAudio: it is.
    """
    if rate not in _RATES:
        raise NotAudio(f"a sample rate of {rate} Hz")


def decoder_of(stream: AudioStream, *, new: bool = False) -> AudioCodecContext:
    """Return the decoder of ``stream``, or a better one where this build has it.

    ``new`` asks for one that knows nothing of the packets so far.
    """
    own = stream.codec_context
    if own.codec.name in _CHECKED and not own.is_open:
        own.options = {"err_detect": "crccheck+explode"}
    better = _BETTER_DECODERS.get(own.codec.name, "")
    if better not in av.codecs_available:
        if not new:
            return own
        better = own.codec.name
    chosen = cast("AudioCodecContext", CodecContext.create(better, "r"))
    chosen.sample_rate = own.sample_rate
    if new:
        chosen.extradata = own.extradata
    else:
        chosen.layout = own.layout
    return chosen


def rows_of(frame: AudioFrame) -> npt.NDArray[Any]:
    """Return the samples of a frame, a row for each channel."""
    found = frame.to_ndarray()
    return found if frame.format.is_planar else found.reshape(-1, frame.layout.nb_channels).T


def scaled(frame: AudioFrame, gains: Gains) -> AudioFrame:
    """Return floating-point samples times their channel's gain; what is no number is silence."""
    rows = rows_of(frame)
    each = np.array(gains if len(gains) == len(rows) else [min(gains)])[:, None]
    samples = np.nan_to_num(rows * each, nan=0.0, posinf=0.0, neginf=0.0)
    packed = samples if frame.format.is_planar else samples.T.reshape(1, -1)
    kind = rows.dtype if rows.dtype.kind == "f" else np.float32
    made = AudioFrame.from_ndarray(
        np.ascontiguousarray(packed, kind), frame.format.name, frame.layout.name
    )
    made.sample_rate = frame.sample_rate
    return made
