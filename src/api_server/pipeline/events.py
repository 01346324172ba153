"""What a call on its way tells its observers besides failures and the outcome."""

from __future__ import annotations

from dataclasses import dataclass

from stt_engine.events import Event
from stt_engine.outcome import Outcome
from stt_engine.speech import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Event):
    """A call was let in; ``path`` is its recording's name as the caller knows it."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageHangs(Event):
    """A place from which recordings come gives no answer."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageAnswers(Event):
    """A place that gave no answer gives some again."""

    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallServed(Event):
    """A call has had all of its turns, and waited so many seconds for them."""

    wait_sec: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallGivenUp(Event):
    """The caller hung up, and the work was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptReady(Event):
    """Recognition is over; a dummy where it failed."""

    outcome: Outcome[Transcript]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequested(Event):
    """The transcript goes on to the check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReady(Event):
    """The check is over; ``success`` where a healthy agent analysed the call."""

    success: bool
