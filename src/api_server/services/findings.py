"""The vocabulary of the check: what is claimed, by whom, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, Protocol, get_args

from api_server.services.coverage import WHOLE, Coverage
from api_server.services.evidence import Evidence, TranscriptIndex
from api_server.services.rubric import Element, Kind
from stt_engine.speech import Segment

Status = Literal["violated", "satisfied", "not_found", "not_applicable", "undetermined"]
STATUSES: tuple[Status, ...] = get_args(Status)
Source = Literal["rules", "llm", "both"]
Reading = Literal["proved", "not_proved", "not_asked"]
"""Did the agent read the whole call? ``not_asked``: there was none to read."""

PRESENT: Mapping[Kind, Status] = MappingProxyType(
    {"prohibited": "violated", "required": "satisfied"}
)
"""The one status that says "it was said", by kind of element."""


class Reason(StrEnum):
    """Why an element has its status; :data:`REASON_TEXT` has the words for people."""

    EVIDENCE_FOUND = "evidence_found"
    NOT_SAID = "not_said"
    CONDITION_NOT_MET = "condition_not_met"
    OUTSIDE_CALL = "outside_call"
    EVIDENCE_NOT_FOUND = "evidence_not_found"
    WRONG_SPEAKER = "evidence_wrong_speaker"
    DENIAL = "evidence_is_denial"
    KIND_MISMATCH = "kind_mismatch"
    ALWAYS_APPLIES = "always_applies"
    NO_RULE_MATCHED = "no_rule_matched"
    AGENT_UNDETERMINED = "agent_undetermined"
    AGENT_FAILED = "agent_failed"
    TRANSCRIPT_DEGRADED = "transcript_degraded"
    READING_NOT_PROVED = "reading_not_proved"
    NO_TRANSCRIPT = "no_transcript"
    WITHHELD = "transcript_withheld"


REASON_TEXT: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.EVIDENCE_FOUND: "통화 기록에서 근거를 확인함",
        Reason.NOT_SAID: "통화 전체에서 해당하는 말이 발견되지 않음(분석기의 판단)",
        Reason.CONDITION_NOT_MET: "적용 조건에 해당하지 않음(분석기의 판단)",
        Reason.OUTSIDE_CALL: "점검표에서 일대일 통화에 적용하지 않는 항목으로 정함",
        Reason.EVIDENCE_NOT_FOUND: "근거 인용문이 통화 기록에 없음",
        Reason.WRONG_SPEAKER: "근거 인용문이 상담원이 아니라 고객의 말임",
        Reason.DENIAL: "근거 인용문이 그 말을 부정하는 문장임",
        Reason.KIND_MISMATCH: "항목의 종류에 맞지 않는 판정임",
        Reason.ALWAYS_APPLIES: "모든 통화에 적용되는 항목을 해당 없음으로 판정함",
        Reason.NO_RULE_MATCHED: "규칙에 맞는 말이 없음(없었다는 뜻이 아님)",
        Reason.AGENT_UNDETERMINED: "분석기가 판단하지 못함",
        Reason.AGENT_FAILED: "분석에 실패함",
        Reason.TRANSCRIPT_DEGRADED: "통화 기록이 전체를 담지 않아 없다고 말할 수 없음",
        Reason.READING_NOT_PROVED: "분석기가 통화를 끝까지 읽었음이 확인되지 않아 "
        "없다고 말할 수 없음",
        Reason.NO_TRANSCRIPT: "통화 기록이 없음",
        Reason.WITHHELD: "개인정보를 가리지 못해 통화 기록을 쓰지 않음",
    }
)
"""Korean words for every reason."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an agent says about one element; nothing of it is believed yet."""

    status: Status
    quote: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """An agent's answer: words of the first and of the last utterance, and its claims by id."""

    first: str
    last: str
    claims: Mapping[str, Claim]


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """What the rule tier says about one element: it was said, at these places.

    Patterns prove presence only. An element that is covered and not established has no evidence.
    """

    evidence: tuple[Evidence, ...] = ()


class RuleTier(Protocol):
    """Deterministic patterns that need no agent."""

    @property
    def covers(self) -> Sequence[str]:
        """The ids of the elements that the patterns can establish."""
        ...

    def examine(self, segments: Sequence[Segment]) -> Mapping[str, RuleFinding]:
        """Give a finding for every element id that the patterns cover."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one element. ``source`` is ``None`` where nobody established anything.

    ``explanation`` is the agent's own sentence: untrusted, for the reviewer, never a proof.
    ``by_rules`` and ``by_llm`` are the status that each tier alone gives; ``None``: it was not
    there, or does not cover the element. ``llm_reason`` is why the agent's is what it is.
    """

    element: Element
    status: Status
    reason: Reason
    source: Source | None = None
    evidence: tuple[Evidence, ...] = ()
    explanation: str | None = None
    rejected_quotes: tuple[str, ...] = ()
    by_rules: Status | None = None
    by_llm: Status | None = None
    llm_reason: Reason | None = None

    @property
    def established(self) -> bool:
        """True where the rule tier or an agent determined the status."""
        return self.source is not None

    @property
    def disagreement(self) -> bool:
        """True where both tiers determined a status and not the same."""
        return len({self.by_rules, self.by_llm} - {None, "undetermined"}) > 1


@dataclass(frozen=True, slots=True)
class Call:
    """A transcript, or a chunk of a long one, as an agent was shown it."""

    segments: tuple[Segment, ...]
    index: TranscriptIndex
    coverage: Coverage = WHOLE


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk of a call and the agent's answer on it; ``None``: it failed."""

    call: Call
    review: Review | None
