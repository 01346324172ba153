"""What a check tells its observers besides failures and the outcome."""

from __future__ import annotations

from dataclasses import dataclass

from api_server.compliance.findings import Status
from stt_engine.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricLoaded(Event):
    """The rubric's files changed, and what they say is in force."""

    version: str
    elements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricRefused(Event):
    """The rubric's files cannot be used; the rubric of that version stays in force."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStarted(Event):
    """A transcript of so many segments is to be checked for so many elements."""

    rubric_version: str
    elements: int
    segments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingUnproved(Event):
    """An answer does not show that the whole call was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteRejected(Event):
    """A quote of so many characters was not accepted as proof."""

    element: str
    reason: str
    chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TiersDisagreed(Event):
    """The rules and the agent do not agree on an element."""

    element: str
    rules: Status | None
    llm: Status | None
