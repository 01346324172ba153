"""What people's decisions on one finding come to: who is next, and what holds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from api_server.store.errors import DecisionRefused

Action = Literal["accept", "reject", "change", "undo", "comment", "object", "swap_roles"]
DECIDING: tuple[Action, ...] = ("accept", "reject", "change")

ReviewState = Literal["none", "open", "second", "third", "settled"]
"""Nothing to decide; nobody has; one person has, and another one is needed; two have, and differ,
or the agent objects; it is decided."""
WAITING: tuple[ReviewState, ...] = ("open", "second", "third")

VIOLATION = {"prohibited": "violated", "required": "not_found", "sample": "violated"}
"""The status that accuses somebody, by kind of element: it, or its end, takes two people."""

MOST_WORDS = 4_000
"""Characters of a reason, a comment or a quote."""


@dataclass(frozen=True, slots=True)
class NewDecision:
    """What a person wants to add. ``seen``: the last row on this element that they knew of."""

    action: Action
    element: str
    actor: str
    senior: bool = False
    reason: str = ""
    status: str | None = None
    machine_status: str | None = None
    other_element: str | None = None
    quote: str | None = None
    seen: int = 0
    rubric_version: str = ""


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A row of the decisions, in the words of :class:`NewDecision`."""

    seq: int
    revision: int
    element: str
    action: Action
    status: str | None
    other_element: str | None
    quote: str | None
    reason: str
    actor: str
    made_at: float
    undoes: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a finding stands; ``live`` are the decisions that were not undone, in their order.

    ``accuses``: what was decided last accuses somebody; ``objected``: the agent has objected to it.
    """

    state: ReviewState
    status: str | None = None
    other_element: str | None = None
    live: tuple[DecisionRecord, ...] = ()
    accuses: bool = False
    objected: bool = False

    @property
    def may_object(self) -> bool:
        """Return whether there is something to object to; once for each decision."""
        return self.state == "settled" and self.accuses and not self.objected

    @property
    def actors(self) -> tuple[str, ...]:
        """Who has decided, in their order."""
        return tuple(one.actor for one in self.live)

    def may_decide(self, actor: str, *, senior: bool) -> bool:
        """Return whether ``actor`` is one who can decide next."""
        if self.state == "settled" or actor in self.actors:
            return False
        return senior or self.state != "third"


def standing(
    rows: Sequence[DecisionRecord], kind: str, machine_status: str | None, *, wanted: bool
) -> Standing:
    """Return where a finding of an element of ``kind`` stands after ``rows``, its decisions.

    One person alone neither accuses anybody nor takes back what the machine accuses them of.
    """
    undone = {one.undoes for one in rows}
    live = tuple(one for one in rows if one.action in DECIDING and one.seq not in undone)
    if not live:
        return Standing("open" if wanted else "none")
    first = live[0]
    if len(live) == 1:
        accuses = first.other_element is not None or VIOLATION[kind] in {
            first.status,
            machine_status,
        }
        state: ReviewState = "second" if accuses else "settled"
        return Standing(state, first.status, first.other_element, live)
    last = live[-1]
    agree = _verdict(first) == _verdict(live[1])
    settled = agree or len(live) > 2  # noqa: PLR2004 - the third person
    accuses = last.other_element is not None or last.status == VIOLATION[kind]
    objected = any(one.action == "object" and one.seq > last.seq for one in rows)
    state = "settled" if settled and not objected else "third"
    return Standing(state, last.status, last.other_element, live, accuses, objected)


def _verdict(one: DecisionRecord) -> tuple[str | None, str | None]:
    return one.status, one.other_element


def check_new(new: NewDecision, rows: Sequence[DecisionRecord], now: Standing) -> int | None:
    """Return the ``seq`` that an undo undoes, ``None`` for others, where ``new`` may be added.

    Raises:
        DecisionRefused: it may not.
    """
    if new.action == "comment":
        _check_words(new)
        return None
    if new.seen != (rows[-1].seq if rows else 0):
        raise DecisionRefused("stale", "somebody has decided meanwhile; look again")
    if new.action == "swap_roles":
        return None
    if new.action == "object":
        if not now.may_object:
            raise DecisionRefused("nothing_to_object", "nothing is settled against anybody")
        _check_words(new)
        return None
    if new.action == "undo":
        if not now.live or now.live[-1].actor != new.actor:
            raise DecisionRefused("not_yours", "the last decision is not yours to undo")
        return now.live[-1].seq
    _check_decision(new, now)
    return None


def _check_decision(new: NewDecision, now: Standing) -> None:
    if now.state == "settled":
        raise DecisionRefused("settled", "it is decided already")
    if not now.may_decide(new.actor, senior=new.senior):
        who = "senior" if now.state == "third" and new.actor not in now.actors else "other"
        raise DecisionRefused(f"needs_{who}", "another person has to decide this")
    if new.action != "accept":
        _check_words(new)


def _check_words(new: NewDecision) -> None:
    if not new.reason.strip():
        raise DecisionRefused("no_reason", "it needs words")


def case_state(states: Sequence[ReviewState], wanted: int) -> ReviewState:
    """Return the state of a case of which the findings are in ``states``."""
    for one in WAITING:
        if one in states:
            return one
    return "settled" if wanted or "settled" in states else "none"
