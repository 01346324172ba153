"""What all backends share: channels, pieces of bounded length, languages, gates, merging.

A backend only hears one piece of one channel at a time (:class:`Model`). Pieces keep memory flat
however long the call is; they are cut at the quietest moment near the limit.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stt_engine.backends.native import native_errors
from stt_engine.backends.vad import Samples, speech_spans
from stt_engine.errors import EmptyTranscript, LanguageNotSupported
from stt_engine.speech import AUTO, SAMPLE_RATE
from stt_engine.version import __version__

PIECE_SEC = 600.0
"""Longest stretch given to a model at once; ten minutes cost about 300 MiB of features."""

_CUT_WITHIN_SEC = 30.0
_QUIET_WINDOW_SEC = 0.5

MAX_COMPRESSION_RATIO = 2.4
"""Text that zlib shrinks more than this repeats itself (openai-whisper's own threshold)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One segment as a model gave it; seconds from the start of the piece."""

    start: float
    end: float
    text: str
    confidence: float | None = None
    words: tuple[tuple[float, float, str, float], ...] | None = None

    def moved(self, offset: float) -> Heard:
        """Give the same segment, ``offset`` seconds later."""
        words = self.words and tuple((s + offset, e + offset, w, p) for s, e, w, p in self.words)
        return replace(self, start=self.start + offset, end=self.end + offset, words=words)


class Model(Protocol):
    """A loaded model. ``samples`` are 16 kHz mono, -1 to 1, at most 30 s of them."""

    multilingual: bool
    facts: dict[str, Any]

    def detect(self, samples: Samples) -> str:
        """Give the language code of what is said."""
        ...

    def hear(self, samples: Samples, language: str, task: str, *, words: bool) -> Iterable[Heard]:
        """Recognise one stretch of speech; seconds from its start."""
        ...


Tell = Callable[..., None]


def model_operations(
    load: Callable[[dict[str, Any]], Model],
) -> dict[str, Callable[..., dict[str, Any]]]:
    """Give a backend's operations: ``load`` keeps the model, ``transcribe`` uses it."""
    kept: list[Model] = []

    def run_load(job: dict[str, Any], _tell: Tell) -> dict[str, Any]:
        kept[:] = [load(job)]
        return {"facts": {**kept[0].facts, "engine_version": __version__}}

    def run_transcribe(job: dict[str, Any], tell: Tell) -> dict[str, Any]:
        return recognise(kept[0], job, tell)

    return {"load": run_load, "transcribe": run_transcribe}


def recognise(model: Model, job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Recognise every channel of a decoded recording; JSON in, JSON out."""
    _check_language(model, job["language"])
    began = time.monotonic()
    run = _Run(model, job, tell)
    text_segments = run.all_channels("transcribe")
    timings = {"transcribe_sec": time.monotonic() - began}
    text_en = ""
    if job["translate"]:
        began = time.monotonic()
        translated = text_segments if run.language == "en" else run.all_channels("translate")
        text_en = _joined(translated)
        timings["translate_sec"] = time.monotonic() - began
    if run.rejected and not text_segments:
        raise EmptyTranscript(
            f"{len(run.rejected)} segments were heard and all rejected as repetition loops"
        )
    return {
        "text": _joined(text_segments),
        "text_en": text_en,
        "language": run.language or job["language"],
        "segments": text_segments,
        "rejected": run.rejected,
        "speech_sec": run.speech_sec,
        "timings": timings,
    }


def _check_language(model: Model, language: str) -> None:
    if not model.multilingual and language not in {"en", AUTO}:
        raise LanguageNotSupported(
            f"this model knows English only and was asked for '{language}'; use a multilingual one"
        )


def _joined(segments: list[dict[str, Any]]) -> str:
    return " ".join(segment["text"] for segment in segments)


@dataclass
class _Run:
    """One job on its way through the channels and pieces."""

    model: Model
    job: dict[str, Any]
    tell: Tell
    language: str | None = field(init=False)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    speech_sec: float = 0.0

    def __post_init__(self) -> None:
        asked = self.job["language"]
        fixed = asked if self.model.multilingual else "en"
        self.language = None if asked == AUTO and self.model.multilingual else fixed

    def all_channels(self, task: str) -> list[dict[str, Any]]:
        files = [Path(name) for name in self.job["files"]]
        found = [
            self._described(heard, channel, many=len(files) > 1)
            for channel, file in enumerate(files)
            for heard in self._channel(channel, file, task)
        ]
        found.sort(key=lambda segment: (segment["start"], segment["channel"]))
        return [{"id": number, **segment} for number, segment in enumerate(found)]

    def _channel(self, channel: int, file: Path, task: str) -> Iterator[Heard]:
        raw = np.memmap(file, dtype="<i2", mode="r")
        for start, end in pieces(raw):
            samples = raw[start:end].astype(np.float32) / 32768.0
            for done, heard in self._piece(samples, task):
                moved = heard.moved(start / SAMPLE_RATE)
                if self._accepted(moved, channel):
                    yield moved
                self.tell("progress", channel=channel, done_sec=(start + done) / SAMPLE_RATE)
            self.tell("progress", channel=channel, done_sec=end / SAMPLE_RATE)

    def _piece(self, samples: Samples, task: str) -> Iterator[tuple[int, Heard]]:
        """Give each segment with the number of samples that are done by then."""
        with native_errors():
            spans = speech_spans(samples)
            if task == "transcribe":
                self.speech_sec += sum(end - start for start, end in spans) / SAMPLE_RATE
            for start, end in spans:
                language = self.language = self.language or self._detected(samples, spans)
                speech = samples[start:end]
                for heard in self.model.hear(speech, language, task, words=self.job["words"]):
                    yield end, heard.moved(start / SAMPLE_RATE)

    def _detected(self, samples: Samples, spans: list[tuple[int, int]]) -> str:
        """Listen to the longest stretch: a short "yes" tells little about its language."""
        start, end = max(spans, key=lambda span: span[1] - span[0])
        return self.model.detect(samples[start:end])

    def _accepted(self, heard: Heard, channel: int) -> bool:
        if not heard.text.strip():
            return False
        if compression_ratio(heard.text) <= MAX_COMPRESSION_RATIO:
            return True
        place = {"start": heard.start, "end": heard.end, "channel": channel}
        self.rejected.append({**place, "reason": "repetition_loop"})
        return False

    def _described(self, heard: Heard, channel: int, *, many: bool) -> dict[str, Any]:
        agent = channel == self.job["agent_channel"]
        return {
            "start": round(heard.start, 3),
            "end": round(heard.end, 3),
            "text": heard.text.strip(),
            "channel": channel,
            "speaker": ("agent" if agent else "customer") if many else None,
            "confidence": None if heard.confidence is None else round(heard.confidence, 4),
            "words": heard.words,
        }


def compression_ratio(text: str) -> float:
    """Bytes of ``text`` over its bytes after zlib; high means repetition."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))


def pieces(
    samples: npt.NDArray[np.int16], limit_sec: float = PIECE_SEC
) -> Iterator[tuple[int, int]]:
    """Cut into ``(start, end)`` sample ranges no longer than ``limit_sec``, at quiet moments."""
    limit = int(limit_sec * SAMPLE_RATE)
    start, total = 0, len(samples)
    while total - start > limit:
        low = max(start, start + limit - int(_CUT_WITHIN_SEC * SAMPLE_RATE))
        end = _quietest(samples, low, start + limit)
        yield start, end
        start = end
    if total > start:
        yield start, total


def _quietest(samples: npt.NDArray[np.int16], low: int, high: int) -> int:
    window = int(_QUIET_WINDOW_SEC * SAMPLE_RATE)
    stretch = np.abs(samples[low:high].astype(np.float32))
    usable = len(stretch) // window * window
    energy = stretch[:usable].reshape(-1, window).mean(axis=1)
    return low + int(energy.argmin()) * window + window // 2
