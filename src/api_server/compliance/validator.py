"""The validator: checks a call for elements of an incomplete sale (불완전판매요소).

An LLM reviews the call, the rule tier matches fixed patterns, and
:mod:`api_server.compliance.verdicts` accepts of both only what the transcript proves. A failure
establishes nothing: where the LLM failed, elements stay undetermined.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from api_server.clients.errors import LlmPostponed
from api_server.compliance.coverage import FULL_COVERAGE, Coverage
from api_server.compliance.events import (
    CheckStarted,
    QuoteRejected,
    ReadingUnproved,
    TiersDisagreed,
)
from api_server.compliance.findings import (
    MIN_PRECISION,
    UNJUDGED,
    Finding,
    Reading,
    Reason,
    RuleFinding,
    RuleTier,
    precision_asked,
)
from api_server.compliance.llm_review import (
    Agent,
    LlmReview,
    ReviewLimits,
    build_base_request,
    build_postponed_review,
    build_withheld_review,
    review_call,
)
from api_server.compliance.model_card import RubricModelInvalid, Weighing, describe_weighing
from api_server.compliance.prompt import Prompt
from api_server.compliance.questions import Questions, elements_that_fit, plan_questions
from api_server.compliance.result import (
    ComplianceReport,
    ValidationResult,
    build_validation_result,
)
from api_server.compliance.rubric import Rubric, load_rubric
from api_server.compliance.text_tasks import (
    GivenCall,
    Judgement,
    Mask,
    PreparedCall,
    ReadCall,
    ReviewedCall,
    TextTasks,
)
from api_server.compliance.text_worker import (
    EXAMINE,
    JUDGE,
    PREPARE,
    WITHHOLD,
    TextInThread,
    TextRunner,
)
from api_server.compliance.verdicts import build_undetermined_findings
from stt_engine.errors import CallExpired, DeadlineExceeded, OutOfMemory, WorkerError
from stt_engine.events import AnswerWarned, Event, Observer, Stage
from stt_engine.outcome import Attempts, Outcome
from stt_engine.speech import Segment
from stt_engine.warnings import AnswerWarning, warning

__all__ = [
    "IncompleteElementsValidator",
    "ValidationResult",
    "get_incomplete_elements_validator",
]


_NONCE_BYTES = 16


def get_incomplete_elements_validator(
    agent_backend: Agent,
    rubric: Rubric | None = None,
    observers: Iterable[Observer] = (),
    *,
    rules: RuleTier | None = None,
    mask: Mask | None = None,
    mask_evidence: bool = False,
    limits: ReviewLimits | None = None,
) -> IncompleteElementsValidator:
    """Return a validator for ``rubric`` (default: the built-in one) that calls ``agent_backend``.

    It works on the text of a call in a thread of this process. ``rules`` are by default the
    rubric's own patterns and model; ``mask`` masks what is sent, and with ``mask_evidence`` what
    is shown.
    """
    # numpy takes 0.1 s, and of a server only a child process needs it
    from api_server.compliance.deterministic import DeterministicTier  # noqa: PLC0415

    rubric, limits = rubric or load_rubric(), limits or ReviewLimits()
    tasks = TextTasks(
        rubric,
        rules or DeterministicTier(rubric),
        mask,
        mask_evidence=mask_evidence,
        chunk_chars=limits.chunk_chars,
        max_elements=elements_that_fit(limits.max_tokens),
    )
    return IncompleteElementsValidator(
        agent_backend,
        rubric,
        observers,
        TextInThread(tasks),
        limits=limits,
        covers=tasks.rules_cover,
        weighing=None if rules else weighing_of(rubric),
    )


def weighing_of(rubric: Rubric, min_precision: float = MIN_PRECISION) -> Weighing | None:
    """Return how the findings of a rubric's rules are weighed; ``None`` where they are not."""
    asked = {one.id: precision_asked(one.kind, min_precision) for one in rubric.asked}
    return describe_weighing(rubric.model, min_precision, asked) if rubric.model else None


class IncompleteElementsValidator:
    """Checks calls against one rubric.

    Args:
        agent: the client of the LLM.
        rubric: the elements to check.
        observers: get the events of ``Stage.VALIDATION``.
        text: does what is done with the text of a call; if it fails to mask one, nothing is sent.
        limits: limits of the requests to the LLM.
        covers: the elements that it has rules for; by default those of the rubric's rules.
        weighing: how rules' findings are weighed; ``None`` where the rubric has no model.
    """

    def __init__(
        self,
        agent: Agent,
        rubric: Rubric,
        observers: Iterable[Observer],
        text: TextRunner,
        *,
        limits: ReviewLimits,
        covers: Sequence[str] | None = None,
        weighing: Weighing | None = None,
    ) -> None:
        self.rubric = rubric
        self.prompt = Prompt(rubric)
        self._agent = agent
        self._observers = tuple(observers)
        self._text = text
        self._limits = limits
        self._covers = rubric.ruled if covers is None else covers
        self._weighing = weighing

    async def validate(
        self,
        call_transcript: str | Sequence[Segment],
        agent_config: Mapping[str, str | None],
        timeout: float = 30,  # noqa: ASYNC109 - the original's name
        *,
        coverage: Coverage = FULL_COVERAGE,
    ) -> ValidationResult:
        """Check a call; a failure of the agent is in the result, not raised.

        Args:
            call_transcript: segments, or plain text with one utterance a line (``상담원:`` and
                ``고객:`` as a prefix name the speaker).
            agent_config: ``url``; optional ``format`` and ``chat_thread_id``.
            timeout: seconds for the LLM review.
            coverage: the share of speech that was transcribed; where it is too low, absence is
                not reported.

        Raises:
            InvalidRequest: ``agent_config`` has no URL or an unknown format.
        """
        outcome = await self.check(
            call_transcript, agent_config, timeout_sec=timeout, coverage=coverage
        )
        return build_validation_result(outcome)

    async def check(
        self,
        call_transcript: str | Sequence[Segment] | ReadCall,
        agent_config: Mapping[str, str | None],
        *,
        timeout_sec: float = 30,
        coverage: Coverage = FULL_COVERAGE,
        masked: Mapping[str, int] | None = None,
        postponed: LlmPostponed | None = None,
    ) -> Outcome[ComplianceReport]:
        """Check a call, as :meth:`validate`; the outcome's failures contain every cause.

        ``masked``: the segments are masked already, so many entities of each type. ``postponed``:
        why the LLM is not asked now; the rules alone judge.
        """
        request = build_base_request(self.prompt, agent_config, timeout_sec, self._limits)
        given = _read(call_transcript)
        attempts = self._begin(given)
        call = await self._prepare(given, masked, attempts)
        withheld = tuple(attempts.failures)
        rules, unruled = await self._examine(call, attempts)
        questions = self._plan(call, rules)
        prompt = self.prompt.about(questions.asked)
        if withheld:
            llm = build_withheld_review(withheld[0], request)
        elif postponed is not None:
            llm = build_postponed_review(postponed, request, len(call.texts))
        else:
            llm = await review_call(
                self._agent, prompt, request, self._limits, call.texts, questions.chunks
            )
            attempts.failures.extend(llm.answer.failures)  # already emitted by the agent's stage
        reviewed = ReviewedCall(call.text, llm.reviews, coverage, rules, llm.unsent)
        judged = await self._judge(call, reviewed, unruled, attempts)
        report = ComplianceReport(
            judged.findings,
            self.rubric.version,
            prompt.sha256,
            llm.answer,
            has_transcript=bool(call.utterances),
            reading=judged.reading,
            timed=given.timed,
            covered=tuple(self._covers),
            weighing=self._weighing,
            coverage=coverage,
            chunks=len(llm.reviews),
            chunks_failed=llm.failed,
            masked=call.masked,
            not_asked=questions.left_out if call.texts else (),
            chunks_unsent=len(llm.unsent),
            warnings=tuple(_warnings(call, questions, llm)),
            rubric_sha256=self.rubric.sha256,
        )
        return self._settle(attempts, report)

    def _begin(self, call: ReadCall) -> Attempts:
        attempts = Attempts(Stage.VALIDATION, self._observers)
        started = CheckStarted(
            rubric_version=self.rubric.version,
            elements=len(self.rubric.asked),
            segments=call.utterances,
        )
        attempts.emit(started)
        return attempts

    async def _prepare(
        self, call: ReadCall, masked: Mapping[str, int] | None, attempts: Attempts
    ) -> PreparedCall:
        """Return what can be sent; nothing, and a recorded failure, if masking failed."""
        with attempts.of("redaction"):
            given = GivenCall(call, secrets.token_hex(_NONCE_BYTES), masked)
            return await self._text.run(PREPARE, given, call.chars)
        if _reason_of(attempts) is Reason.WITHHELD:
            with attempts.of("text"):
                return await self._text.run(WITHHOLD, call, call.chars)
        return PreparedCall()

    async def _examine(
        self, call: PreparedCall, attempts: Attempts
    ) -> tuple[Mapping[str, RuleFinding], Reason | None]:
        """Return what the rules find; nothing, and why, if they failed."""
        rules: Mapping[str, RuleFinding] = {}
        if call.utterances:
            with attempts.of("rules"):
                rules = await self._text.run(EXAMINE, call.text, call.chars)
        return rules, _reason_of(attempts) if attempts.errors else None

    def _plan(self, call: PreparedCall, rules: Mapping[str, RuleFinding]) -> Questions:
        most = elements_that_fit(self._limits.max_tokens)
        return plan_questions(self.rubric.asked, rules, call.spans, most)

    async def _judge(
        self,
        call: PreparedCall,
        reviewed: ReviewedCall,
        unruled: Reason | None,
        attempts: Attempts,
    ) -> Judgement:
        if not call.utterances:  # an answer on an empty call is not a finding
            return self._nothing(_reason_of(attempts, Reason.NO_TRANSCRIPT), "not_asked")
        with attempts.of("judgement"):
            judged = await self._text.run(JUDGE, reviewed, call.chars)
            return _with_cause(judged, unruled) if unruled else judged
        return self._nothing(_reason_of(attempts), "not_proved")

    def _nothing(self, reason: Reason, reading: Reading) -> Judgement:
        return Judgement(build_undetermined_findings(self.rubric, reason), reading)

    def _settle(self, attempts: Attempts, findings: ComplianceReport) -> Outcome[ComplianceReport]:
        if findings.success and findings.reading == "not_proved":
            attempts.emit(ReadingUnproved())
        for one in findings.warnings:
            attempts.emit(AnswerWarned(stage=Stage.VALIDATION, warning=one))
        for finding in findings.elements:
            for event in _events_of(finding):
                attempts.emit(event)
        return attempts.settle(findings, findings.source)


def _read(transcript: str | Sequence[Segment] | ReadCall) -> ReadCall:
    if isinstance(transcript, ReadCall):
        return transcript
    return ReadCall.of(transcript if isinstance(transcript, str) else tuple(transcript))


def _reason_of(attempts: Attempts, otherwise: Reason = Reason.WITHHELD) -> Reason:
    """Return why nothing is known of a call."""
    error = attempts.errors[-1] if attempts.errors else None
    if isinstance(error, DeadlineExceeded | CallExpired):
        return Reason.TEXT_TIMEOUT
    if isinstance(error, WorkerError | OutOfMemory | RubricModelInvalid):
        return Reason.TEXT_FAILED
    return Reason.WITHHELD if error else otherwise


def _with_cause(judged: Judgement, why: Reason) -> Judgement:
    """Return the findings where the rules failed: what the LLM did not judge, nobody did."""
    findings = tuple(
        replace(one, reason=why) if one.reason in UNJUDGED else one for one in judged.findings
    )
    return replace(judged, findings=findings)


def _warnings(call: PreparedCall, questions: Questions, llm: LlmReview) -> Iterator[AnswerWarning]:
    elements = len(questions.left_out) if call.texts else 0
    if elements or llm.unsent:
        chunks = f"{len(llm.unsent)} of {len(llm.reviews)} parts of the call"
        yield warning("not_asked", f"{elements} elements, {chunks}")
    if call.nobodys:
        yield warning("speaker_unknown", f"{call.nobodys} of {call.utterances} utterances")


def _events_of(finding: Finding) -> Iterator[Event]:
    element = finding.element.id
    for quote in finding.rejected_quotes:
        yield QuoteRejected(element=element, reason=str(finding.reason), chars=len(quote))
    if finding.disagreement:
        yield TiersDisagreed(element=element, rules=finding.by_rules, llm=finding.by_llm)
