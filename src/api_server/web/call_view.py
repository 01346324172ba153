"""One call as the page shows it: findings with proof and decisions, and the strip. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api_server.compliance.findings import REASON_TEXT, Reason
from api_server.compliance.rubric import Element, Rubric
from api_server.models import TranscribeResponse
from api_server.store.decisions import (
    MOST_WORDS,
    Action,
    DecisionRecord,
    NewDecision,
    Standing,
    standing,
)
from api_server.store.review_records import SAMPLE, ReviewedCase, Visitor
from api_server.web import words
from api_server.web.errors import Refused
from api_server.web.facts import elements_of, is_unsure, is_wanted
from api_server.web.identity import MAY
from api_server.web.roles import RolesView, roles_view
from api_server.web.sentences import MarkedCall, Quote, Sentence
from api_server.web.words import Pair, Tone
from stt_engine.speech import Segment

_DIGITS = 19
_STRIP = 800
_WORST: tuple[Tone, ...] = ("bad", "warn", "good", "quiet")
_PRESENT = {"prohibited": "violated", "required": "satisfied", SAMPLE: "not_found"}
_OPPOSITE = {
    "violated": "not_found",
    "not_found": "violated",
    "satisfied": "not_found",
}


@dataclass(frozen=True, slots=True)
class FindingView:
    """One element of an answer, and what people made of it.

    ``claim``: the status that accepting means, ``None`` where there is nothing to accept.
    """

    id: str
    article: str
    title: str
    kind: str
    status: str
    label: Pair
    tone: Tone
    hint: Pair | None
    confidence: float | None
    needed: float | None
    reason: Pair
    explanation: str | None
    source: Pair
    tiers: Mapping[str, Any]
    disagreement: bool
    quotes: tuple[Quote, ...]
    rejected_quotes: tuple[str, ...]
    definition: Element | None
    wanted: bool
    claim: str | None
    denial: str | None
    standing: Standing
    history: tuple[DecisionRecord, ...]
    seen: int
    may_decide: bool
    may_undo: bool
    may_object: bool

    @property
    def decided(self) -> tuple[Pair, Tone] | None:
        """The words and tone of what people have decided so far."""
        if not self.standing.live or self.standing.status is None:
            return None
        return words.STATUS[self.kind, self.standing.status]

    def word_of(self, status: str | None) -> Pair:
        """Return the words of a status of this element."""
        return words.STATUS[self.kind, status][0] if status else ("", "")

    @property
    def choices(self) -> tuple[str, ...]:
        """The statuses that a person may give it."""
        if self.kind == SAMPLE:
            return ("not_found",)
        return (_PRESENT[self.kind], "not_found", "not_applicable", "undetermined")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the strip: seconds, and on which channel (``None``: all)."""

    start: float
    end: float
    channel: int | None
    reason: Pair
    speech_sec: float | None = None


@dataclass(frozen=True, slots=True)
class CallView:
    """A call as the page shows it."""

    record: ReviewedCase
    revision: int
    answer: TranscribeResponse
    duration: float
    channels: int
    sentences: tuple[Sentence, ...]
    findings: tuple[FindingView, ...]
    unheard: tuple[Stretch, ...]
    unsure: bool
    checked: bool
    rubric_version: str | None
    rubric_sha256: str | None
    rubric_now: Rubric
    withheld: bool
    roles: RolesView
    llm_waits: bool
    comments: tuple[DecisionRecord, ...]
    older: tuple[DecisionRecord, ...]

    @property
    def to_decide(self) -> tuple[FindingView, ...]:
        """What a person has to decide, or has decided."""
        return tuple(one for one in self.findings if one.wanted or one.standing.live)

    @property
    def others(self) -> tuple[FindingView, ...]:
        """What nobody has to decide."""
        return tuple(one for one in self.findings if not (one.wanted or one.standing.live))

    @property
    def waiting(self) -> int:
        """How many findings wait for a decision of anybody."""
        return sum(one.standing.state in {"open", "second", "third"} for one in self.findings)

    @property
    def lanes(self) -> list[tuple[int, str | None]]:
        """Each channel, and who speaks on it where that is one person."""
        found = []
        for channel in range(self.channels):
            speakers = {one.speaker for one in self.sentences if one.channel == channel}
            found.append((channel, speakers.pop() if len(speakers) == 1 else None))
        return found

    @property
    def heard(self) -> list[tuple[int, float, float]]:
        """What became of text, as few stretches (channel, start, end) as the strip can show."""
        gap, found = self.duration / _STRIP, []
        for channel in range(self.channels):
            of = [(one.start, one.end) for one in self.sentences if one.channel == channel]
            found += [(channel, *one) for one in joined(of, gap)]
        return found

    def tone_of(self, elements: Sequence[str]) -> Tone:
        """Return the tone of words that are evidence of ``elements``: the worst one's."""
        tones: dict[str, Tone] = {one.id: one.tone for one in self.findings}
        found = {tones[one] for one in elements}
        return next(one for one in _WORST if one in found)

    @property
    def marks(self) -> list[tuple[FindingView, Quote]]:
        """Every piece of evidence with a time."""
        return [
            (one, quote)
            for one in self.to_decide
            for quote in one.quotes
            if quote.start is not None
        ]


def build_view(
    record: ReviewedCase,
    answer: TranscribeResponse,
    plain: Sequence[Segment],
    shown: Sequence[Segment] | None,
    rubric: Rubric,
    visitor: Visitor,
    *,
    llm_waits: bool = False,
) -> CallView:
    """Return a call as ``visitor`` sees it; ``shown=None``: its text must not be shown.

    ``llm_waits``: a person has swapped the roles, and the LLM has not judged them yet.
    """
    revision = record.revisions[-1].number
    now = [one for one in record.decisions if one.revision == revision]
    marked = MarkedCall(plain, shown or ())
    checked = answer.incomplete_elements or {}
    definitions = {one.id: one for one in rubric.elements}
    needed = (checked.get("certainty") or {}).get("needed", {})
    findings = [
        _finding(one, needed.get(one["id"]), definitions.get(one["id"]), marked, record, visitor)
        for one in elements_of(answer)
    ]
    if record.sampled:
        findings.append(_finding(_SAMPLED, None, None, marked, record, visitor))
    findings.sort(key=_order)
    coverage = answer.coverage
    return CallView(
        record=record,
        revision=revision,
        answer=answer,
        duration=answer.duration,
        channels=max(1, len(coverage.channels) if coverage else 0, _channels(plain)),
        sentences=tuple(marked.sentences()),
        findings=tuple(findings),
        unheard=tuple(
            Stretch(one.start, one.end, one.channel, words.UNHEARD[one.reason], one.speech_sec)
            for one in (coverage.unheard if coverage else ())
        ),
        unsure=is_unsure(answer),
        checked=bool(checked),
        rubric_version=checked.get("rubric_version"),
        rubric_sha256=checked.get("rubric_sha256"),
        rubric_now=rubric,
        withheld=shown is None,
        roles=roles_view(plain, record.decisions, revision),
        llm_waits=llm_waits,
        comments=tuple(one for one in now if not one.element),
        older=tuple(one for one in record.decisions if one.revision != revision),
    )


_SAMPLED: Mapping[str, Any] = {
    "id": SAMPLE,
    "article": "",
    "title": "표본: 놓친 것이 없는지 듣기",
    "kind": SAMPLE,
    "status": "not_found",
    "reason": "",
    "explanation": None,
    "source": None,
    "tiers": {},
    "disagreement": False,
    "evidence": (),
}
"""What a person decides on a call in which nothing was found."""


def joined(stretches: Sequence[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Return stretches of time in their order, with those joined that are at most ``gap`` apart."""
    found: list[tuple[float, float]] = []
    for start, end in stretches:
        if found and start - found[-1][1] <= gap:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _channels(segments: Sequence[Segment]) -> int:
    return min(2, max((one.channel for one in segments), default=0) + 1)


def _order(one: FindingView) -> tuple[int, float]:
    ranks = {"bad": 0, "warn": 1, "good": 3, "quiet": 2}
    sure = one.confidence if one.confidence is not None else 0.5
    return (0 if one.wanted else 4) + ranks[one.tone], abs(2 * sure - 1)


def _finding(
    one: Mapping[str, Any],
    needed: float | None,
    definition: Element | None,
    marked: MarkedCall,
    record: ReviewedCase,
    visitor: Visitor,
) -> FindingView:
    revision = record.revisions[-1].number
    history = tuple(
        row for row in record.decisions if row.element == one["id"] and row.revision == revision
    )
    wanted = one["kind"] == SAMPLE or is_wanted(one)
    now = standing(history, one["kind"], one["status"], wanted=wanted)
    label, tone = words.STATUS[one["kind"], one["status"]]
    hint = _hint(one)
    quotes = [marked.mark(one["id"], evidence) for evidence in one["evidence"]]
    claim = _claim(one)
    may = MAY[visitor.role]
    last = now.live[-1] if now.live else None
    return FindingView(
        id=one["id"],
        article=one["article"],
        title=one["title"],
        kind=one["kind"],
        status=one["status"],
        label=label,
        tone="warn" if hint and wanted else tone,
        hint=hint,
        confidence=one.get("confidence"),
        needed=needed,
        reason=_reason(one["reason"]),
        explanation=one["explanation"],
        source=words.SOURCE.get(one["source"], words.SOURCE[None]),
        tiers=one["tiers"],
        disagreement=one["disagreement"],
        quotes=tuple(quote for quote in quotes if quote is not None),
        rejected_quotes=tuple(one.get("rejected_quotes", ())),
        definition=definition,
        wanted=wanted,
        claim=claim,
        denial=_denied(one["kind"], claim),
        standing=now,
        history=history,
        seen=max((row.seq for row in history if row.action != "comment"), default=0),
        may_decide="decide" in may and now.may_decide(visitor.name, senior="settle" in may),
        may_undo="decide" in may and last is not None and last.actor == visitor.name,
        may_object="decide" in may and now.may_object,
    )


def _hint(one: Mapping[str, Any]) -> Pair | None:
    """Return the word beside a status that is none yet."""
    if one["status"] != "undetermined" or not one["evidence"]:
        return None
    return {"suspected": words.SUSPECTED, "doubted": words.DOUBTED}.get(one["reason"], words.LOOK)


def _reason(code: str) -> Pair:
    try:
        return REASON_TEXT[Reason(code)], code.replace("_", " ")
    except ValueError:
        return code, code


def _claim(one: Mapping[str, Any]) -> str | None:
    """Return the status that the machine states, or that the words suggest."""
    if one["status"] != "undetermined":
        return str(one["status"])
    return _PRESENT[one["kind"]] if one["evidence"] else None


def _denied(kind: str, claim: str | None) -> str | None:
    """Return the status that a rejection of ``claim`` means."""
    if claim is None or claim == "not_applicable" or kind == SAMPLE:
        return None
    if claim == "not_found":
        return _PRESENT[kind]
    return _OPPOSITE[claim]


def new_decision(
    view: CallView, visitor: Visitor, action: Action, element: str, form: Mapping[str, str]
) -> NewDecision:
    """Return what a form says, in the words of the store.

    Raises:
        Refused: it says what cannot be.
    """
    found = next((one for one in view.findings if one.id == element), None)
    swaps = action == "swap_roles" and view.roles.by_voice
    if found is None and not ((action == "comment" or swaps) and not element):
        raise Refused(400, words.REFUSED["no_element"])
    if found is not None and action == "swap_roles":
        raise Refused(400, words.REFUSED["bad_status"])
    reason, quote = form.get("reason", "").strip(), form.get("quote", "").strip()
    if len(reason) > MOST_WORDS or len(quote) > MOST_WORDS:
        raise Refused(400, words.REFUSED["too_long"])
    status, other = None, None
    if found is not None and action in {"accept", "reject", "change"}:
        status = _status(found, action, form.get("status"))
        other = form.get("other") or None if action == "change" else None
        if other == element or (other and other not in {one.id for one in view.findings}):
            raise Refused(400, words.REFUSED["no_element"])
    return NewDecision(
        action=action,
        element=element,
        actor=visitor.name,
        senior="settle" in MAY[visitor.role],
        reason=reason,
        status=status,
        machine_status=found.status if found else None,
        other_element=other,
        quote=quote or None,
        seen=_number(form.get("seen") or "0"),
        rubric_version=view.rubric_version or "",
    )


def _number(given: str) -> int:
    """Return the number of a row; what is none is no row's."""
    return int(given) if given.isdecimal() and len(given) < _DIGITS else -1


def _status(found: FindingView, action: Action, given: str | None) -> str:
    status = {"accept": found.claim, "reject": found.denial, "change": given}[action]
    fixed = found.kind == SAMPLE and action != "accept"
    if status is None or status not in found.choices or fixed:
        raise Refused(400, words.REFUSED["bad_status"])
    return status
