"""What all backends share: channels, pieces of bounded length, languages, gates, merging.

A backend only hears one piece of one channel at a time (:class:`Model`). Pieces keep memory flat
however long the call is; they are cut at the quietest moment near the limit.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stt_engine.backends.native import native_errors
from stt_engine.backends.vad import Samples, speech_spans
from stt_engine.errors import LanguageNotSupported
from stt_engine.speech import AUTO, SAMPLE_RATE
from stt_engine.version import __version__

PIECE_SEC = 120.0
"""Longest stretch in which speech is looked for at once: half a second of work, 8 MB."""

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


Facts = dict[str, Any]
Steps = Generator[Facts, None, Facts]


def model_operations(load: Callable[[Facts], Model]) -> dict[str, Callable[[Facts], Facts | Steps]]:
    """Give a backend's operations: ``load`` keeps the model, ``transcribe`` uses it."""
    kept: list[tuple[Model, Facts]] = []

    def run_load(job: Facts) -> Facts:
        kept.clear()
        model = load(job)
        facts = {**job["facts"], **model.facts, "engine_version": __version__}
        kept.append((model, facts))
        return {}

    def run_transcribe(job: Facts) -> Steps:
        return recognise(*kept[0], job)

    return {"load": run_load, "transcribe": run_transcribe}


@dataclass(frozen=True, slots=True)
class Place:
    """How far a job is: everything before ``sample`` of ``channel`` in this ``task`` is done."""

    task: str
    channel: int
    sample: int


def recognise(model: Model, facts: Facts, job: Facts) -> Steps:
    """Recognise every channel of a decoded recording, one stretch of speech a step.

    Each step gives what was heard in it and the place (:class:`Place`) that it ends at; a job with
    ``resume`` goes on from such a place. ``provenance`` in the first step says who listens.
    """
    _check_language(model, job["language"])
    yield {"provenance": facts}
    run = _Run(model, job)
    for task in ("transcribe", "translate") if job["translate"] else ("transcribe",):
        if task == "transcribe" or run.language != "en":  # English needs no translation
            yield from run.all_channels(task)
    return {}


def _check_language(model: Model, language: str) -> None:
    if not model.multilingual and language not in {"en", AUTO}:
        raise LanguageNotSupported(
            f"this model knows English only and was asked for '{language}'; use a multilingual one"
        )


@dataclass
class _Run:
    """One job on its way through the channels and pieces."""

    model: Model
    job: Facts
    language: str | None = field(init=False)
    resume: Place | None = field(init=False)

    def __post_init__(self) -> None:
        at = self.job.get("resume")
        self.resume = at and Place(at["task"], at["channel"], at["sample"])
        asked = self.job["language"]
        fixed = asked if self.model.multilingual else "en"
        free = asked == AUTO and self.model.multilingual
        self.language = (at and at["language"]) if free else fixed

    def all_channels(self, task: str) -> Iterator[Facts]:
        files = [Path(name) for name in self.job["files"]]
        for channel, file in enumerate(files):
            done = self._done(task, channel)
            if done is not None:
                yield from self._channel(file, Place(task, channel, done), many=len(files) > 1)

    def _done(self, task: str, channel: int) -> int | None:
        """Give the samples of a channel that are done already; ``None``: all of them."""
        at = self.resume
        if at is None or (at.task, task) == ("transcribe", "translate"):
            return 0
        if at.task != task or channel < at.channel:
            return None
        return at.sample if channel == at.channel else 0

    def _channel(self, file: Path, at: Place, *, many: bool) -> Iterator[Facts]:
        raw = np.memmap(file, dtype="<i2", mode="r")
        for start, end in pieces(raw):
            if end <= at.sample:
                continue
            samples = raw[start:end].astype(np.float32) / 32768.0
            for span_end, span_sec, found in self._piece(samples, at, start):
                step = {"language": self.language, "speech_sec": span_sec}
                heard = self._judged(found, at.channel, many=many)
                yield {**asdict(at), "sample": start + span_end, **step, **heard}
            yield {**asdict(at), "sample": end, "language": self.language}

    def _piece(
        self, samples: Samples, at: Place, offset: int
    ) -> Iterator[tuple[int, float, list[Heard]]]:
        """Give each stretch of speech: the sample it ends at, its seconds, what was heard."""
        with native_errors():
            spans = speech_spans(samples)
            for start, end in spans:
                if offset + end <= at.sample:
                    continue
                language = self.language = self.language or self._detected(samples, spans)
                words = self.job["words"]
                heard = self.model.hear(samples[start:end], language, at.task, words=words)
                moved = [one.moved((offset + start) / SAMPLE_RATE) for one in heard]
                yield end, (end - start) / SAMPLE_RATE, moved

    def _detected(self, samples: Samples, spans: list[tuple[int, int]]) -> str:
        """Listen to the longest stretch: a short "yes" tells little about its language."""
        start, end = max(spans, key=lambda span: span[1] - span[0])
        return self.model.detect(samples[start:end])

    def _judged(self, found: list[Heard], channel: int, *, many: bool) -> Facts:
        """Take what was heard, and name what is rejected and why."""
        segments, rejected = [], []
        for heard in found:
            if not heard.text.strip():
                continue
            if compression_ratio(heard.text) <= MAX_COMPRESSION_RATIO:
                segments.append(self._described(heard, channel, many=many))
            else:
                place = {"start": heard.start, "end": heard.end, "channel": channel}
                rejected.append({**place, "reason": "repetition_loop"})
        return {"segments": segments, "rejected": rejected}

    def _described(self, heard: Heard, channel: int, *, many: bool) -> Facts:
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
