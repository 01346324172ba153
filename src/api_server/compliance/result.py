"""The result of a check, and its conversion to the dicts that callers get. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, NotRequired, TypedDict, cast

from api_server.clients.agent.types import AgentAnswer
from api_server.compliance.coverage import FULL_COVERAGE, Coverage
from api_server.compliance.evidence import Evidence
from api_server.compliance.findings import Finding, Reading, Source, Status
from api_server.compliance.model_card import Weighing
from api_server.compliance.rubric import ElementKind
from stt_engine.outcome import DUMMY, Outcome
from stt_engine.warnings import AnswerWarning

NO_TRANSCRIPT = "통화 기록이 비어 있어 점검할 수 없습니다"
_SHOWN_CHARS = 300  # of an agent's own words, which no schema limits for an external agent


@dataclass(frozen=True, slots=True)
class ComplianceReport:
    """The findings on one call, and the LLM's answer.

    ``timed``: segments have real times. ``covered``: the elements that the rule tier has patterns
    for; ``not_asked``: those that the LLM was not asked about. The analysis failed if the LLM's
    review of any of the ``chunks`` failed; ``chunks_unsent`` of them had no turn in time.
    ``masked``: how many entities of each type were masked before sending; ``None`` if masking is
    off, or if nothing was sent.
    """

    elements: tuple[Finding, ...]
    rubric_version: str
    prompt_sha256: str
    agent: Outcome[AgentAnswer]
    has_transcript: bool
    reading: Reading
    timed: bool = True
    covered: tuple[str, ...] = ()
    weighing: Weighing | None = None
    coverage: Coverage = FULL_COVERAGE
    chunks: int = 1
    chunks_failed: int = 0
    chunks_unsent: int = 0
    not_asked: tuple[str, ...] = ()
    masked: Mapping[str, int] | None = None
    warnings: tuple[AnswerWarning, ...] = ()
    rubric_sha256: str | None = None
    """``None`` in what was stored before there was one."""

    @property
    def established(self) -> bool:
        """True where the LLM or the rule tier determined at least one element."""
        return any(finding.established for finding in self.elements)

    @property
    def success(self) -> bool:
        """True only where the LLM analysed a transcript that is not empty."""
        return self.has_transcript and not self.agent.is_dummy

    @property
    def source(self) -> str:
        """The source of the findings: ``llm``, ``rules``, ``both`` or ``dummy``."""
        tiers = {finding.source for finding in self.elements if finding.source is not None}
        by_rules = bool(tiers & {"rules", "both"})
        if not self.success:
            return "rules" if by_rules else DUMMY
        return "both" if by_rules else "llm"


class EvidenceDict(TypedDict):
    """The position of a quote. Times in seconds, ``None`` if the transcript has none."""

    segment_id: int
    start: float | None
    end: float | None
    channel: int
    quote: str
    match: Literal["exact", "normalised"]


class CoverageDict(TypedDict):
    """Transcribed seconds of speech over detected ones, by speaker."""

    agent: float
    customer: float


class TiersDict(TypedDict):
    """The status of each tier, ``None`` if it does not cover the element or failed.

    ``llm_reason`` belongs to the LLM's status; the element's own reason may be the rules'.
    """

    rules: Status | None
    llm: Status | None
    llm_reason: str | None


class CertaintyDict(TypedDict):
    """What findings without an LLM were weighed by, and the confidence that each element takes."""

    model_version: str
    model_sha256: str
    min_precision: float
    needed: dict[str, float | None]


class ElementDict(TypedDict):
    """The result for one element."""

    id: str
    article: str
    title: str
    kind: ElementKind
    status: Status
    evidence: list[EvidenceDict]
    confidence: float | None
    reason: str
    explanation: str | None
    source: Source | None
    tiers: TiersDict
    disagreement: bool
    rejected_quotes: NotRequired[list[str]]


class ValidationResult(TypedDict):
    """The dict that :meth:`IncompleteElementsValidator.validate` returns."""

    success: bool
    established: bool
    disagreement: bool
    reading: Reading
    coverage: CoverageDict
    rules_cover: list[str]
    certainty: CertaintyDict | None
    chunks: int
    chunks_failed: int
    chunks_unsent: int
    not_asked: list[str]
    masked: dict[str, int] | None
    elements: list[ElementDict]
    rubric_version: str
    rubric_sha256: str | None
    prompt_sha256: str
    model: str | None
    agent_analysis: str | None
    agent_type: Literal["vllm", "external", "dummy"]
    is_agent_dummy: bool
    agent_dummy_reason: str | None
    error: str | None
    error_type: str | None
    processing_time_sec: float


def build_validation_result(outcome: Outcome[ComplianceReport]) -> ValidationResult:
    """Return the report as a dict."""
    report = outcome.value
    agent = report.agent
    cause = agent.cause if agent.is_dummy else None
    reason = _dummy_reason(report, cause.message if cause else "Agent 응답 없음")
    empty = None if report.has_transcript else NO_TRANSCRIPT
    return {
        "success": report.success,
        "established": report.established,
        "disagreement": any(finding.disagreement for finding in report.elements),
        "reading": report.reading,
        "coverage": {
            "agent": round(report.coverage.agent, 3),
            "customer": round(report.coverage.customer, 3),
        },
        "rules_cover": list(report.covered),
        "certainty": _build_certainty(report.weighing),
        "chunks": report.chunks,
        "chunks_failed": report.chunks_failed,
        "chunks_unsent": report.chunks_unsent,
        "not_asked": list(report.not_asked),
        "masked": None if report.masked is None else dict(report.masked),
        "elements": [_build_element(finding, timed=report.timed) for finding in report.elements],
        "rubric_version": report.rubric_version,
        "rubric_sha256": report.rubric_sha256,
        "prompt_sha256": report.prompt_sha256,
        "model": agent.value.model,
        "agent_analysis": None if agent.is_dummy else agent.value.text,
        "agent_type": agent.value.agent_type,
        "is_agent_dummy": agent.is_dummy,
        "agent_dummy_reason": reason,
        "error": reason or empty,
        "error_type": cause.error_type if cause else "NoTranscript" if empty else None,
        "processing_time_sec": outcome.elapsed_sec,
    }


def _build_certainty(weighing: Weighing | None) -> CertaintyDict | None:
    return cast("CertaintyDict", asdict(weighing)) if weighing else None


def _dummy_reason(report: ComplianceReport, cause: str) -> str | None:
    if not report.agent.is_dummy:
        return None
    if report.chunks_failed == report.chunks:
        return cause
    return f"통화를 나눈 {report.chunks}구간 중 {report.chunks_failed}구간 분석 실패: {cause}"


def build_client_view(result: ValidationResult) -> ValidationResult | None:
    """Return ``incomplete_elements`` of a response.

    ``None`` where the LLM failed and no rule found anything: a list of only ``undetermined``
    without a quote would look like an analysis.
    """
    found = any(element["evidence"] for element in result["elements"])
    return result if found or not result["is_agent_dummy"] else None


def _build_element(finding: Finding, *, timed: bool) -> ElementDict:
    element = finding.element
    result: ElementDict = {
        "id": element.id,
        "article": element.article,
        "title": element.title,
        "kind": element.kind,
        "status": finding.status,
        "evidence": [_build_evidence(one, timed=timed) for one in finding.evidence],
        "confidence": None if finding.confidence is None else round(finding.confidence, 3),
        "reason": str(finding.reason),
        "explanation": _truncate(finding.explanation) if finding.explanation else None,
        "source": finding.source,
        "tiers": {
            "rules": finding.by_rules,
            "llm": finding.by_llm,
            "llm_reason": str(finding.llm_reason) if finding.llm_reason else None,
        },
        "disagreement": finding.disagreement,
    }
    if finding.rejected_quotes:
        result["rejected_quotes"] = [_truncate(quote) for quote in finding.rejected_quotes]
    return result


def _build_evidence(evidence: Evidence, *, timed: bool) -> EvidenceDict:
    rendered = cast("EvidenceDict", asdict(evidence))
    return rendered if timed else {**rendered, "start": None, "end": None}


def _truncate(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
