"""What observers are told: one frozen dataclass for each fact.

Who, what, which call, numbers as numbers. Log lines, metrics and health are tables over these types
(:class:`stt_engine.log.Line`), so that a fact is written down once and no table is known to whoever
emits it. What belongs to one room only is declared there, as a subclass of :class:`Event`; what
every stage has (a failed attempt, the outcome) is beside :class:`stt_engine.outcome.Attempts`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from stt_engine.warnings import AnswerWarning

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the call in hand; events and JSON log lines carry it."""


class Stage(StrEnum):
    """Where in a call an event belongs; also the ``stage`` label of the metrics."""

    AUDIO = "audio"
    LOAD = "load"
    STT = "stt"
    SPEAKERS = "speakers"
    AGENT = "agent"
    VALIDATION = "validation"
    TRANSCRIBE = "transcribe"
    HEALTH = "health"
    FETCH = "fetch"
    WORKER = "worker"
    JOB = "job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact. ``call_id`` is that of the call in hand, if there is one."""

    call_id: str | None = field(default_factory=request_id.get)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStarted(Event):
    """A backend begins to load a model folder."""

    backend: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionStarted(Event):
    """A recording is to be recognised."""

    path: Path
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionProgressed(Event):
    """A backend has recognised one of ``channels`` up to ``done_sec`` seconds.

    Whatever is still to come of any channel begins at ``settled_sec`` or later. ``heard`` is what
    it made of it since: the start of each segment, in seconds, and its text. A fallback may still
    say it anew, and a translation is not in it.
    """

    backend: str
    channel: int
    done_sec: float
    settled_sec: float = 0.0
    heard: tuple[tuple[float, str], ...] = ()
    channels: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerWarned(Event):
    """An answer has a warning for whoever reads it."""

    stage: Stage
    warning: AnswerWarning


WorkerChange = Literal["started", "ended", "closed", "recycled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerChanged(Event):
    """A child process was started, has ended by itself or failed, was closed, or was replaced."""

    role: str
    what: WorkerChange
    pid: int


UnloadReason = Literal["idle", "room"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUnloaded(Event):
    """A model was unloaded: nobody used it for long (``idle``), or others need its memory."""

    model: str
    reason: UnloadReason


Observer = Callable[[Event], None]


def emit(observers: Iterable[Observer], event: Event) -> None:
    """Hand ``event`` to every observer; one that breaks (a full disk) must not end the call."""
    for observer in observers:
        try:
            observer(event)
        except Exception:
            logging.getLogger("stt.Observer").exception(
                "observer failed on %s", type(event).__name__
            )
