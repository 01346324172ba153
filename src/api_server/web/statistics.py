"""How often people and the machine agree, and what else is counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt

from api_server.store.decisions import VIOLATION
from api_server.store.review_records import Tally

Z = 1.959964
"""Standard errors on either side of a value that make an interval of 95 %."""

LEAST = 10
"""Judgements below which no kappa is given: it would say nothing."""

_CLEAR = {"prohibited": {"not_found"}, "required": {"satisfied"}}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval of 95 %, from ``of`` judgements."""

    value: float
    low: float
    high: float
    of: int


@dataclass
class Numbers:
    """The counts of one group.

    ``confirmed``, ``rejected`` and ``left_open`` are what people settled of what they had to decide
    (``left_open``: that it cannot be determined); ``missed`` is what they found where the machine
    had accused of nothing. ``both`` counts judgements by (machine accuses, people accuse).
    """

    calls: int = 0
    checked: int = 0
    accused: int = 0
    suspected: int = 0
    undetermined: int = 0
    waiting: int = 0
    confirmed: int = 0
    rejected: int = 0
    left_open: int = 0
    missed: int = 0
    both: dict[tuple[bool, bool], int] = field(default_factory=dict)

    @property
    def precision(self) -> Estimate | None:
        """The share of the machine's accusations that people confirmed."""
        right, wrong = self.both.get((True, True), 0), self.both.get((True, False), 0)
        return share(right, right + wrong)

    @property
    def kappa(self) -> Estimate | None:
        """Cohen's kappa of the machine and people."""
        return kappa(self.both)


def share(part: int, whole: int) -> Estimate | None:
    """Return a share with Wilson's interval; ``None`` of nothing."""
    if whole == 0:
        return None
    value = part / whole
    middle = value + Z * Z / (2 * whole)
    reach = Z * sqrt(value * (1 - value) / whole + Z * Z / (4 * whole * whole))
    scale = 1 + Z * Z / whole
    low, high = (middle - reach) / scale, (middle + reach) / scale
    return Estimate(value, max(0.0, low), min(1.0, high), whole)


def kappa(both: Mapping[tuple[bool, bool], int]) -> Estimate | None:
    """Return Cohen's kappa; ``None`` of few judgements, or where chance alone explains them all.

    Its interval is that of the share on which both agree, with chance held fixed: unlike the usual
    one it does not shrink to nothing where few judgements all agree.
    """
    whole = sum(both.values())
    agreed = share(both.get((True, True), 0) + both.get((False, False), 0), whole)
    if agreed is None or whole < LEAST:
        return None
    machine = (both.get((True, True), 0) + both.get((True, False), 0)) / whole
    people = (both.get((True, True), 0) + both.get((False, True), 0)) / whole
    chance = machine * people + (1 - machine) * (1 - people)
    if chance >= 1:
        return None
    value, low, high = (
        (one - chance) / (1 - chance) for one in (agreed.value, agreed.low, agreed.high)
    )
    return Estimate(value, max(-1.0, low), high, whole)


def group_up(
    tallies: Iterable[Tally], calls: Mapping[str | int | None, int], *, by_element: bool
) -> dict[str | int | None, Numbers]:
    """Return the numbers of each group.

    Words that people called another element's violation are that element's ``missed``.
    """
    found = {group: Numbers(calls=number) for group, number in calls.items()}
    for one in tallies:
        _add(found.setdefault(one.group, Numbers()), one)
        if one.moved_to is not None:
            other = one.moved_to if by_element else one.group
            found.setdefault(other, Numbers()).missed += one.number
    return found


def total_of(groups: Iterable[Numbers], calls: int) -> Numbers:
    """Return the sum of groups."""
    found = Numbers(calls=calls)
    for one in groups:
        for name in (
            "checked accused suspected undetermined waiting confirmed rejected left_open missed"
        ).split():
            setattr(found, name, getattr(found, name) + getattr(one, name))
        for cell, number in one.both.items():
            found.both[cell] = found.both.get(cell, 0) + number
    return found


def _add(to: Numbers, one: Tally) -> None:
    accuses = one.status == VIOLATION[one.kind]
    to.checked += one.number
    to.accused += one.number * accuses
    to.suspected += one.number * (one.wanted and one.status == "undetermined")
    to.undetermined += one.number * (one.status == "undetermined" and not one.wanted)
    to.waiting += one.number * one.waits
    if one.decided is None:
        return
    confirms = one.decided == VIOLATION[one.kind] and one.moved_to is None
    opened = one.decided == "undetermined" and one.moved_to is None
    if one.wanted:
        to.confirmed += one.number * confirms
        to.left_open += one.number * opened
        to.rejected += one.number * (not confirms and not opened)
    else:
        to.missed += one.number * confirms
    if not opened and (accuses or one.status in _CLEAR[one.kind]):
        cell = accuses, confirms
        to.both[cell] = to.both.get(cell, 0) + one.number
