"""Types of the check: the LLM's verdicts, the rules' findings, and the combined result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, Protocol, get_args

from api_server.compliance.coverage import FULL_COVERAGE, Coverage
from api_server.compliance.evidence import Evidence, TranscriptIndex
from api_server.compliance.rubric import Element, ElementKind, ElementRef
from stt_engine.speech import Segment

Status = Literal["violated", "satisfied", "not_found", "not_applicable", "undetermined"]
STATUSES: tuple[Status, ...] = get_args(Status)
Source = Literal["rules", "llm", "both"]
Reading = Literal["proved", "not_proved", "not_asked"]
"""Whether the LLM read the whole call; ``not_asked``: there was no call to send."""

MIN_PRECISION = 0.9
"""Precision that is asked of what is called ``violated`` without an LLM."""
_LESS_FOR_NOTICES = 0.05


def precision_asked(kind: ElementKind, min_precision: float) -> float:
    """Return what is asked of a status of this kind: who is said to have told accuses nobody."""
    return min_precision - (_LESS_FOR_NOTICES if kind == "required" else 0)


Certainty = Literal["certain", "suspected", "doubted"]
"""Enough for a status; enough to be looked at; a rule's words that are probably something else."""

PRESENT: Mapping[ElementKind, Status] = MappingProxyType(
    {"prohibited": "violated", "required": "satisfied"}
)
"""The status that means "it was said", by kind of element."""


class Reason(StrEnum):
    """Why an element has its status; :data:`REASON_TEXT` has the text shown to reviewers."""

    EVIDENCE_FOUND = "evidence_found"
    SUSPECTED = "suspected"
    DOUBTED = "doubted"
    NOT_SAID = "not_said"
    CONDITION_NOT_MET = "condition_not_met"
    OUTSIDE_CALL = "outside_call"
    EVIDENCE_NOT_FOUND = "evidence_not_found"
    WRONG_SPEAKER = "evidence_wrong_speaker"
    SPEAKER_UNKNOWN = "speaker_unknown"
    DENIAL = "evidence_is_denial"
    QUESTION = "evidence_is_question"
    REPORTED = "evidence_is_report"
    WITHDRAWN = "evidence_is_withdrawn"
    WARNING = "evidence_is_warning"
    RETURN = "evidence_is_return"
    NOTHING_SAID = "evidence_says_nothing"
    TIERS_DIFFER = "tiers_differ"
    KIND_MISMATCH = "kind_mismatch"
    ALWAYS_APPLIES = "always_applies"
    NO_RULE_MATCHED = "no_rule_matched"
    AGENT_UNDETERMINED = "agent_undetermined"
    AGENT_FAILED = "agent_failed"
    NOT_ASKED = "not_asked"
    TRANSCRIPT_DEGRADED = "transcript_degraded"
    READING_NOT_PROVED = "reading_not_proved"
    NO_TRANSCRIPT = "no_transcript"
    WITHHELD = "transcript_withheld"
    TEXT_TIMEOUT = "text_timeout"
    TEXT_FAILED = "text_failed"


REASON_TEXT: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.EVIDENCE_FOUND: "통화 기록에서 근거를 확인함",
        Reason.SUSPECTED: "해당하는 말로 의심되나 단정할 만큼 확실하지 않음(검토 필요)",
        Reason.DOUBTED: "규칙에 맞는 말이 있으나 앞뒤 말로 보아 해당하지 않을 가능성이 높음",
        Reason.NOT_SAID: "통화 전체에서 해당하는 말이 발견되지 않음(분석기의 판단)",
        Reason.CONDITION_NOT_MET: "적용 조건에 해당하지 않음(분석기의 판단)",
        Reason.OUTSIDE_CALL: "점검표에서 일대일 통화에 적용하지 않는 항목으로 정함",
        Reason.EVIDENCE_NOT_FOUND: "근거 인용문이 통화 기록에 없음",
        Reason.WRONG_SPEAKER: "근거 인용문이 상담원이 아니라 고객의 말임",
        Reason.SPEAKER_UNKNOWN: "해당하는 말이 있으나 상담원의 말인지 알 수 없음",
        Reason.DENIAL: "근거 인용문이 그 말을 부정하는 문장임",
        Reason.QUESTION: "근거 인용문이 묻는 말임",
        Reason.REPORTED: "근거 인용문이 남의 말을 옮긴 것임",
        Reason.WITHDRAWN: "근거 인용문의 말을 바로 거두어들임",
        Reason.WARNING: "근거 인용문이 위험이나 제한을 알리는 말임",
        Reason.RETURN: "근거 인용문의 비율은 고객이 내는 돈이 아니라 받는 돈임",
        Reason.NOTHING_SAID: "근거 인용문에 이 항목에 관한 말이 없음",
        Reason.TIERS_DIFFER: "같은 문장을 규칙과 분석기가 다르게 봄",
        Reason.KIND_MISMATCH: "항목의 종류에 맞지 않는 판정임",
        Reason.ALWAYS_APPLIES: "모든 통화에 적용되는 항목을 해당 없음으로 판정함",
        Reason.NO_RULE_MATCHED: "규칙에 맞는 말이 없음(없었다는 뜻이 아님)",
        Reason.AGENT_UNDETERMINED: "분석기가 판단하지 못함",
        Reason.AGENT_FAILED: "분석에 실패함",
        Reason.NOT_ASKED: "시간이나 답의 길이가 모자라 분석기에 묻지 않음",
        Reason.TRANSCRIPT_DEGRADED: "통화 기록이 전체를 담지 않아 없다고 말할 수 없음",
        Reason.READING_NOT_PROVED: "분석기가 통화를 끝까지 읽었음이 확인되지 않아 "
        "없다고 말할 수 없음",
        Reason.NO_TRANSCRIPT: "통화 기록이 없음",
        Reason.WITHHELD: "개인정보를 가리지 못해 통화 기록을 쓰지 않음",
        Reason.TEXT_TIMEOUT: "통화 기록을 제한 시간 안에 처리하지 못함",
        Reason.TEXT_FAILED: "통화 기록을 처리하는 프로세스가 실패함",
    }
)
"""The Korean text of every reason."""

UNJUDGED = frozenset({Reason.AGENT_FAILED, Reason.NOT_ASKED})
"""Reasons for which the LLM has no status of its own."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The LLM's answer on one element, not yet checked against the transcript."""

    status: Status
    quote: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """The LLM's answer: the marks that prove its reading, and verdicts by element id."""

    read: str
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """The rule tier's evidence that an element was said.

    Patterns prove presence only. An element that is covered and not found has no evidence.
    ``confidence`` is the share of what looks like this that is one, ``None`` where the rubric has
    no model; ``certainty`` says what that is enough for.
    """

    evidence: tuple[Evidence, ...] = ()
    confidence: float | None = None
    certainty: Certainty = "certain"


class RuleTier(Protocol):
    """What needs no LLM: patterns, and a model where the rubric has one."""

    @property
    def covers(self) -> Sequence[str]:
        """The ids of the elements that have patterns."""
        ...

    def examine(self, segments: Sequence[Segment]) -> Mapping[str, RuleFinding]:
        """Return a finding for every element id that the patterns cover."""
        ...


class QuoteTier(Protocol):
    """Judges whether words of one call can be evidence."""

    def find_objection(
        self, element: Element, places: Sequence[tuple[int, int, int]]
    ) -> Reason | None:
        """Return why the words at ``places`` are no evidence of ``element``, or ``None``."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one element. ``source`` is ``None`` where neither tier established a status.

    ``evidence`` of what is undetermined is what was said by nobody knows whom, what is suspected,
    or what the tiers see in two ways. ``confidence`` is how sure rules and model are of it.
    ``contested`` is what the LLM quoted as not saying it.
    ``explanation`` is the LLM's own sentence: untrusted, for the reviewer, never evidence.
    ``by_rules`` and ``by_llm`` are each tier's status; ``None`` if that tier did not run or does
    not cover the element. ``llm_reason`` is the reason of ``by_llm``.
    """

    element: ElementRef
    status: Status
    reason: Reason
    source: Source | None = None
    evidence: tuple[Evidence, ...] = ()
    explanation: str | None = None
    rejected_quotes: tuple[str, ...] = ()
    by_rules: Status | None = None
    by_llm: Status | None = None
    llm_reason: Reason | None = None
    contested: tuple[Evidence, ...] = ()
    confidence: float | None = None

    @property
    def established(self) -> bool:
        """True where the rule tier or the LLM determined the status."""
        return self.source is not None

    @property
    def disagreement(self) -> bool:
        """True where both tiers determined a status, or look at one sentence, and they differ."""
        return (
            self.reason is Reason.TIERS_DIFFER
            or len({self.by_rules, self.by_llm} - {None, "undetermined"}) > 1
        )


@dataclass(frozen=True, slots=True)
class TranscriptChunk:
    """A transcript, or a chunk of a long one, as it is sent to the LLM."""

    segments: tuple[Segment, ...]
    index: TranscriptIndex
    quotes: QuoteTier
    coverage: Coverage = FULL_COVERAGE
    nonce: str = ""
    """Decides about the marks in it (:mod:`.reading`)."""


@dataclass(frozen=True, slots=True)
class ReviewedChunk:
    """A chunk of a call with the LLM's review of it, ``None`` if that failed."""

    chunk: TranscriptChunk
    review: Review | None
    sent: bool = True
    """False where the time was over before its turn."""
