"""The check's result as callers get it: dicts, made here and only here. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, NotRequired, TypedDict, cast

from api_server.services.agent_types import AgentAnswer
from api_server.services.coverage import WHOLE, Coverage
from api_server.services.evidence import Evidence
from api_server.services.findings import Finding, Reading, Source, Status
from api_server.services.rubric import Kind
from stt_engine.outcome import DUMMY, Outcome

NO_TRANSCRIPT = "통화 기록이 비어 있어 점검할 수 없습니다"
_SHOWN_CHARS = 300  # of an agent's own words; an external agent has no schema to bound them


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one call, and who was asked.

    ``timed``: segments have real times. ``covered``: the elements that the rule tier looked for.
    An agent is asked about each of ``chunks``; where one of them failed, so did the analysis.
    ``masked``: how much personal data of each kind it was not shown; ``None``: nothing was masked,
    or nothing shown.
    """

    elements: tuple[Finding, ...]
    rubric_version: str
    prompt_sha256: str
    agent: Outcome[AgentAnswer]
    has_transcript: bool
    reading: Reading
    timed: bool = True
    covered: tuple[str, ...] = ()
    coverage: Coverage = WHOLE
    chunks: int = 1
    chunks_failed: int = 0
    masked: Mapping[str, int] | None = None

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


class CoverageDict(TypedDict):
    """Recognised seconds of speech over detected ones, by speaker."""

    agent: float
    customer: float


class TiersDict(TypedDict):
    """The status that each tier alone gives; ``None``: it did not look, or it failed.

    ``llm_reason`` is the reason of the LLM's: with a rule's finding, the element's own is another.
    """

    rules: Status | None
    llm: Status | None
    llm_reason: str | None


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
    disagreement: bool
    reading: Reading
    coverage: CoverageDict
    rules_cover: list[str]
    chunks: int
    chunks_failed: int
    masked: dict[str, int] | None
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


def render(outcome: Outcome[Findings]) -> ValidationResult:
    """Give the findings as a dict."""
    findings = outcome.value
    agent = findings.agent
    cause = agent.cause if agent.is_dummy else None
    reason = _reason(findings, cause.message if cause else "Agent 응답 없음")
    empty = None if findings.has_transcript else NO_TRANSCRIPT
    return {
        "success": findings.success,
        "established": findings.established,
        "disagreement": any(finding.disagreement for finding in findings.elements),
        "reading": findings.reading,
        "coverage": {
            "agent": round(findings.coverage.agent, 3),
            "customer": round(findings.coverage.customer, 3),
        },
        "rules_cover": list(findings.covered),
        "chunks": findings.chunks,
        "chunks_failed": findings.chunks_failed,
        "masked": None if findings.masked is None else dict(findings.masked),
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


def _reason(findings: Findings, cause: str) -> str | None:
    if not findings.agent.is_dummy:
        return None
    if findings.chunks_failed == findings.chunks:
        return cause
    return f"통화를 나눈 {findings.chunks}구간 중 {findings.chunks_failed}구간 분석 실패: {cause}"


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
        "tiers": {
            "rules": finding.by_rules,
            "llm": finding.by_llm,
            "llm_reason": str(finding.llm_reason) if finding.llm_reason else None,
        },
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
