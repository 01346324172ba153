"""The only orchestrator: recognise, then check; each stage may fail and the answer stays true."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import anyio
import anyio.to_thread

from api_server.clients.agent.types import RequestFormat
from api_server.clients.errors import LlmPostponed
from api_server.compliance.coverage import measure_coverage
from api_server.compliance.live_validator import LiveValidator
from api_server.compliance.validator import IncompleteElementsValidator
from api_server.pii.redaction import RedactionResult
from api_server.pipeline.admission import Admission, BackgroundPlace, Place, QueueFull
from api_server.pipeline.events import (
    CallGivenUp,
    CallServed,
    CallStarted,
    CheckReady,
    CheckRequested,
    TranscriptReady,
)
from api_server.pipeline.result import CallResult, CheckResult
from stt_engine.call import CallCancelled, CallContext
from stt_engine.engine import WhisperSTT
from stt_engine.errors import AudioRejected, InvalidRequest
from stt_engine.events import Observer, Stage, request_id
from stt_engine.outcome import DUMMY, Attempts, Outcome
from stt_engine.speech import KnownVoice, Segment, SpeechRequest, Transcript, silence
from stt_engine.warnings import warning

COMPLETE, PARTIAL = "complete", "partial"

MASKED = "masked"
"""In the provenance: how many entities of each type this server has masked in the transcript."""

_ENGINE_REFUSALS: tuple[type[Exception], ...] = (AudioRejected, InvalidRequest)
Masking = Callable[[tuple[Segment, ...]], Awaitable[RedactionResult]]
"""Masks personal data in segments without changing their length."""

Enrolled = Callable[[str], Awaitable[tuple[KnownVoice, ...]]]
"""Returns the voices that the call of an id is compared with; the log has that before."""

REFUSALS = (*_ENGINE_REFUSALS, QueueFull)
"""Errors that go to the caller instead of making a dummy."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Which agent checks the call, and how long it may take in seconds."""

    url: str
    request_format: RequestFormat = "prompt_based"
    timeout_sec: float = 30.0
    chat_thread_id: str | None = None

    def mapping(self) -> dict[str, str | None]:
        """Return it as the validator takes it."""
        return {
            "url": self.url,
            "format": self.request_format,
            "chat_thread_id": self.chat_thread_id,
        }


def _new_context() -> CallContext:
    """Return the context of a call that begins now; it has the id of its HTTP request, if any."""
    identity = request_id.get()
    return CallContext(identity) if identity else CallContext()


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """One call to analyse. ``shown_path`` is the recording's name as the caller knows it."""

    speech: SpeechRequest
    shown_path: str
    agent: AgentConfig | None = None
    context: CallContext = field(default_factory=_new_context)


class CallAnalysis:
    """Runs calls through the stages.

    Args:
        stt: the recogniser.
        validator: the check.
        admission: who may wait.
        observers: called with every event.
        mask: hides personal data in the answer's text; a text that it fails on is withheld.
        enrolled: the voices of agents that every call is compared with.
    """

    def __init__(
        self,
        stt: WhisperSTT,
        validator: IncompleteElementsValidator | LiveValidator,
        admission: Admission,
        observers: Iterable[Observer],
        mask: Masking | None = None,
        enrolled: Enrolled | None = None,
    ) -> None:
        self._stt = stt
        self._enrolled = enrolled
        self._mask = mask
        self._validator = validator
        self._admission = admission
        self._observers = tuple(observers)

    async def run(self, call: AnalysisRequest) -> CallResult:
        """Recognise, and check where that is asked for.

        Raises:
            AudioRejected: the recording cannot be used (the caller's mistake).
            InvalidRequest: a parameter has no meaning (the caller's mistake).
            QueueFull: too many calls wait, or it would have to wait too long.
            CallCancelled: nobody waits for it any more.
        """
        attempts = self._attempts(call)
        with _reporting_hang_up(call, attempts):
            recognition = await self._recognise(call, attempts)
            check = (
                await self._check(call, call.agent, recognition, attempts) if call.agent else None
            )
        return _settled(attempts, CallResult(recognition, check))

    async def recognise(self, call: AnalysisRequest) -> Outcome[Transcript]:
        """Recognise only; raises as :meth:`run` does."""
        attempts = self._attempts(call)
        with _reporting_hang_up(call, attempts):
            recognition = await self._recognise(call, attempts)
        return _settled(attempts, CallResult(recognition)).recognition

    async def check(
        self,
        call: AnalysisRequest,
        agent: AgentConfig,
        recognition: Outcome[Transcript],
        postponed: LlmPostponed | None = None,
    ) -> CheckResult:
        """Check only, what :meth:`recognise` gave now or long ago; ``postponed``: by rules alone.

        Raises:
            InvalidRequest: the agent cannot be asked that way (the caller's mistake).
        """
        attempts = self._attempts(call)
        with _reporting_hang_up(call, attempts):
            check = await self._check(call, agent, recognition, attempts, postponed)
        _settled(attempts, CallResult(recognition, check))
        return check

    def _attempts(self, call: AnalysisRequest) -> Attempts:
        return Attempts(
            Stage.TRANSCRIBE, self._observers, propagate=REFUSALS, subject=call.shown_path
        )

    async def _recognise(self, call: AnalysisRequest, attempts: Attempts) -> Outcome[Transcript]:
        found: Outcome[Transcript] = Outcome(silence(call.speech), DUMMY)
        with attempts.of("stt"), self._admission.place(call.context) as place:
            attempts.emit(CallStarted(path=call.shown_path))
            known, unknown = await self._known(call)
            work = partial(self._transcribe, call, known, place, attempts)
            limiter = self._admission.limiter_of(call.context)
            found = await anyio.to_thread.run_sync(work, limiter=limiter)
        if attempts.failures:  # the chain itself broke: a defect of ours, logged as a crash
            return Outcome(found.value, DUMMY, tuple(attempts.failures))
        found = replace(found, value=_with_reason(found.value, unknown))
        if self._mask is not None:
            found = await _masked(found, self._mask, call, attempts)
        attempts.emit(TranscriptReady(outcome=found))
        return found

    async def _known(self, call: AnalysisRequest) -> tuple[tuple[KnownVoice, ...], str | None]:
        """Return the voices to compare the call with, and why there are none if that is a failure.

        A store that does not answer, or a log that cannot be written, fails no call.
        """
        if self._enrolled is None:
            return (), None
        attempts = Attempts(Stage.SPEAKERS, self._observers, subject=call.shown_path)
        with attempts.of("enrolled"):
            return await self._enrolled(call.context.id), None
        failure = attempts.failures[-1]
        return (), f"{failure.error_type}: {failure.message}"

    def _transcribe(
        self,
        call: AnalysisRequest,
        known: tuple[KnownVoice, ...],
        place: Place | BackgroundPlace,
        attempts: Attempts,
    ) -> Outcome[Transcript]:
        """Transcribe, in a thread: it waits for its turns there."""
        speech = replace(call.speech, known=(*call.speech.known, *known))
        with _named(call):
            found = self._stt.recognise(
                speech, _ENGINE_REFUSALS, context=call.context, on_work=place.report
            )
        attempts.emit(CallServed(wait_sec=call.context.waited_sec))
        return found

    async def _check(
        self,
        call: AnalysisRequest,
        agent: AgentConfig,
        recognition: Outcome[Transcript],
        attempts: Attempts,
        postponed: LlmPostponed | None = None,
    ) -> CheckResult:
        attempts.emit(CheckRequested())
        transcript = recognition.value
        with attempts.of("check"):
            report = await self._validator.check(
                transcript.segments,
                agent.mapping(),
                timeout_sec=agent.timeout_sec,
                coverage=measure_coverage(transcript, call.speech.agent_channel),
                # Another server may have written the same: only where this one masks, it did.
                masked=_counts_of(transcript) if self._mask else None,
                postponed=postponed,
            )
            attempts.emit(CheckReady(success=report.value.success))
            return CheckResult(report)
        return CheckResult(failure=attempts.failures[-1])


async def _masked(
    recognition: Outcome[Transcript], mask: Masking, call: AnalysisRequest, attempts: Attempts
) -> Outcome[Transcript]:
    """Return the transcript without personal data; one that cannot be masked is a failure."""
    with attempts.of("redaction"):
        masked = await _without_personal_data(recognition.value, mask)
        return replace(recognition, value=masked)
    dummy = silence(call.speech, recognition.value.duration)
    # First, because it is the cause: what a backend met on the way was got over.
    return Outcome(dummy, DUMMY, (*attempts.failures, *recognition.failures))


def _with_reason(transcript: Transcript, unknown: str | None) -> Transcript:
    """Return the transcript, which says why it was compared with no enrolled voice."""
    if unknown is None:
        return transcript
    told = warning("speakers_failed", f"no enrolled voice was compared ({unknown})")
    return replace(transcript, warnings=(*transcript.warnings, told))


def _counts_of(transcript: Transcript) -> Mapping[str, int] | None:
    """Return what is written of masking in a transcript, by this server or by another."""
    return cast("Mapping[str, int] | None", transcript.provenance.get(MASKED))


async def _without_personal_data(transcript: Transcript, mask: Masking) -> Transcript:
    found = await mask(transcript.segments)
    whole = Segment(0, 0.0, transcript.duration, transcript.text_en)  # of a server without times
    english = (await mask(transcript.segments_en or (whole,))).segments
    return replace(
        transcript,
        text=" ".join(segment.text for segment in found.segments),
        text_en=" ".join(segment.text for segment in english),
        segments=found.segments,
        segments_en=english if transcript.segments_en else (),
        provenance={**transcript.provenance, MASKED: dict(found.counts)},
    )


@contextmanager
def _named(call: AnalysisRequest) -> Iterator[None]:
    """Have a refusal say what the caller calls the recording, not where it is."""
    try:
        yield
    except AudioRejected as exc:
        words = str(exc).replace(str(call.speech.path), call.shown_path)
        raise type(exc)(words) from exc


@contextmanager
def _reporting_hang_up(call: AnalysisRequest, attempts: Attempts) -> Iterator[None]:
    try:
        yield
    except (CallCancelled, anyio.get_cancelled_exc_class()):
        if not call.context.background:
            attempts.emit(CallGivenUp())
        raise


def _grade(result: CallResult) -> str:
    if result.recognition.is_dummy:
        return DUMMY
    return PARTIAL if result.check_degraded else COMPLETE


def _settled(attempts: Attempts, result: CallResult) -> CallResult:
    """Close the stage with what was done of the call, and return that with its time."""
    outcome = attempts.settle(result, _grade(result))
    return replace(result, elapsed_sec=outcome.elapsed_sec)
