"""What was found in a call, and the rules by which a claim becomes a finding. Pure.

A claim of presence needs a quote that is in the transcript; a claim of absence needs the whole
call, and an agent that proved that it read it to the end. There is no default: whatever is not
established is ``undetermined``, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, Protocol, get_args

from api_server.services.evidence import Evidence, TranscriptIndex, is_trivial, normalise
from api_server.services.rubric import Element, Kind, Rubric
from stt_engine.speech import Segment

Status = Literal["violated", "satisfied", "not_found", "not_applicable", "undetermined"]
STATUSES: tuple[Status, ...] = get_args(Status)
Source = Literal["rules", "llm", "both"]
Reading = Literal["proved", "not_proved", "not_asked"]
"""Did the agent read the whole call? ``not_asked``: there was none to read."""

WINDOW = 3
"""Utterances at either end of a call in which the words that prove a reading may be."""
MIN_READ_CHARS = 8
"""Letters and digits of such words: a greeting can be guessed. A shorter utterance: all of it."""

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
    there, or does not cover the element.
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
    """A transcript ready to be examined; ``covers_call``: nothing of the call is missing."""

    segments: tuple[Segment, ...]
    index: TranscriptIndex
    covers_call: bool


def open_findings(rubric: Rubric, reason: Reason) -> tuple[Finding, ...]:
    """Give every element as undetermined: the result when nobody could examine the call."""
    return tuple(Finding(element, "undetermined", reason) for element in rubric.elements)


def provable(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Give the utterances that can prove a reading: "네" stands in every call."""
    return tuple(segment for segment in segments if not is_trivial(segment.text))


def reading(call: Call, review: Review | None) -> Reading:
    """Tell whether an agent (``None``: it failed) read a call from its beginning to its end.

    A model that saw a part of the call only, or none of it, can say ``not_found`` of everything
    in perfect form. A call in which no utterance has three letters proves no reading.
    """
    if not call.segments:
        return "not_asked"
    utterances = provable(call.segments)
    ends = (utterances[:WINDOW], utterances[-WINDOW:])
    words = (review.first, review.last) if review else ("", "")
    read = all(_read(said, end) for said, end in zip(words, ends, strict=True))
    return "proved" if read else "not_proved"


def _read(words: str, end: Sequence[Segment]) -> bool:
    """Tell whether ``words`` are of ``end``, and enough of it that they were not guessed."""
    given = normalise(words).text
    enough = sum(char.isalnum() for char in given) >= MIN_READ_CHARS
    whole = any(given == normalise(segment.text).text for segment in end)
    return (enough or whole) and bool(TranscriptIndex(end).find(words))


def _judge(element: Element, claim: Claim, call: Call, read: Reading) -> Finding:
    if claim.status == "undetermined":
        return Finding(element, "undetermined", Reason.AGENT_UNDETERMINED)
    if claim.status == "not_found":
        return _absent(element, "not_found", Reason.NOT_SAID, call, read)
    if claim.status == "not_applicable":
        if not element.applies_if:  # else an agent could wave every duty away
            return Finding(element, "undetermined", Reason.ALWAYS_APPLIES)
        return _absent(element, "not_applicable", Reason.CONDITION_NOT_MET, call, read)
    if claim.status != PRESENT[element.kind]:
        # "satisfied" for a prohibited element can mean "it was said" and "all is well"; and a
        # refusal to do the required is an element of its own. Guessing would be inventing.
        rejected = _shown(claim.quote)
        return Finding(element, "undetermined", Reason.KIND_MISMATCH, rejected_quotes=rejected)
    return prove(element, (claim.quote,), call, "llm")


def _absent(element: Element, status: Status, reason: Reason, call: Call, read: Reading) -> Finding:
    """Give a claim of absence, or of a condition that never came up: it needs the whole call."""
    if not call.covers_call:
        return Finding(element, "undetermined", Reason.TRANSCRIPT_DEGRADED)
    if read != "proved":
        return Finding(element, "undetermined", Reason.READING_NOT_PROVED)
    return Finding(element, status, reason, "llm")


def prove(element: Element, quotes: Sequence[str], call: Call, source: Source) -> Finding:
    """Give ``element`` as said, with every quote that proves it; undetermined without any."""
    proofs = {quote: _proof(element, quote, call.index) for quote in quotes}
    evidence = tuple(
        part for proof in proofs.values() if isinstance(proof, tuple) for part in proof
    )
    problems = {quote: proof for quote, proof in proofs.items() if isinstance(proof, Reason)}
    rejected = tuple(shown for quote in problems for shown in _shown(quote))
    if evidence:
        return Finding(
            element,
            PRESENT[element.kind],
            Reason.EVIDENCE_FOUND,
            source,
            tuple(dict.fromkeys(evidence)),
            rejected_quotes=rejected,
        )
    reason = next(iter(problems.values()), Reason.EVIDENCE_NOT_FOUND)
    return Finding(element, "undetermined", reason, rejected_quotes=rejected)


def _proof(element: Element, quote: str, index: TranscriptIndex) -> tuple[Evidence, ...] | Reason:
    hits = index.find(quote, without_customer=element.said_by == "agent")
    if not hits:
        anyone = element.said_by == "agent" and index.find(quote)
        return Reason.WRONG_SPEAKER if anyone else Reason.EVIDENCE_NOT_FOUND
    denials = [normalise(denial).text for denial in element.denials]
    stated = [
        hit for hit in hits if not any(denial in normalise(hit.passage).text for denial in denials)
    ]
    return tuple(part for hit in stated for part in hit.parts) or Reason.DENIAL


def _shown(quote: str) -> tuple[str, ...]:
    return (quote,) if quote.strip() else ()


def combine(llm: Finding, rules: Finding) -> Finding:
    """Join both tiers: a proved statement stands against any opinion that it was not made."""
    if not rules.established:
        return llm
    both = llm.established and llm.status == rules.status
    return replace(
        rules,
        source="both" if both else "rules",
        evidence=tuple(dict.fromkeys(rules.evidence + llm.evidence)) if both else rules.evidence,
        explanation=llm.explanation,
        rejected_quotes=llm.rejected_quotes,
    )


def examine(
    rubric: Rubric,
    call: Call,
    review: Review | None,
    rules: Mapping[str, RuleFinding],
) -> tuple[Finding, ...]:
    """Give one finding per element, in order; ``review`` is ``None`` for a failed agent."""
    read = reading(call, review)
    return tuple(
        _outside(element)
        if not element.applicable and review is not None
        else _joined(element, _opinion(element, review, call, read), call, rules)
        for element in rubric.elements
    )


def _outside(element: Element) -> Finding:
    return Finding(element, "not_applicable", Reason.OUTSIDE_CALL)


def _opinion(element: Element, review: Review | None, call: Call, read: Reading) -> Finding:
    claim = review.claims.get(element.id) if review else None
    if claim is None:
        return Finding(element, "undetermined", Reason.AGENT_FAILED)
    finding = _judge(element, claim, call, read)
    return replace(finding, explanation=claim.reason.strip() or None)


def _joined(
    element: Element, llm: Finding, call: Call, rules: Mapping[str, RuleFinding]
) -> Finding:
    by_llm = None if llm.reason is Reason.AGENT_FAILED else llm.status
    found = rules.get(element.id)
    if found is None:
        return replace(llm, by_llm=by_llm)
    by_rules = _ruled(element, found, call)
    return replace(combine(llm, by_rules), by_rules=by_rules.status, by_llm=by_llm)


def _ruled(element: Element, found: RuleFinding, call: Call) -> Finding:
    """Give what the rules found, as far as it stands in the transcript, word for word."""
    texts = {segment.id: segment.text for segment in call.segments}
    stands = tuple(part for part in found.evidence if part.quote in texts.get(part.segment_id, ""))
    if not stands:
        return Finding(element, "undetermined", Reason.NO_RULE_MATCHED)
    return Finding(element, PRESENT[element.kind], Reason.EVIDENCE_FOUND, "rules", stands)
