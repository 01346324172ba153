"""The validator: checks a call for elements of an incomplete sale (불완전판매요소).

An agent reads the call, the rule tier (where there is one) looks for fixed patterns, and
:mod:`api_server.services.findings` believes either only as far as the transcript proves it.
Nothing here decides from a failure: an agent that failed leaves its elements undetermined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, NotRequired, Protocol, TypedDict, cast, get_args

from api_server.services.agent_types import AgentAnswer, AgentRequest, RequestFormat
from api_server.services.evidence import Evidence, TranscriptIndex
from api_server.services.findings import (
    Call,
    Finding,
    Reading,
    Reason,
    Review,
    RuleFinding,
    RuleTier,
    Source,
    Status,
    examine,
    open_findings,
    reading,
)
from api_server.services.prompts import NO_CALL_SCHEMA, SCHEMA_NAME, Prompt
from api_server.services.rubric import Kind, Rubric, load_rubric
from api_server.services.validation_lines import REJECTED_QUOTE, UNPROVED_READING
from stt_engine.errors import InvalidRequest
from stt_engine.outcome import DUMMY, Attempts, Observer, Outcome, Stage
from stt_engine.speech import Segment

__all__ = [
    "Findings",
    "IncompleteElementsValidator",
    "RuleFinding",
    "RuleTier",
    "ValidationResult",
    "get_incomplete_elements_validator",
    "render",
    "shown",
]

MAX_TOKENS = 1536
"""Length of an agent's answer, in tokens; a longer one is cut and so refused.

The default rubric's answers take 500 to 1,000. Servers subtract it from the model's context, so
that a very small context needs a smaller value.
"""

NO_TRANSCRIPT = "통화 기록이 비어 있어 점검할 수 없습니다"
_SHOWN_CHARS = 300  # of an agent's own words; an external agent has no schema to bound them


class Agent(Protocol):
    """Who can be asked; :class:`api_server.services.agent_backend.AgentBackend` can."""

    async def ask(self, request: AgentRequest) -> Outcome[AgentAnswer]:
        """Ask; a failure of the agent gives a dummy."""
        ...


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one call, and who was asked. ``timed``: segments have real times."""

    elements: tuple[Finding, ...]
    rubric_version: str
    prompt_sha256: str
    agent: Outcome[AgentAnswer]
    has_transcript: bool
    reading: Reading
    timed: bool = True

    @property
    def established(self) -> bool:
        """True where an agent or the rule tier determined at least one element."""
        return any(finding.established for finding in self.elements)

    @property
    def success(self) -> bool:
        """True only where a healthy agent analysed a transcript that is not empty."""
        return self.has_transcript and not self.agent.is_dummy

    @property
    def source(self) -> str:
        """Where the findings come from: ``llm``, ``rules``, ``both`` or ``dummy``."""
        tiers = {finding.source for finding in self.elements if finding.source is not None}
        by_rules = bool(tiers & {"rules", "both"})
        if not self.success:
            return "rules" if by_rules else DUMMY
        return "both" if by_rules else "llm"


class EvidenceDict(TypedDict):
    """Where a quote is. Times in seconds; ``None`` where the transcript had none."""

    segment_id: int
    start: float | None
    end: float | None
    channel: int
    quote: str
    match: Literal["exact", "normalised"]


class TiersDict(TypedDict):
    """The status that each tier alone gives; ``None``: it did not look, or it failed."""

    rules: Status | None
    llm: Status | None


class ElementDict(TypedDict):
    """The result for one element."""

    id: str
    article: str
    title: str
    kind: Kind
    status: Status
    evidence: list[EvidenceDict]
    reason: str
    explanation: str | None
    source: Source | None
    tiers: TiersDict
    disagreement: bool
    rejected_quotes: NotRequired[list[str]]


class ValidationResult(TypedDict):
    """The dict that :meth:`IncompleteElementsValidator.validate` gives."""

    success: bool
    established: bool
    reading: Reading
    elements: list[ElementDict]
    rubric_version: str
    prompt_sha256: str
    model: str | None
    agent_analysis: str | None
    agent_type: Literal["vllm", "external", "dummy"]
    is_agent_dummy: bool
    agent_dummy_reason: str | None
    error: str | None
    error_type: str | None
    processing_time_sec: float


def get_incomplete_elements_validator(
    agent_backend: Agent,
    rubric: Rubric | None = None,
    observers: Iterable[Observer] = (),
    *,
    rules: RuleTier | None = None,
    max_tokens: int = MAX_TOKENS,
) -> IncompleteElementsValidator:
    """Give a validator for ``rubric`` (default: the built-in one), asking ``agent_backend``."""
    return IncompleteElementsValidator(
        agent_backend, rubric or load_rubric(), observers, rules=rules, max_tokens=max_tokens
    )


class IncompleteElementsValidator:
    """Checks calls against one rubric.

    Args:
        agent: who reads the call.
        rubric: what to look for.
        observers: told of start, rejected quotes and the outcome (``Stage.VALIDATION``).
        rules: the rule tier; without one only the agent can establish anything.
        max_tokens: bound of the agent's answer.
    """

    def __init__(
        self,
        agent: Agent,
        rubric: Rubric,
        observers: Iterable[Observer] = (),
        *,
        rules: RuleTier | None = None,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        self.rubric = rubric
        self.prompt = Prompt(rubric)
        self._agent = agent
        self._observers = tuple(observers)
        self._rules = rules
        self._max_tokens = max_tokens

    async def validate(
        self,
        call_transcript: str | Sequence[Segment],
        agent_config: Mapping[str, str | None],
        timeout: float = 30,  # noqa: ASYNC109 - the original's name
        *,
        covers_call: bool = True,
    ) -> ValidationResult:
        """Check a call; never raises for a failure of the agent.

        Args:
            call_transcript: segments, or plain text with one utterance a line.
            agent_config: ``url``; optional ``format`` and ``chat_thread_id``.
            timeout: seconds for the agent's answer.
            covers_call: False where part of the call is missing from the transcript; then
                nothing is said to be absent.

        Raises:
            InvalidRequest: ``agent_config`` has no URL or an unknown format.
        """
        outcome = await self.check(
            call_transcript, agent_config, timeout_sec=timeout, covers_call=covers_call
        )
        return render(outcome)

    async def check(
        self,
        call_transcript: str | Sequence[Segment],
        agent_config: Mapping[str, str | None],
        *,
        timeout_sec: float = 30,
        covers_call: bool = True,
    ) -> Outcome[Findings]:
        """Check a call, as :meth:`validate`; the outcome's failures name every cause."""
        segments = _segments(call_transcript)
        request = self._request(segments, agent_config, timeout_sec)
        attempts = self._begin(segments)
        call = Call(segments, TranscriptIndex(segments), covers_call)
        agent = await self._agent.ask(request)
        attempts.failures.extend(agent.failures)  # told already, by the agent's own stage
        review = _review(agent)
        findings = Findings(
            self._elements(call, review, attempts),
            self.rubric.version,
            self.prompt.sha256,
            agent,
            has_transcript=bool(segments),
            reading=reading(call, review),
            timed=not isinstance(call_transcript, str),
        )
        return self._settle(attempts, findings)

    def _request(
        self, segments: Sequence[Segment], config: Mapping[str, str | None], timeout_sec: float
    ) -> AgentRequest:
        url, given = config.get("url"), config.get("format") or "prompt_based"
        if not url:
            raise InvalidRequest("agent_config에 url이 없습니다. Agent의 주소를 지정하십시오")
        if given not in get_args(RequestFormat):
            known = ", ".join(get_args(RequestFormat))
            raise InvalidRequest(f"agent_config의 format은 {known} 중 하나여야 합니다")
        request = AgentRequest(
            self.prompt.no_call_text,
            url,
            cast("RequestFormat", given),
            timeout_sec,
            config.get("chat_thread_id"),
            schema=NO_CALL_SCHEMA,
            schema_name=SCHEMA_NAME,
            max_tokens=self._max_tokens,
        )
        if not segments:
            return request
        return replace(
            request,
            text=self.prompt.call_text(segments),
            system=self.prompt.system,
            schema=self.prompt.schema,
            parse=self.prompt.parse,
        )

    def _begin(self, segments: Sequence[Segment]) -> Attempts:
        attempts = Attempts(
            Stage.VALIDATION, self._observers, detail={"rubric_version": self.rubric.version}
        )
        size = {"elements": len(self.rubric.asked), "segments": len(segments)}
        attempts.tell("started", "llm", detail=size)
        return attempts

    def _elements(
        self, call: Call, review: Review | None, attempts: Attempts
    ) -> tuple[Finding, ...]:
        if not call.segments:  # an opinion on an empty call is not a finding
            return open_findings(self.rubric, Reason.NO_TRANSCRIPT)
        return examine(self.rubric, call, review, self._examined(call, attempts))

    def _examined(self, call: Call, attempts: Attempts) -> Mapping[str, RuleFinding]:
        """Ask the rule tier; one that breaks is a recorded failure and establishes nothing."""
        if self._rules is not None:
            with attempts.of("rules"):
                return self._rules.examine(call.segments)
        return {}

    def _settle(self, attempts: Attempts, findings: Findings) -> Outcome[Findings]:
        if findings.success and findings.reading == "not_proved":
            attempts.tell("noted", UNPROVED_READING)
        for finding in findings.elements:
            for quote in finding.rejected_quotes:
                facts = {
                    "element": finding.element.id,
                    "reason": str(finding.reason),
                    "chars": len(quote),
                }
                attempts.tell("noted", REJECTED_QUOTE, detail=facts)
        counts = Counter(finding.status for finding in findings.elements)
        return attempts.settle(findings, findings.source, {"counts": dict(counts)})


def _segments(call_transcript: str | Sequence[Segment]) -> tuple[Segment, ...]:
    """Give what was said; segments without a letter or digit say nothing."""
    if isinstance(call_transcript, str):
        lines = enumerate(call_transcript.splitlines())
        call_transcript = [Segment(number, 0.0, 0.0, line.strip()) for number, line in lines]
    return tuple(s for s in call_transcript if any(char.isalnum() for char in s.text))


def _review(agent: Outcome[AgentAnswer]) -> Review | None:
    parsed = agent.value.parsed
    # Without what our own `parse` made of it, an answer counts as a failure.
    return parsed if not agent.is_dummy and isinstance(parsed, Review) else None


def render(outcome: Outcome[Findings]) -> ValidationResult:
    """Give the findings as a dict."""
    findings = outcome.value
    agent = findings.agent
    cause = agent.cause if agent.is_dummy else None
    reason = (cause.message if cause else "Agent 응답 없음") if agent.is_dummy else None
    empty = None if findings.has_transcript else NO_TRANSCRIPT
    return {
        "success": findings.success,
        "established": findings.established,
        "reading": findings.reading,
        "elements": [_element(finding, timed=findings.timed) for finding in findings.elements],
        "rubric_version": findings.rubric_version,
        "prompt_sha256": findings.prompt_sha256,
        "model": agent.value.model,
        "agent_analysis": None if agent.is_dummy else agent.value.text,
        "agent_type": agent.value.agent_type,
        "is_agent_dummy": agent.is_dummy,
        "agent_dummy_reason": reason,
        "error": reason or empty,
        "error_type": cause.error_type if cause else "NoTranscript" if empty else None,
        "processing_time_sec": outcome.elapsed_sec,
    }


def shown(result: ValidationResult) -> ValidationResult | None:
    """Give what a client is shown as ``incomplete_elements``.

    ``None`` where the agent failed and no rule established anything: a list of nothing but
    ``undetermined`` would look like an analysis.
    """
    return None if result["is_agent_dummy"] and not result["established"] else result


def _element(finding: Finding, *, timed: bool) -> ElementDict:
    element = finding.element
    result: ElementDict = {
        "id": element.id,
        "article": element.article,
        "title": element.title,
        "kind": element.kind,
        "status": finding.status,
        "evidence": [_evidence(part, timed=timed) for part in finding.evidence],
        "reason": str(finding.reason),
        "explanation": _cut(finding.explanation) if finding.explanation else None,
        "source": finding.source,
        "tiers": {"rules": finding.by_rules, "llm": finding.by_llm},
        "disagreement": finding.disagreement,
    }
    if finding.rejected_quotes:
        result["rejected_quotes"] = [_cut(quote) for quote in finding.rejected_quotes]
    return result


def _evidence(part: Evidence, *, timed: bool) -> EvidenceDict:
    rendered = cast("EvidenceDict", asdict(part))
    return rendered if timed else {**rendered, "start": None, "end": None}


def _cut(words: str) -> str:
    return words if len(words) <= _SHOWN_CHARS else f"{words[:_SHOWN_CHARS]}…"
