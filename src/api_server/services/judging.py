"""How a claim becomes a finding. Pure.

A claim of presence needs a quote that is in the transcript; a claim of absence needs the whole
call, and an agent that proved that it read it to the end. There is no default: whatever is not
established is ``undetermined``, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from api_server.services.evidence import Evidence, TranscriptIndex, is_trivial, normalise
from api_server.services.findings import (
    PRESENT,
    Call,
    Claim,
    Finding,
    Part,
    Reading,
    Reason,
    RuleFinding,
    Status,
)
from api_server.services.rubric import Element, Rubric
from stt_engine.speech import Segment

WINDOW = 3
"""Utterances at either end of a call in which the words that prove a reading may be."""
MIN_READ_CHARS = 8
"""Letters and digits of such words: a greeting can be guessed. A shorter utterance: all of it."""


def open_findings(rubric: Rubric, reason: Reason) -> tuple[Finding, ...]:
    """Give every element as undetermined: the result when nobody could examine the call."""
    return tuple(Finding(element, "undetermined", reason) for element in rubric.elements)


def provable(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Give the utterances that can prove a reading: "네" stands in every call."""
    return tuple(segment for segment in segments if not is_trivial(segment.text))


def reading(parts: Sequence[Part]) -> Reading:
    """Tell whether an agent read a call from its beginning to its end, chunk by chunk."""
    read: set[Reading] = {_reading(part) for part in parts} or {"not_asked"}
    return read.pop() if len(read) == 1 else "not_proved"


def _reading(part: Part) -> Reading:
    """Tell it of one chunk.

    A model that saw a part of it only, or none, can say ``not_found`` of everything in perfect
    form. A call in which no utterance has three letters proves no reading.
    """
    if not part.call.segments:
        return "not_asked"
    utterances = provable(part.call.segments)
    ends = (utterances[:WINDOW], utterances[-WINDOW:])
    words = (part.review.first, part.review.last) if part.review else ("", "")
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
    return _prove(element, claim.quote, call)


def _absent(element: Element, status: Status, reason: Reason, call: Call, read: Reading) -> Finding:
    """Give a claim of absence, or of a condition that never came up: it needs the whole call."""
    if not call.coverage.suffices(element.said_by):
        return Finding(element, "undetermined", Reason.TRANSCRIPT_DEGRADED)
    if read != "proved":
        return Finding(element, "undetermined", Reason.READING_NOT_PROVED)
    return Finding(element, status, reason, "llm")


def _prove(element: Element, quote: str, call: Call) -> Finding:
    """Give ``element`` as said where the quote proves it, else as undetermined."""
    proof = _proof(element, quote, call.index)
    if isinstance(proof, Reason):
        return Finding(element, "undetermined", proof, rejected_quotes=_shown(quote))
    return Finding(element, PRESENT[element.kind], Reason.EVIDENCE_FOUND, "llm", proof)


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
        by_llm=llm.by_llm,
        llm_reason=llm.llm_reason,
    )


def examine(
    rubric: Rubric,
    segments: Sequence[Segment],
    parts: Sequence[Part],
    rules: Mapping[str, RuleFinding],
) -> tuple[Finding, ...]:
    """Give one finding per element, in order, from the agent's answers and the rules."""
    answered = any(part.review is not None for part in parts)
    return tuple(
        _outside(element)
        if not element.applicable and answered
        else _joined(element, _opinion(element, parts), segments, rules)
        for element in rubric.elements
    )


def _outside(element: Element) -> Finding:
    return Finding(element, "not_applicable", Reason.OUTSIDE_CALL)


def _opinion(element: Element, parts: Sequence[Part]) -> Finding:
    """Join what an agent said of each chunk."""
    return merged([_opinion_on(element, part) for part in parts])


def _opinion_on(element: Element, part: Part) -> Finding:
    claim = part.review.claims.get(element.id) if part.review else None
    if claim is None:
        return Finding(element, "undetermined", Reason.AGENT_FAILED)
    finding = _judge(element, claim, part.call, _reading(part))
    return replace(finding, explanation=claim.reason.strip() or None)


def merged(found: Sequence[Finding]) -> Finding:
    """Give what holds of the whole call: one chunk proves presence, all of them absence."""
    element = found[0].element
    said = [one for one in found if one.evidence]
    open_ones = [one for one in found if not one.established]
    waived = all(one.status == "not_applicable" for one in found)
    absent = [one for one in found if waived or one.status == "not_found"]
    chosen = (said or open_ones or absent)[0]
    rejected = dict.fromkeys(quote for one in found for quote in one.rejected_quotes)
    return Finding(
        element,
        chosen.status,
        chosen.reason,
        chosen.source,
        tuple(dict.fromkeys(part for one in said for part in one.evidence)),
        next((one.explanation for one in (chosen, *found) if one.explanation), None),
        tuple(rejected),
    )


def _joined(
    element: Element, llm: Finding, segments: Sequence[Segment], rules: Mapping[str, RuleFinding]
) -> Finding:
    by_llm = None if llm.reason is Reason.AGENT_FAILED else llm.status
    llm = replace(llm, by_llm=by_llm, llm_reason=llm.reason)
    found = rules.get(element.id)
    if found is None:
        return llm
    by_rules = _ruled(element, found, segments)
    return replace(combine(llm, by_rules), by_rules=by_rules.status)


def _ruled(element: Element, found: RuleFinding, segments: Sequence[Segment]) -> Finding:
    """Give what the rules found, as far as it stands in the transcript, word for word."""
    texts = {segment.id: segment.text for segment in segments}
    stands = tuple(part for part in found.evidence if part.quote in texts.get(part.segment_id, ""))
    if not stands:
        return Finding(element, "undetermined", Reason.NO_RULE_MATCHED)
    return Finding(element, PRESENT[element.kind], Reason.EVIDENCE_FOUND, "rules", stands)
