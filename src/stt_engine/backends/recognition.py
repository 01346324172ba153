"""What all backends share: channels, pieces of bounded length, languages, gates, merging.

A backend only hears stretches of speech (:class:`stt_engine.backends.model.Model`). They are looked
for in pieces, which keep memory flat however long the call is; pieces are cut at the quietest
moment near the limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stt_engine.backends import openvino_vad
from stt_engine.backends.hearing import Hearing, Item, Listener, Tell
from stt_engine.backends.loops import is_suspect, looped
from stt_engine.backends.model import LATE_SEC, Heard, Model, Said, Stretch
from stt_engine.backends.native import native_errors
from stt_engine.backends.vad import Samples, speech_spans
from stt_engine.errors import LanguageNotSupported
from stt_engine.speech import AUTO, SAMPLE_RATE
from stt_engine.version import __version__

PIECE_SEC = 120.0
"""Longest stretch in which speech is looked for at once: half a second of work, 8 MB."""

_CUT_WITHIN_SEC = 30.0
_QUIET_WINDOW_SEC = 0.5

_AHEAD = 3
"""Pieces that are looked at before they are needed: a step may ask for two (a long call took 4 %
longer with one ahead)."""

_LOOKING = ThreadPoolExecutor(1, "speech")
"""Looks for speech while the model is busy with what was found before."""

_NO_WORDS = frozenset({"perhaps_no_speech", "low_probability"})
"""Doubts whether there are words: what repeats itself when it is heard again was not said."""

Raw = npt.NDArray[np.int16]
Ranges = list[tuple[int, int]]
Facts = dict[str, Any]
Steps = Generator[Facts, None, Facts]


def _unheard(_jobs: list[int]) -> None:
    pass


def model_operations(
    load: Callable[[Facts], Model], tell: Tell = _unheard
) -> dict[str, Callable[[Facts], Facts | Steps]]:
    """Give a backend's operations: ``load`` keeps the model, ``transcribe`` uses it.

    ``tell`` is told which jobs share a step, before they do.
    """
    kept: list[tuple[Hearing, Model, Facts]] = []

    def run_load(job: Facts) -> Facts:
        kept.clear()
        model = load(job)
        facts = {**job["facts"], **model.facts, "engine_version": __version__}
        kept.append((Hearing(model, tell), model, facts))
        return {}

    def run_transcribe(job: Facts) -> Steps:
        hearing, model, facts = kept[0]
        return recognise(model, facts, job, hearing)

    return {"load": run_load, "transcribe": run_transcribe}


@dataclass(frozen=True, slots=True)
class Place:
    """How far a job is: everything before ``sample`` of ``channel`` in this ``task`` is done."""

    task: str
    channel: int
    sample: int


def recognise(model: Model, facts: Facts, job: Facts, hearing: Hearing | None = None) -> Steps:
    """Recognise every channel of a decoded recording, one stretch of speech a step.

    Each step gives what was heard in it and the place (:class:`Place`) that it ends at; a job with
    ``resume`` goes on from such a place. ``provenance`` in the first step says who listens.
    ``hearing`` is where other jobs are heard by the same model.
    """
    _check_language(model, job["language"])
    hearing = hearing or Hearing(model, _unheard)
    listener = Listener(_Run(model, job).items(), job.get("job", 0), alone=job.get("alone", False))
    with hearing.joined(listener):
        yield {"provenance": facts}
        for item in hearing.items(listener):
            yield {**_told(item, job), "ready": hearing.ready()}
    return {}


def _check_language(model: Model, language: str) -> None:
    if not model.multilingual and language not in {"en", AUTO}:
        raise LanguageNotSupported(
            f"this model knows English only and was asked for '{language}'; use a multilingual one"
        )


@dataclass
class _Run:
    """One job on its way through the channels and pieces, looking for what is to be heard."""

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

    def items(self) -> Iterator[Item]:
        for task in ("transcribe", "translate") if self.job["translate"] else ("transcribe",):
            if task == "transcribe" or self.language != "en":  # English needs no translation
                yield from self._task(task)

    def _task(self, task: str) -> Iterator[Item]:
        done = [self._done(task, channel) for channel in range(len(self.job["files"]))]
        todo = [
            piece
            for channel, name in enumerate(self.job["files"])
            for piece in _pieces_of(channel, Path(name), done[channel])
        ]
        for piece, raw, spans in _with_spans(todo):
            at = Place(task, piece.channel, done[piece.channel] or 0)
            yield from self._piece(raw, spans, at, piece.start)
            facts, looks = openvino_vad.facts(), piece is not todo[-1] or self.job["translate"]
            yield Item(task, piece.channel, piece.end, self.language, facts=facts, looks=looks)

    def _done(self, task: str, channel: int) -> int | None:
        """Give the samples of a channel that are done already; ``None``: all of them."""
        at = self.resume
        if at is None or (at.task, task) == ("transcribe", "translate"):
            return 0
        if at.task != task or channel < at.channel:
            return None
        return at.sample if channel == at.channel else 0

    def _piece(self, raw: Raw, spans: Ranges, at: Place, offset: int) -> Iterator[Item]:
        """Give each stretch of speech in it that is not behind the place."""
        for start, end in spans:
            if offset + end > at.sample:
                language = self.language = self.language or self._detected(raw, spans)
                yield Item(
                    at.task,
                    at.channel,
                    offset + end,
                    language,
                    (offset + start) / SAMPLE_RATE,
                    Stretch(_samples(raw[start:end]), language, at.task, self.job["words"]),
                )

    def _detected(self, raw: Raw, spans: Ranges) -> str:
        """Listen to the longest stretch: a short "yes" tells little about its language."""
        start, end = max(spans, key=lambda span: span[1] - span[0])
        with native_errors():
            return self.model.detect(_samples(raw[start:end]))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Samples of a channel in which speech is looked for at once."""

    channel: int
    file: Path
    start: int
    end: int

    def with_spans(self) -> tuple[Raw, Ranges]:
        """Read it (what is mapped counts as memory, and a long call would grow), and look."""
        raw = np.fromfile(self.file, "<i2", self.end - self.start, offset=2 * self.start)
        return raw, speech_spans(_samples(raw))


def _pieces_of(channel: int, file: Path, done: int | None) -> Iterator[_Piece]:
    """Give what is left of a channel of which so many samples are done (``None``: all)."""
    if done is not None:
        for start, end in pieces(np.memmap(file, dtype="<i2", mode="r")):
            if end > done:
                yield _Piece(channel, file, start, end)


def _with_spans(todo: list[_Piece]) -> Iterator[tuple[_Piece, Raw, Ranges]]:
    """Give each piece with its speech; the next ones are looked at meanwhile."""
    ahead: deque[Future[tuple[Raw, Ranges]]] = deque()
    for at, piece in enumerate(todo):
        with native_errors():
            for one in todo[at + len(ahead) : at + 1 + _AHEAD]:
                ahead.append(_LOOKING.submit(one.with_spans))
            found = ahead.popleft().result()
        yield piece, *found


def _samples(raw: Raw) -> Samples:
    return raw.astype(np.float32) / 32768.0


def _told(item: Item, job: Facts) -> Facts:
    """Give what one step brings, as the parent is told it."""
    place = {"task": item.task, "channel": item.channel, "sample": item.sample}
    step = {**place, "language": item.language}
    if item.stretch is None:
        return {**step, "facts": dict(item.facts)}
    said = item.said or Said()
    judged = _judged(said, item, item.stretch.seconds, job)
    doubts = {"doubts": list(said.doubts)} if said.doubts else {}
    facts = {"facts": dict(said.facts)} if said.facts else {}
    return {**step, "speech_sec": item.stretch.seconds, **judged, **doubts, **facts}


def _judged(said: Said, item: Item, seconds: float, job: Facts) -> Facts:
    """Take what was heard in a stretch of so many seconds, and name what is rejected and why."""
    found = [heard for heard in said.segments if heard.text.strip()]
    loops = looped([heard.text for heard in found])
    if _NO_WORDS.intersection(said.doubts) and is_suspect(" ".join(heard.text for heard in found)):
        loops = set(range(len(found)))
    segments, rejected = [], []
    for at, one in enumerate(found):
        reason = "impossible_times" if one.start > seconds + LATE_SEC else None
        reason = "repetition_loop" if at in loops else reason
        heard = one.within(seconds).moved(item.offset_sec)
        if reason:
            place = {"start": heard.start, "end": heard.end, "channel": item.channel}
            rejected.append({**place, "reason": reason})
        else:
            segments.append(_described(heard, item.channel, job))
    return {"segments": segments, "rejected": rejected}


def _described(heard: Heard, channel: int, job: Facts) -> Facts:
    agent = channel == job["agent_channel"]
    return {
        "start": round(heard.start, 3),
        "end": round(heard.end, 3),
        "text": heard.text.strip(),
        "channel": channel,
        "speaker": ("agent" if agent else "customer") if len(job["files"]) > 1 else None,
        "confidence": None if heard.confidence is None else round(heard.confidence, 4),
        "words": heard.words,
    }


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
    stretch = np.abs(samples[low:high].astype(np.float32))
    usable = len(stretch) // window * window
    energy = stretch[:usable].reshape(-1, window).mean(axis=1)
    return low + int(energy.argmin()) * window + window // 2
