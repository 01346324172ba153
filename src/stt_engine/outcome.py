"""The one failure mechanism: Failure, Outcome, Attempts, and the events they emit.

Every stage that can fall back has the same shape::

    attempts = Attempts(Stage.STT, observers)
    for backend in backends:
        with attempts.of(backend.name):
            return attempts.settle(backend.transcribe(request), backend.name)
    return attempts.settle(silence(request), DUMMY)

``Attempts.of`` folds an ``Exception`` into a :class:`Failure`; cancellation and Ctrl-C
(``BaseException``) pass through and count as nothing. Logging, metrics and health are observers
of the same events, so no path can forget one. A failure that is only kept, because somebody else
has reported it or will, is :func:`capture`'s.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from stt_engine.errors import EngineError, NotApplicable
from stt_engine.events import Event, Observer, Stage, emit

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

DUMMY = "dummy"
"""``source`` of an outcome that no source could give."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that failed, as plain data. ``elapsed_sec`` is wall-clock seconds."""

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

    @classmethod
    def of(cls, exc: BaseException, stage: Stage, source: str, elapsed_sec: float) -> Failure:
        """Describe ``exc`` in the taxonomy's terms."""
        expected = isinstance(exc, EngineError)
        return cls(
            stage=stage,
            source=source,
            error_type=error_type_of(exc),
            message=str(exc) or type(exc).__name__,
            elapsed_sec=elapsed_sec,
            skipped=isinstance(exc, NotApplicable),
            unexpected=not expected,
            trace=None if expected else _trace_of(exc),
        )


def error_type_of(exc: BaseException) -> str:
    """Return the name of an error that callers, logs and metrics are shown."""
    return str(getattr(exc, "error_type", type(exc).__name__))


def _trace_of(exc: BaseException) -> str:
    """Return the traceback; an exception from a child process brings its own along."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed(Event):
    """One source of a stage failed; ``error`` is what it raised."""

    failure: Failure
    error: Exception
    subject: str = ""

    @property
    def stage(self) -> Stage:
        """The stage that it is a failure of."""
        return self.failure.stage


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSettled(Event):
    """A stage has its outcome: a dummy's where no source could answer."""

    stage: Stage
    outcome: Outcome[object]
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Event):
    """An error that is the caller's own goes back to them; the stage has not failed."""

    stage: Stage
    error: Exception


class Attempts:
    """Collects the failures of one stage of one call until it settles.

    Args:
        stage: which stage this is.
        observers: told of each failure and of the outcome.
        propagate: exception types that are not this stage's failures and go to the caller.
        subject: what the stage is about (a path, a URL, a model), for the events.
    """

    def __init__(
        self,
        stage: Stage,
        observers: Iterable[Observer],
        *,
        propagate: tuple[type[Exception], ...] = (),
        subject: str = "",
    ) -> None:
        self.stage = stage
        self.failures: list[Failure] = []
        self.errors: list[Exception] = []
        """What was raised, failure by failure."""
        self._observers = tuple(observers)
        self._propagate = propagate
        self._subject = subject
        self._began = time.monotonic()

    @contextmanager
    def of(self, source: str) -> Iterator[None]:
        """Run one attempt; an exception inside becomes a recorded failure."""
        began = time.monotonic()
        try:
            yield
        except self._propagate as exc:
            self.emit(Refused(stage=self.stage, error=exc))
            raise
        except Exception as exc:
            self._failed(exc, source, time.monotonic() - began)

    def _failed(self, exc: Exception, source: str, elapsed_sec: float) -> None:
        """Record a failure; not in :meth:`of`, whose frame its traceback holds: a cycle."""
        failure = Failure.of(exc, self.stage, source, elapsed_sec)
        self.failures.append(failure)
        self.errors.append(exc)
        self.emit(AttemptFailed(failure=failure, error=exc, subject=self._subject))

    def settle(self, value: T, source: str) -> Outcome[T]:
        """Close the stage with ``value`` from ``source`` (:data:`DUMMY` where all failed)."""
        elapsed = time.monotonic() - self._began
        outcome = Outcome(value, source, tuple(self.failures), elapsed)
        self.emit(StageSettled(stage=self.stage, outcome=outcome, subject=self._subject))
        return outcome

    def emit(self, event: Event) -> None:
        """Hand ``event`` to this stage's observers."""
        emit(self._observers, event)


@dataclass(slots=True)
class Captured:
    """What :func:`capture` kept: the exception, if one was raised."""

    error: Exception | None = None

    @property
    def raised(self) -> Exception:
        """The exception, after a block that can only return or raise.

        Raises:
            LookupError: none was raised.
        """
        if self.error is None:
            raise LookupError("nothing was raised")
        return self.error


@contextmanager
def capture() -> Iterator[Captured]:
    """Try, and keep the exception instead of reporting it.

    For failures that somebody else reports: a probe's, those of a child process, whose parent
    does, or a look ahead whose next step fails the same way. Cancellation and Ctrl-C pass.
    """
    kept = Captured()
    try:
        yield kept
    except Exception as exc:
        _keep(kept, exc)


def _keep(kept: Captured, exc: Exception) -> None:
    """Keep ``exc``; not in :func:`capture`, whose frame its traceback holds: a cycle."""
    kept.error = exc
