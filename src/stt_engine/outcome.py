"""The one failure mechanism: Failure, Outcome, Attempts, and the events they emit.

Every stage that can fall back has the same shape::

    attempts = Attempts(Stage.STT, observers)
    for backend in backends:
        with attempts.of(backend.name):
            return attempts.settle(backend.transcribe(request), backend.name)
    return attempts.settle(silence(request), DUMMY)

``Attempts.of`` folds an ``Exception`` into a :class:`Failure`; cancellation and Ctrl-C
(``BaseException``) pass through and count as nothing. Logging, metrics and health are observers
of the same :class:`Event`, so no path can forget one.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, Literal, TypeVar

from stt_engine.errors import EngineError, NotApplicable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

DUMMY = "dummy"
REJECTED = "rejected"
"""``source`` of the event of an error that is the caller's own and goes back to him."""

_NOTHING: Mapping[str, object] = MappingProxyType({})


class Stage(StrEnum):
    """Where in a call an event belongs; also the ``stage`` label of the metrics."""

    AUDIO = "audio"
    LOAD = "load"
    STT = "stt"
    AGENT = "agent"
    VALIDATION = "validation"
    TRANSCRIBE = "transcribe"
    CIRCUIT = "circuit"
    HEALTH = "health"
    FETCH = "fetch"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that failed. ``elapsed_sec`` is wall-clock seconds."""

    stage: Stage
    source: str
    error_type: str
    message: str
    elapsed_sec: float
    skipped: bool = False
    """True where the source could not take part at all (library or model format absent)."""
    unexpected: bool = False
    """True where the exception is outside the taxonomy: a defect of this project."""
    trace: str | None = None
    error: BaseException | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, exc: BaseException, stage: Stage, source: str, elapsed_sec: float) -> Failure:
        """Describe ``exc`` in the taxonomy's terms."""
        expected = isinstance(exc, EngineError)
        return cls(
            stage=stage,
            source=source,
            error_type=getattr(exc, "error_type", type(exc).__name__),
            message=str(exc) or type(exc).__name__,
            elapsed_sec=elapsed_sec,
            skipped=isinstance(exc, NotApplicable),
            unexpected=not expected,
            trace=None if expected else _trace_of(exc),
            error=exc,
        )


def _trace_of(exc: BaseException) -> str:
    """Give the traceback; an exception from a child process brings its own along."""
    brought = getattr(exc, "trace", None)
    return brought if isinstance(brought, str) else "".join(traceback.format_exception(exc))


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T_co]):
    """A value that is always there, where it came from, and every failure on the way."""

    value: T_co
    source: str
    failures: tuple[Failure, ...] = ()
    elapsed_sec: float = 0.0

    @property
    def is_dummy(self) -> bool:
        """True where no source could answer and ``value`` says nothing."""
        return self.source == DUMMY

    @property
    def cause(self) -> Failure | None:
        """The failure to name to the caller: the first one by a source that could take part."""
        real = [failure for failure in self.failures if not failure.skipped]
        return next(iter(real or self.failures), None)


Kind = Literal["started", "failed", "settled", "noted"]


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about a stage, as observers get it.

    ``started``: a source begins; ``failed``: one attempt failed (``failure``); ``settled``: the
    stage has its outcome (``outcome``); ``noted``: anything else, named by ``source``.
    """

    stage: Stage
    kind: Kind
    source: str
    elapsed_sec: float = 0.0
    failure: Failure | None = None
    outcome: Outcome[object] | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


Observer = Callable[[Event], None]


def emit(observers: Iterable[Observer], event: Event) -> None:
    """Tell every observer; one that breaks (a full disk, say) must not take the call with it."""
    for observer in observers:
        try:
            observer(event)
        except Exception:
            logging.getLogger("stt.Observer").exception("observer failed on %s", event.kind)


class Attempts:
    """Collects the failures of one stage of one call until it settles.

    Args:
        stage: which stage this is.
        observers: told of each failure and of the outcome.
        passes: exception types that are not this stage's failures and go straight to the caller.
        detail: facts repeated on every event (URL, language, ...).
    """

    def __init__(
        self,
        stage: Stage,
        observers: Iterable[Observer] = (),
        *,
        passes: tuple[type[Exception], ...] = (),
        detail: Mapping[str, object] = _NOTHING,
    ) -> None:
        self.stage = stage
        self.failures: list[Failure] = []
        self._observers = tuple(observers)
        self._passes = passes
        self._detail = detail
        self._began = time.monotonic()

    @contextmanager
    def of(self, source: str) -> Iterator[None]:
        """Run one attempt; an exception inside becomes a recorded failure."""
        began = time.monotonic()
        try:
            yield
        except self._passes as exc:
            detail = {"error_type": getattr(exc, "error_type", type(exc).__name__), "error": exc}
            self.tell("noted", REJECTED, detail=detail)
            raise
        except Exception as exc:
            self._failed(exc, source, time.monotonic() - began)

    def _failed(self, exc: Exception, source: str, elapsed_sec: float) -> None:
        """Record a failure; not in :meth:`of`, whose frame its traceback holds: a cycle."""
        failure = Failure.of(exc, self.stage, source, elapsed_sec)
        self.failures.append(failure)
        self.tell("failed", source, elapsed_sec=elapsed_sec, failure=failure)

    def settle(self, value: T, source: str, detail: Mapping[str, object] = _NOTHING) -> Outcome[T]:
        """Close the stage with ``value`` from ``source`` (:data:`DUMMY` where all failed)."""
        elapsed = time.monotonic() - self._began
        outcome = Outcome(value, source, tuple(self.failures), elapsed)
        self.tell("settled", source, elapsed_sec=elapsed, outcome=outcome, detail=detail)
        return outcome

    def tell(
        self,
        kind: Kind,
        source: str,
        *,
        elapsed_sec: float = 0.0,
        failure: Failure | None = None,
        outcome: Outcome[object] | None = None,
        detail: Mapping[str, object] = _NOTHING,
    ) -> None:
        """Emit one event of this stage."""
        facts = {**self._detail, **detail}
        emit(
            self._observers,
            Event(self.stage, kind, source, elapsed_sec, failure, outcome, facts),
        )
