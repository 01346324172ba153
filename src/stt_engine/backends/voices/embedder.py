"""Embeddings of every quarter of a second of speech: the network looks at each frame once.

What is speech is laid end to end and cut into blocks of a second and a half. The network gives
features for each 20 ms of a block; the embedding of a second is made of those in it, so that
windows that overlap cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_engine.backends.voices.checkpoint import read_tensors
from stt_engine.backends.voices.features import HOP, frames_of, log_mel
from stt_engine.backends.voices.network import BANDS, Pooling, campplus
from stt_engine.backends.voices.steadiness import Steadiness
from stt_engine.errors import TranscriptionFailed
from stt_engine.native_errors import native_errors
from stt_engine.speech import SAMPLE_RATE

Floats = NDArray[np.float32]

BLOCK = 150
"""Frames of 10 ms in a block: what is computed at once, on each core."""

STEP_SEC = 0.25
"""From one window to the next."""

_WINDOW = 50
"""Frames of 20 ms in a window: one second, in the middle of which its step is."""

_STEP = 12.5
"""Frames of 20 ms in a step."""

_BLOCKS_AT_ONCE = 8
"""Blocks of one step of a job: twelve seconds of speech."""

_LOWEST, _HIGHEST = 10, 56
"""Mel bands of a telephone: 300 to 3,400 Hz."""

_FEWEST = 10
"""Frames of 20 ms with sound that a window needs: a fifth of a second."""

_QUIET, _LOUD, _SOUND = 0.05, 0.95, 0.35
"""Between the quiet and the loud quantile of a call's levels, from where on it is sound."""

Spans = Sequence[tuple[float, float]]
"""Starts and ends in seconds."""

Read = Callable[[int, int], NDArray[np.int16]]
"""Returns the samples from the one number to the other; fewer where there are no more."""


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Embeddings (steps, 192), where each step begins in seconds, and which follow one another.

    ``steady`` (steps, 2) is how steady the sound is; see :mod:`steadiness`.
    """

    embeddings: Floats
    starts: NDArray[np.float64]
    follows: NDArray[np.bool_]
    steady: Floats


class Embedder:
    """The network in onnxruntime. For one caller at a time.

    Args:
        weights: the checkpoint.
        threads: cores that it may use, each for a block of its own: a block on two cores takes
            half as much work again.

    Raises:
        ModelDamaged: the checkpoint is not what it should be.
        BackendError: the runtime cannot build it.
    """

    def __init__(self, weights: Path, threads: int) -> None:
        tensors = read_tensors(weights)
        self._pooling = Pooling.of(tensors)
        content, beside = campplus(tensors, BLOCK)
        del tensors
        self._threads = ThreadPoolExecutor(threads, "voices")
        with native_errors():
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.enable_cpu_mem_arena = False  # it would keep the most that a call ever took
            options.enable_mem_pattern = False
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(one) for one in beside.values()]
            options.add_external_initializers(list(beside), values)
            self._session: Any = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )

    def windows(
        self, read: Read, spans: Spans, *, narrow: bool = False
    ) -> Iterator[Windows | None]:
        """Yield ``None`` after each part of the work, and the windows of the speech at its end.

        ``narrow``: look at what a telephone has alone, so that recordings over it and others give
        embeddings that can be compared: the line says more in them than the voice.
        """
        speech = _speech(read, spans)
        features = speech.features
        sound = _sound(features)
        if not sound.any():
            nothing = np.empty((0, 192), np.float32)
            yield Windows(nothing, np.empty(0), np.empty(0, bool), np.empty((0, 2), np.float32))
            return
        mean = np.mean(features, axis=0, dtype=np.float32, where=sound[:, None])
        so_far, steadiness = _Steps(self._pooling, speech, sound[::2]), Steadiness(sound)
        for at in range(0, len(features), BLOCK * _BLOCKS_AT_ONCE):
            raw = features[at : at + BLOCK * _BLOCKS_AT_ONCE]
            steadiness.add(raw)
            part = raw - mean
            if narrow:
                part[:, :_LOWEST] = part[:, _HIGHEST:] = 0
            many = (len(part) + 1) // 2
            padded = np.pad(part, ((0, -len(part) % BLOCK), (0, 0)))
            so_far.add(self._looked(padded.reshape(-1, BLOCK, BANDS))[:many])
            yield None
        yield so_far.windows(steadiness)

    def _looked(self, blocks: Floats) -> Floats:
        """Return the frames of blocks, one by one: together they take longer, and memory."""
        with native_errors():
            found = list(self._threads.map(self._frames, blocks))
        frames = np.concatenate(found)
        if not np.isfinite(frames).all():
            raise TranscriptionFailed("the network of the voices gave numbers that are none")
        return np.asarray(frames.reshape(-1, Pooling.CHANNELS), np.float32)

    def _frames(self, block: Floats) -> Any:
        return self._session.run(None, {"features": block[None]})[0]


class _Steps:
    """Makes the windows out of frames as they come, and keeps only the frames that it needs.

    A window does not reach beyond its span: behind its end somebody else may speak.
    """

    def __init__(self, pooling: Pooling, speech: _Speech, sound: NDArray[np.bool_]) -> None:
        self._pooling = pooling
        self._places = speech.places[::2]
        self._first, self._last = (speech.first[::2] + 1) // 2, (speech.last[::2] + 1) // 2
        self._sound = sound
        self._middles = np.arange(_STEP / 2, len(sound), _STEP).astype(np.int64)
        self._frames = np.empty((0, Pooling.CHANNELS), np.float32)
        self._base = 0
        self._done = 0
        self._found: list[Floats] = []
        self._many: list[NDArray[np.int64]] = []

    def add(self, frames: Floats) -> None:
        """Take the next frames."""
        self._frames = np.concatenate((self._frames, frames))
        end = self._base + len(self._frames)
        last = end >= len(self._places)
        until = len(self._middles)
        if not last:
            until = int(np.searchsorted(self._middles, end - _WINDOW // 2, "right"))
        middles = self._middles[self._done : until]
        first = np.maximum(middles - _WINDOW // 2, self._first[middles]) - self._base
        behind = np.minimum(middles + _WINDOW // 2, self._last[middles]) - self._base
        counted = self._sound[self._base : end]
        embeddings, many = self._pooling.embed(self._frames, counted, first, behind)
        self._found.append(embeddings)
        self._many.append(many)
        self._done = until
        if not last:
            keep = max(self._base, int(self._middles[until]) - _WINDOW // 2)
            self._frames, self._base = self._frames[keep - self._base :], keep

    def windows(self, steadiness: Steadiness) -> Windows:
        """Return those with enough sound in them."""
        kept = np.concatenate(self._many) >= _FEWEST
        starts = self._places[self._middles][kept].astype(np.float64) - STEP_SEC / 2
        near = np.diff(starts, prepend=-np.inf) < 2 * STEP_SEC
        steady = steadiness.around(2 * self._middles[kept])
        return Windows(np.concatenate(self._found)[kept], starts, near, steady)


@dataclass(frozen=True, slots=True, eq=False)
class _Speech:
    """The frames of the speech: features, times in seconds, and the ends of the span of each."""

    features: NDArray[np.float16]
    places: Floats
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def _speech(read: Read, spans: Spans) -> _Speech:
    """Return the features; those of a long call are 10 MB, so they are never there twice."""
    ends = [(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)) for start, end in spans]
    ranges = [(max(0, first), max(0, first, last)) for first, last in ends]
    most = sum(frames_of(last - first) for first, last in ranges)
    features = np.empty((most, BANDS), np.float16)  # half the memory, for a hundredth of a decibel
    places, lengths, at = np.empty(most, np.float32), [], 0
    for first, last in ranges:
        found = log_mel(read(first, last).astype(np.float32) / np.float32(32_768))
        behind = at + len(found)
        features[at:behind] = found
        places[at:behind] = (first + np.arange(len(found)) * HOP) / SAMPLE_RATE
        lengths.append(len(found))
        at = behind
    behinds = np.cumsum(lengths, dtype=np.int64)
    return _Speech(
        features[:at],
        places[:at],
        np.repeat(behinds - lengths, lengths),
        np.repeat(behinds, lengths),
    )


def _sound(features: NDArray[np.float16]) -> NDArray[np.bool_]:
    """Return which frames are loud enough to be somebody's."""
    if not len(features):
        return np.empty(0, bool)
    levels = features.mean(axis=1, dtype=np.float32)
    quiet, loud = np.quantile(levels, (_QUIET, _LOUD))
    return np.asarray(levels > quiet + _SOUND * (loud - quiet))
