"""Where speech is: Silero's voice detection, as faster-whisper ships it (no torch).

onnxruntime looks, until :mod:`stt_engine.backends.openvino_vad` does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_SPAN_SEC = 30.0
"""Whisper's window; a longer stretch is split at its last short pause."""

Samples = npt.NDArray[np.float32]


def speech_spans(samples: Samples) -> list[tuple[int, int]]:
    """Give ``(start, end)`` sample ranges of speech, each at most 30 s, with 0.4 s of margin.

    Spans are never joined over a pause of two seconds or more, so that a segment cannot reach
    from one turn of a call into the next and the order of two channels stays true.
    """
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    found = get_speech_timestamps(samples, VadOptions(max_speech_duration_s=MAX_SPAN_SEC))
    return [(span["start"], span["end"]) for span in found]
