"""What calls to other servers tell their observers besides failures and outcomes."""

from __future__ import annotations

from dataclasses import dataclass

from stt_engine.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitChanged(Event):
    """A circuit breaker changed its state (``what``: TRANSITIONS), or refused a call.

    ``retry_after`` is in seconds; ``None``: not before somebody releases it. ``slow`` counts the
    slow calls that opened it.
    """

    target: str
    what: str
    failures: int
    retry_after: float | None
    cause: str | None = None
    slow: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCallStarted(Event):
    """An agent is to be asked; the URL without user and query."""

    url: str
    request_format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCallRetried(Event):
    """A call that was certainly not carried out is made again."""

    retry: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAnswerRepaired(Event):
    """An answer in a wrong form is asked for once more; ``refused`` says what was wrong."""

    refused: str
