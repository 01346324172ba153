"""Turn the LLM's verdicts and the rules' findings into findings. Pure.

Presence needs a quote that is in the transcript. Absence needs a complete transcript, and an LLM
that proved that it read all of it. There is no default: what is not established is
``undetermined``, with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from api_server.compliance.absence import bar_to_absence
from api_server.compliance.evidence import Evidence, QuoteMatch, normalise
from api_server.compliance.findings import (
    PRESENT,
    UNJUDGED,
    Finding,
    Reading,
    Reason,
    ReviewedChunk,
    RuleFinding,
    Source,
    Status,
    TranscriptChunk,
    Verdict,
)
from api_server.compliance.model_card import SUSPECTED
from api_server.compliance.reading import MarkedText
from api_server.compliance.rubric import Element, Rubric
from stt_engine.speech import Segment

_CONFIRMED = 0.4
"""Confidence of the model that makes up for a quote without a word that the rules know."""

LEAST_CERTAIN_SPEAKER = 0.8
"""Least certainty of a speaker, where voices were told apart, whose words may accuse."""


def build_undetermined_findings(rubric: Rubric, reason: Reason) -> tuple[Finding, ...]:
    """Return every element as undetermined: the result where the call could not be checked."""
    return tuple(Finding(element.ref, "undetermined", reason) for element in rubric.elements)


def check_chunks(chunks: Sequence[ReviewedChunk]) -> tuple[Reading, ...]:
    """Return of each chunk of a call whether the LLM proved that it read it to the end."""
    return tuple(_check_chunk(chunk) for chunk in chunks)


def combine_readings(chunks: Sequence[Reading]) -> Reading:
    """Return whether the LLM proved that it read every chunk of a call to the end."""
    readings: set[Reading] = set(chunks) or {"not_asked"}
    return readings.pop() if len(readings) == 1 else "not_proved"


def _check_chunk(reviewed: ReviewedChunk) -> Reading:
    """Return whether the LLM proved that it read one chunk.

    A model that received only part of it, or nothing, can still return a valid answer of all
    ``not_found``. Where no utterance has three letters, no reading can be proved.
    """
    chunk, review = reviewed.chunk, reviewed.review
    if not chunk.segments:
        return "not_asked"
    marked = MarkedText.of([one.text for one in chunk.segments], chunk.nonce)
    read = review is not None and marked.is_proved_by(review.read)
    return "proved" if read else "not_proved"


def _check_verdict(
    element: Element,
    verdict: Verdict,
    chunk: TranscriptChunk,
    read: Reading,
    weighed: RuleFinding | None,
) -> Finding:
    if verdict.status == "undetermined":
        return Finding(element.ref, "undetermined", Reason.AGENT_UNDETERMINED)
    if verdict.status == "not_found":
        return _check_absence(element, "not_found", Reason.NOT_SAID, chunk, read)
    if verdict.status == "not_applicable":
        if not element.applies_if:  # else an LLM could waive every duty
            return Finding(element.ref, "undetermined", Reason.ALWAYS_APPLIES)
        return _check_absence(element, "not_applicable", Reason.CONDITION_NOT_MET, chunk, read)
    if verdict.status != PRESENT[element.kind]:
        # "satisfied" for a prohibited element may mean "it was said" or "all is well", and a
        # refusal to do what is required is an element of its own: do not guess.
        rejected = _rejected(verdict.quote)
        return Finding(element.ref, "undetermined", Reason.KIND_MISMATCH, rejected_quotes=rejected)
    return _check_presence(element, verdict.quote, chunk, weighed)


def _check_absence(
    element: Element, status: Status, reason: Reason, chunk: TranscriptChunk, read: Reading
) -> Finding:
    """Return the finding on an absence, or an unmet condition: it needs the complete call."""
    bar = bar_to_absence(element, chunk.coverage, read)
    if bar is not None:
        return Finding(element.ref, "undetermined", bar)
    return Finding(element.ref, status, reason, "llm")


def _check_presence(
    element: Element, quote: str, chunk: TranscriptChunk, weighed: RuleFinding | None
) -> Finding:
    """Return ``element`` as said if the quote is evidence of it, else as undetermined.

    Rules know few words, and not how they are meant: where the rubric's model weighed the call, a
    quote needs its consent, and that makes up for words that the rules do not know.
    """
    evidence, objection = _find_evidence(element, quote, chunk)
    if objection is Reason.NOTHING_SAID and _confirms(weighed, evidence):
        objection = None
    if objection is Reason.TIERS_DIFFER:
        return Finding(element.ref, "undetermined", objection, evidence=evidence)
    if objection is not None:
        return Finding(element.ref, "undetermined", objection, rejected_quotes=_rejected(quote))
    found = _said(element, evidence, "llm", {one.id: one for one in chunk.segments})
    if found.established and _doubts(weighed, quote):
        return Finding(element.ref, "undetermined", Reason.TIERS_DIFFER, evidence=evidence)
    return found


def _confirms(weighed: RuleFinding | None, quoted: Sequence[Evidence]) -> bool:
    """Return whether the model finds the element in the words that are quoted."""
    if weighed is None or weighed.confidence is None or weighed.confidence < _CONFIRMED:
        return False
    return any(
        quote.segment_id == found.segment_id
        and (found.quote in quote.quote or _is_most_of(quote.quote, found.quote))
        for quote in quoted
        for found in weighed.evidence
    )


def _is_most_of(part: str, whole: str) -> bool:
    return part in whole and len(part) * 2 >= len(whole)


def _doubts(weighed: RuleFinding | None, quote: str) -> bool:
    """Return whether the model, which read Korean only, hardly thinks that the element is said."""
    sure = None if weighed is None else weighed.confidence
    return sure is not None and sure < SUSPECTED and any("가" <= char <= "힣" for char in quote)


def _said(
    element: Element, evidence: tuple[Evidence, ...], source: Source, said: Mapping[int, Segment]
) -> Finding:
    """Return ``element`` as said; what accuses the agent has to be said by a known speaker.

    A required notice accuses nobody: there the words of an unknown speaker count.
    """
    known = tuple(one for one in evidence if _is_certain(said[one.segment_id]))
    accuses = element.kind == "prohibited" and element.said_by == "agent"
    proof = known if accuses else evidence
    if not proof:
        return Finding(element.ref, "undetermined", Reason.SPEAKER_UNKNOWN, evidence=evidence)
    return Finding(element.ref, PRESENT[element.kind], Reason.EVIDENCE_FOUND, source, proof)


def _is_certain(segment: Segment) -> bool:
    """Return whether it is known who speaks: by a channel, a label, or a voice that is sure."""
    sure = segment.speaker_confidence
    return segment.speaker is not None and (sure is None or sure >= LEAST_CERTAIN_SPEAKER)


def _find_evidence(
    element: Element, quote: str, chunk: TranscriptChunk
) -> tuple[tuple[Evidence, ...], Reason | None]:
    """Return the quote's evidence, and why it is none, or ``None``."""
    matches = chunk.index.find(quote, without_customer=element.said_by == "agent")
    if not matches:
        anyone = element.said_by == "agent" and chunk.index.find(quote)
        return (), Reason.WRONG_SPEAKER if anyone else Reason.EVIDENCE_NOT_FOUND
    objections = [_find_objection(element, match, chunk) for match in matches]
    stated = [one for one, why in zip(matches, objections, strict=True) if why is None]
    evidence = tuple(one for match in stated or matches for one in match.evidence)
    return evidence, None if stated else objections[0]


def _find_objection(element: Element, match: QuoteMatch, chunk: TranscriptChunk) -> Reason | None:
    """Return why the words of a quote are no evidence where they stand, or ``None``."""
    sentence = normalise(match.sentence).text
    if any(normalise(denial).text in sentence for denial in element.denials):
        return Reason.DENIAL
    return chunk.quotes.find_objection(element, match.places)


def _contested(element: Element, verdict: Verdict, chunk: TranscriptChunk) -> tuple[Evidence, ...]:
    """Return the words that the LLM quotes and takes for something else than ``element``."""
    if verdict.status in {"undetermined", PRESENT[element.kind]}:
        return ()
    matches = chunk.index.find(verdict.quote)
    return tuple(one for match in matches for one in match.evidence)


def _rejected(quote: str) -> tuple[str, ...]:
    return (quote,) if quote.strip() else ()


def combine_tiers(llm: Finding, rules: Finding) -> Finding:
    """Combine both tiers: evidence outweighs an absence, and a known speaker an unknown one.

    Where both look at one sentence and differ, nothing is determined. What the rules doubt
    themselves is the LLM's to judge.
    """
    if rules.established and _same_words(rules.evidence, llm.contested):
        shown = tuple(dict.fromkeys(rules.evidence + llm.contested))
        differ = replace(llm, status="undetermined", reason=Reason.TIERS_DIFFER, source=None)
        return replace(differ, evidence=shown)
    doubted = rules.reason is Reason.DOUBTED and llm.reason not in UNJUDGED
    if not rules.evidence or doubted:
        return llm
    if llm.evidence and llm.established and not rules.established:
        return llm
    both = bool(llm.evidence) and llm.status == rules.status
    return replace(
        rules,
        source="both" if both and rules.established else rules.source,
        evidence=tuple(dict.fromkeys(rules.evidence + llm.evidence)) if both else rules.evidence,
        explanation=llm.explanation,
        rejected_quotes=llm.rejected_quotes,
        by_llm=llm.by_llm,
        llm_reason=llm.llm_reason,
    )


def _same_words(first: Sequence[Evidence], second: Sequence[Evidence]) -> bool:
    """Return whether two quotes have words in common."""
    return any(
        one.quote in other.quote or other.quote in one.quote
        for one in first
        for other in second
        if one.segment_id == other.segment_id
    )


def combine_findings(
    rubric: Rubric,
    segments: Sequence[Segment],
    chunks: Sequence[ReviewedChunk],
    readings: Sequence[Reading],
    rules: Mapping[str, RuleFinding],
) -> tuple[Finding, ...]:
    """Return one finding per element, in order, from the LLM's reviews and the rules.

    ``readings`` are those of the chunks, from :func:`check_chunks`.
    """
    answered = any(chunk.review is not None for chunk in chunks)
    said = {segment.id: segment for segment in segments}
    return tuple(
        _outside_call(element)
        if not element.applicable and answered
        else _combine(element, _llm_finding(element, chunks, readings, rules), said, rules)
        for element in rubric.elements
    )


def _outside_call(element: Element) -> Finding:
    return Finding(element.ref, "not_applicable", Reason.OUTSIDE_CALL)


def _llm_finding(
    element: Element,
    chunks: Sequence[ReviewedChunk],
    readings: Sequence[Reading],
    rules: Mapping[str, RuleFinding],
) -> Finding:
    """Return the LLM's finding on the whole call."""
    parts, weighed = zip(chunks, readings, strict=True), rules.get(element.id)
    return merge_chunks([_chunk_finding(element, chunk, read, weighed) for chunk, read in parts])


def _chunk_finding(
    element: Element, reviewed: ReviewedChunk, read: Reading, weighed: RuleFinding | None
) -> Finding:
    verdict = reviewed.review.verdicts.get(element.id) if reviewed.review else None
    if reviewed.review is None and reviewed.sent:
        return Finding(element.ref, "undetermined", Reason.AGENT_FAILED)
    if verdict is None:
        return Finding(element.ref, "undetermined", Reason.NOT_ASKED)
    finding = _check_verdict(element, verdict, reviewed.chunk, read, weighed)
    contested = _contested(element, verdict, reviewed.chunk)
    return replace(finding, explanation=verdict.reason.strip() or None, contested=contested)


def merge_chunks(found: Sequence[Finding]) -> Finding:
    """Return the finding on the whole call: one chunk proves presence, all of them absence."""
    element = found[0].element
    present = [one for one in found if one.evidence and one.established]
    undetermined = sorted(
        (one for one in found if not one.established), key=lambda one: not one.evidence
    )
    waived = all(one.status == "not_applicable" for one in found)
    absent = [one for one in found if waived or one.status == "not_found"]
    chosen = (present or undetermined or absent)[0]
    rejected = dict.fromkeys(quote for one in found for quote in one.rejected_quotes)
    return Finding(
        element,
        chosen.status,
        chosen.reason,
        chosen.source,
        tuple(dict.fromkeys(part for one in present or undetermined for part in one.evidence)),
        next((one.explanation for one in (chosen, *found) if one.explanation), None),
        tuple(rejected),
        contested=tuple(dict.fromkeys(part for one in found for part in one.contested)),
    )


def _combine(
    element: Element, llm: Finding, said: Mapping[int, Segment], rules: Mapping[str, RuleFinding]
) -> Finding:
    by_llm = None if llm.reason in UNJUDGED else llm.status
    if llm.reason is Reason.TIERS_DIFFER:
        by_llm = PRESENT[element.kind]
    llm = replace(llm, by_llm=by_llm, llm_reason=llm.reason)
    found = rules.get(element.id)
    if found is None:
        return llm
    by_rules = _rules_finding(element, found, said)
    combined = combine_tiers(llm, by_rules)
    return replace(combined, by_rules=by_rules.status, confidence=found.confidence)


def _rules_finding(element: Element, found: RuleFinding, said: Mapping[int, Segment]) -> Finding:
    """Return the rules' finding, with the evidence that is literally in the transcript's texts."""
    evidence = tuple(
        one
        for one in found.evidence
        if one.segment_id in said and one.quote in said[one.segment_id].text
    )
    if not evidence:
        return Finding(element.ref, "undetermined", Reason.NO_RULE_MATCHED)
    if found.certainty != "certain":
        reason = Reason(found.certainty)
        return Finding(element.ref, "undetermined", reason, evidence=evidence)
    return _said(element, evidence, "rules", said)
