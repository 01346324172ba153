"""The only orchestrator: recognise, then check; each stage may fail and the answer stays true."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import anyio
import anyio.to_thread

from api_server.services.admission import ADMITTED, GIVEN_UP, Admission, QueueFull
from api_server.services.coverage import coverage_of
from api_server.services.validator import Findings, IncompleteElementsValidator, Mask
from stt_engine.engine import WhisperSTT
from stt_engine.errors import AudioRejected, InvalidRequest
from stt_engine.outcome import DUMMY, Attempts, Failure, Observer, Outcome, Stage
from stt_engine.speech import Segment, SpeechRequest, Transcript, silence
from stt_engine.turns import CallCancelled, Ticket

COMPLETE, PARTIAL = "complete", "partial"

STT_STARTED, STT_OK, STT_FAILED, STT_CRASHED = "stt_started", "stt_ok", "stt_failed", "stt_crashed"
CHECK_STARTED, CHECK_OK, CHECK_FAILED = "check_started", "check_ok", "check_failed"

_CRASHES = {"WorkerDied"}


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Which agent checks the call, and how long it may take in seconds."""

    url: str
    request_format: Literal["prompt_based", "text_only"] = "prompt_based"
    timeout_sec: float = 30.0
    chat_thread_id: str | None = None

    def mapping(self) -> dict[str, str | None]:
        """Give it as the validator takes it."""
        return {
            "url": self.url,
            "format": self.request_format,
            "chat_thread_id": self.chat_thread_id,
        }


@dataclass(frozen=True, slots=True)
class Call:
    """One call to analyse. ``shown_path`` is the recording's name as the caller knows it."""

    speech: SpeechRequest
    shown_path: str
    agent: AgentConfig | None = None
    ticket: Ticket = field(default_factory=Ticket)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Both stages' outcomes. ``checked`` is ``None`` where no check was asked for or it broke."""

    heard: Outcome[Transcript]
    checked: Outcome[Findings] | None = None
    check_failure: Failure | None = None
    elapsed_sec: float = 0.0

    @property
    def check_degraded(self) -> bool:
        """True where a check was asked for and the agent gave nothing usable."""
        if self.check_failure is not None:
            return True
        return self.checked is not None and self.checked.value.agent.is_dummy


class CallAnalysis:
    """Runs calls through the stages.

    Args:
        stt: the recogniser.
        validator: the check.
        admission: who may wait.
        observers: told of every event.
        mask: hides personal data in the answer's text; a text that it fails on is withheld.
    """

    def __init__(
        self,
        stt: WhisperSTT,
        validator: IncompleteElementsValidator,
        admission: Admission,
        observers: Iterable[Observer],
        mask: Mask | None = None,
    ) -> None:
        self._stt = stt
        self._mask = mask
        self._validator = validator
        self._admission = admission
        self._observers = tuple(observers)

    async def run(self, call: Call) -> Analysis:
        """Analyse one call.

        Raises:
            AudioRejected: the recording cannot be used (the caller's mistake).
            InvalidRequest: a parameter has no meaning (the caller's mistake).
            QueueFull: too many calls wait, or it would have to wait too long.
            CallCancelled: its ticket was cancelled.
        """
        attempts = Attempts(
            Stage.TRANSCRIBE,
            self._observers,
            passes=(AudioRejected, InvalidRequest, QueueFull),
            detail={"path": call.shown_path},
        )
        with _telling_when_given_up(attempts):
            heard = await self._hear(call, attempts)
            checked = await self._check(call, call.agent, heard, attempts) if call.agent else None
        failure = next((one for one in attempts.failures if one.source == "check"), None)
        analysis = Analysis(heard, checked, failure)
        return _timed(attempts.settle(analysis, _grade(analysis)))

    async def _hear(self, call: Call, attempts: Attempts) -> Outcome[Transcript]:
        heard: Outcome[Transcript] = Outcome(silence(call.speech), DUMMY)
        with attempts.of("stt"), self._admission.place(call.ticket):
            attempts.tell("started", STT_STARTED)
            work = partial(self._recognise, call, attempts)
            heard = await anyio.to_thread.run_sync(work, limiter=self._admission.limiter)
        if attempts.failures:  # the chain itself broke: a defect of ours, told as a crash
            return Outcome(heard.value, DUMMY, tuple(attempts.failures))
        if self._mask is not None:
            heard = await _masked(heard, self._mask, call, attempts)
        attempts.tell("noted", _stt_result(heard), outcome=heard)
        return heard

    def _recognise(self, call: Call, attempts: Attempts) -> Outcome[Transcript]:
        """Recognise, in a thread: it waits for its turns there."""
        passes = (AudioRejected, InvalidRequest, QueueFull)
        heard = self._stt.recognise(call.speech, passes, ticket=call.ticket)
        attempts.tell("noted", ADMITTED, detail={"wait_sec": call.ticket.waited_sec})
        return heard

    async def _check(
        self, call: Call, agent: AgentConfig, heard: Outcome[Transcript], attempts: Attempts
    ) -> Outcome[Findings] | None:
        attempts.tell("noted", CHECK_STARTED)
        with attempts.of("check"):
            checked = await self._validator.check(
                heard.value.segments,
                agent.mapping(),
                timeout_sec=agent.timeout_sec,
                coverage=coverage_of(heard.value, call.speech.agent_channel),
            )
            attempts.tell("noted", CHECK_OK if checked.value.success else CHECK_FAILED)
            return checked
        return None


async def _masked(
    heard: Outcome[Transcript], mask: Mask, call: Call, attempts: Attempts
) -> Outcome[Transcript]:
    """Give the transcript without personal data; one that cannot be masked is a failure."""
    with attempts.of("redaction"):
        masked = await anyio.to_thread.run_sync(_without_personal_data, heard.value, mask)
        return replace(heard, value=masked)
    dummy = silence(call.speech, heard.value.duration)
    return Outcome(dummy, DUMMY, (*heard.failures, *attempts.failures))


def _without_personal_data(heard: Transcript, mask: Mask) -> Transcript:
    found = mask(heard.segments)
    (english,) = mask([Segment(0, 0.0, 0.0, heard.text_en)]).segments
    return replace(
        heard,
        text=" ".join(segment.text for segment in found.segments),
        text_en=english.text,
        segments=found.segments,
        provenance={**heard.provenance, "masked": dict(found.counts)},
    )


@contextmanager
def _telling_when_given_up(attempts: Attempts) -> Iterator[None]:
    try:
        yield
    except (CallCancelled, anyio.get_cancelled_exc_class()):
        attempts.tell("noted", GIVEN_UP)
        raise


def _stt_result(heard: Outcome[Transcript]) -> str:
    if not heard.is_dummy:
        return STT_OK
    cause = heard.cause
    crashed = cause is not None and (cause.unexpected or cause.error_type in _CRASHES)
    return STT_CRASHED if crashed else STT_FAILED


def _grade(analysis: Analysis) -> str:
    if analysis.heard.is_dummy:
        return DUMMY
    return PARTIAL if analysis.check_degraded else COMPLETE


def _timed(outcome: Outcome[Analysis]) -> Analysis:
    found = outcome.value
    return Analysis(found.heard, found.checked, found.check_failure, outcome.elapsed_sec)
