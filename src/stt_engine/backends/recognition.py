"""What all backends share: channels, pieces of bounded length, languages, gates, merging.

A backend only gets chunks of speech (:class:`stt_engine.backends.base.Model`). Speech is detected
in pieces, which keep memory flat however long the call is; pieces are cut at the quietest moment
near the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stt_engine.backends import vad
from stt_engine.backends.base import (
    Model,
    SpeechChunk,
)
from stt_engine.backends.batching import DynamicBatcher, JobStream, WorkItem
from stt_engine.backends.languages import languages_of
from stt_engine.backends.steps import step_of
from stt_engine.backends.vad import Samples, SpeechSpan, speech_spans
from stt_engine.errors import LanguageNotSupported
from stt_engine.hints import NO_HINTS, Hints
from stt_engine.languages import AUTO
from stt_engine.native_errors import native_errors
from stt_engine.protocol import (
    LoadJob,
    LoadResult,
    OnShared,
    Operations,
    Provenance,
    ResumePosition,
    Task,
    TranscribeJob,
    TranscribeSteps,
)
from stt_engine.speech import SAMPLE_RATE
from stt_engine.version import __version__

PIECE_SEC = 120.0
"""Longest piece in which speech is detected at once: half a second of work, 8 MB."""

_CUT_WITHIN_SEC = 30.0
_QUIET_WINDOW_SEC = 0.5

_AHEAD = 3
"""Pieces in which speech is detected before they are needed: a step may ask for two (a long call
took 4 % longer with one ahead)."""

_CHECKED = 3
"""Chunks of a piece, the longest, whose language is detected: all of them would cost 5 %."""

_DETECTOR = ThreadPoolExecutor(1, "speech")
"""Detects speech while the model is busy with what was found before."""

Raw = npt.NDArray[np.int16]
Spans = list[SpeechSpan]


def _ignore(_jobs: list[int]) -> None:
    pass


def model_operations(load: Callable[[LoadJob], Model], on_shared: OnShared = _ignore) -> Operations:
    """Return a backend's operations: ``load`` keeps the model, ``transcribe`` uses it.

    ``on_shared`` is called with the jobs that share a step, before they do.
    """
    kept: list[tuple[DynamicBatcher, Model, Provenance]] = []

    def run_load(job: LoadJob) -> LoadResult:
        kept.clear()
        model = load(job)
        facts = {**job["facts"], **model.facts, "engine_version": __version__}
        if not model.multilingual:
            facts["language_check_reason"] = "this model knows English only"
        kept.append((DynamicBatcher(model, on_shared), model, facts))
        return {"kind": "loaded"}

    def run_transcribe(job: TranscribeJob, number: int) -> TranscribeSteps:
        batcher, model, facts = kept[0]
        return recognise(model, facts, job, batcher, number)

    return {"load": run_load, "transcribe": run_transcribe}


@dataclass(frozen=True, slots=True)
class Position:
    """How far a job is: everything before ``sample`` of ``channel`` in this ``task`` is done."""

    task: Task
    channel: int
    sample: int


def recognise(
    model: Model,
    facts: Provenance,
    job: TranscribeJob,
    batcher: DynamicBatcher | None = None,
    number: int = 0,
) -> TranscribeSteps:
    """Recognise every channel of a decoded recording, one chunk of speech a step, in time's order.

    Each step brings what was recognised in it and the position (:class:`Position`) that it ends at;
    a job with ``resume`` continues from those of its channels. The first step names the model.
    ``batcher`` batches the chunks of other jobs of the same model with those of this one.
    """
    _check_language(model, job["language"])
    batcher = batcher or DynamicBatcher(model, _ignore)
    stream = JobStream(
        _Run(model, job).items(),
        number,
        single=job["single"],
        background=job["background"],
        eager=job["eager"],
    )
    with batcher.joined(stream):
        yield {"kind": "model", "provenance": facts}
        for item in batcher.items(stream):
            languages, facts = languages_of(model, item)
            yield step_of(item, batcher.ready(), languages, facts)
    return {"kind": "transcribed"}


def _check_language(model: Model, language: str) -> None:
    if not model.multilingual and language not in {"en", AUTO}:
        raise LanguageNotSupported(
            f"this model knows English only and was asked for '{language}'; use a multilingual one"
        )


@dataclass
class _Run:
    """One job on its way through the channels and pieces, in which it detects chunks of speech."""

    model: Model
    job: TranscribeJob
    language: str | None = field(init=False)
    resume: ResumePosition | None = field(init=False)
    hints: Hints = field(init=False)

    def __post_init__(self) -> None:
        at = self.resume = self.job["resume"]
        asked = self.job["language"]
        fixed = asked if self.model.multilingual else "en"
        self.hints = Hints(self.job["prompt"], tuple(self.job["keywords"]))
        free = asked == AUTO and self.model.multilingual
        self.language = (at and at["language"]) if free else fixed

    def items(self) -> Iterator[WorkItem]:
        yield from self._task("transcribe")
        if self.job["translate"] and self.language != "en":  # English needs no translation
            yield from self._task("translate")

    def _task(self, task: Task) -> Iterator[WorkItem]:
        """Yield the items of all channels, those first that begin first."""
        files = [Path(name) for name in self.job["files"]]
        done = [self._done(task, channel) for channel in range(len(files))]
        todo = [list(_pieces_of(channel, files, done[channel])) for channel in range(len(files))]
        detection = _Detection(todo)
        channels = [
            self._channel(Position(task, channel, done[channel] or 0), todo[channel], detection)
            for channel in range(len(files))
        ]
        return merge(*channels, key=_begin)

    def _channel(
        self, at: Position, todo: list[_Piece], detection: _Detection
    ) -> Iterator[WorkItem]:
        """Yield what is left of a channel: the chunks of each piece, and its end."""
        for piece in todo:
            raw, spans = detection.found(piece)
            yield from self._piece(raw, spans, at, piece.start)
            detects = piece is not todo[-1] or self.job["translate"]
            yield WorkItem(
                at.task,
                at.channel,
                piece.end,
                self.language,
                facts=vad.facts(),
                detection_follows=detects,
            )

    def _done(self, task: Task, channel: int) -> int | None:
        """Return the samples of a channel that are done already; ``None``: all of them."""
        at = self.resume
        if at is None or (at["task"], task) == ("transcribe", "translate"):
            return 0
        return at["samples"][channel] if at["task"] == task else None

    def _piece(self, raw: Raw, spans: Spans, at: Position, offset: int) -> Iterator[WorkItem]:
        """Yield each chunk of speech in it that is not behind the position."""
        by_length = sorted(spans, key=lambda span: span.start - span.end)
        for span in spans:
            start, end, voiced = span
            if offset + end > at.sample:
                language = self.language = self.language or self._detected(raw, spans)
                yield WorkItem(
                    at.task,
                    at.channel,
                    offset + end,
                    language,
                    (offset + start) / SAMPLE_RATE,
                    SpeechChunk(
                        _samples(raw[start:end]),
                        language,
                        at.task,
                        self.job["words"],
                        tuple(
                            ((a - start) / SAMPLE_RATE, (b - start) / SAMPLE_RATE)
                            for a, b in voiced
                        ),
                        language_check=span in by_length[:_CHECKED],
                        hints=self.hints if at.task == "transcribe" else NO_HINTS,
                        temperature=self.job["temperature"],
                    ),
                    longest=span is by_length[0],
                )

    def _detected(self, raw: Raw, spans: Spans) -> str:
        """Detect the language of the longest chunk: a short "yes" says little about it."""
        start, end, _ = max(spans, key=lambda span: span.end - span.start)
        with native_errors():
            chances = self.model.detect(_samples(raw[start:end]))
        return max(chances, key=chances.__getitem__)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Samples of a channel in which speech is detected at once."""

    channel: int
    files: Sequence[Path]
    start: int
    end: int

    def with_spans(self) -> tuple[Raw, Spans]:
        """Read it (what is mapped counts as memory, and a long call would grow) and detect."""
        read = [
            np.fromfile(file, "<i2", self.end - self.start, offset=2 * self.start)
            for file in self.files
        ]
        raw = read.pop(self.channel)
        return raw, speech_spans(_samples(raw), list(map(_samples, read)))


def _pieces_of(channel: int, files: Sequence[Path], done: int | None) -> Iterator[_Piece]:
    """Yield what is left of a channel of which so many samples are done (``None``: all)."""
    if done is not None:
        for start, end in pieces(np.memmap(files[channel], dtype="<i2", mode="r")):
            if end > done:
                yield _Piece(channel, files, start, end)


class _Detection:
    """The speech of pieces, detected ahead in the order in which channels come to need it."""

    def __init__(self, todo: list[list[_Piece]]) -> None:
        self._rest = iter(sorted((one for pieces in todo for one in pieces), key=_place))
        self._ahead: dict[tuple[int, int], Future[tuple[Raw, Spans]]] = {}

    def found(self, piece: _Piece) -> tuple[Raw, Spans]:
        """Return the samples of a piece and its speech; that of the next ones comes meanwhile."""
        with native_errors():
            while len(self._ahead) <= _AHEAD or _place(piece) not in self._ahead:
                one = next(self._rest, None)
                if one is None:
                    break
                self._ahead[_place(one)] = _DETECTOR.submit(one.with_spans)
            return self._ahead.pop(_place(piece)).result()


def _place(piece: _Piece) -> tuple[int, int]:
    return piece.start, piece.channel


def _begin(item: WorkItem) -> float:
    """Return the second at which a chunk begins, or at which a piece ends."""
    return item.sample / SAMPLE_RATE if item.chunk is None else item.offset_sec


def _samples(raw: Raw) -> Samples:
    return raw.astype(np.float32) / 32768.0


def pieces(samples: Raw, limit_sec: float = PIECE_SEC) -> Iterator[tuple[int, int]]:
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


def _quietest(samples: Raw, low: int, high: int) -> int:
    window = int(_QUIET_WINDOW_SEC * SAMPLE_RATE)
    chunk = np.abs(samples[low:high].astype(np.float32))
    usable = len(chunk) // window * window
    energy = chunk[:usable].reshape(-1, window).mean(axis=1)
    return low + int(energy.argmin()) * window + window // 2
