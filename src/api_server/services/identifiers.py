"""Which groups of digits are somebody's number: the choice that explains most of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import islice, pairwise, product
from operator import itemgetter

from api_server.services.number_forms import BIRTH, Candidate, Kind, Surroundings, classify
from api_server.services.spoken_digits import Gap, Group, Reading, Run, runs

Span = tuple[int, int]
"""From where to where in the text."""

_TAKEN_BACK = re.compile(r"아니")
_MIN_REPEAT = 2
_FEW = 2
_MAX_DIGITS = 17
_MIN_DIGITS = 7
_MAX_READINGS = 81


@dataclass(frozen=True, slots=True)
class Identifier:
    """One number that was found.

    ``spans`` of the text are its characters, ``parts`` its digits as they were grouped; ``weight``
    is how many digits it explains, and how well; ``sureness`` the latter alone.
    """

    label: str
    spans: tuple[Span, ...]
    parts: tuple[str, ...]
    weight: float
    sureness: float


def numbers(text: str) -> Iterator[Identifier]:
    """Give the numbers of persons in the folded ``text``."""
    for run in runs(text):
        _, found, dropped = max(
            (_told(text, *telling) for telling in _tellings(text, run)), key=itemgetter(0)
        )
        for one in (one for one in found if one.label):
            yield replace(one, spans=(*one.spans, *dropped))
            dropped = ()


def _told(
    text: str, run: Run, dropped: tuple[Span, ...]
) -> tuple[tuple[float, int], list[Identifier], tuple[Span, ...]]:
    """Give what a telling holds; the best is that whose least sure number is surest.

    Among equals it is the one that leaves fewer digits over.
    """
    found = _best(text, run)
    least = min((one.sureness for one in found), default=-1.0)
    digits = sum(len(group.likely.digits) for group in run.groups)
    explained = sum(map(len, (part for one in found for part in one.parts)))
    return (least, explained - digits), found, dropped


def _tellings(text: str, run: Run) -> Iterator[tuple[Run, tuple[Span, ...]]]:
    """Give the run as it stands, and without repeats and false starts, whose spans go along."""
    yield run, ()
    for dropped in (_echoes(text, run), *_false_starts(text, run)):
        if dropped:
            spans = tuple((start, reading.end) for start, reading in dropped.items())
            yield _without(run, dropped.keys()), spans


def _echoes(text: str, run: Run) -> dict[int, Reading]:
    """Give what only says again what stands before it: 공일공 / 공일공이요? / 일이삼사."""
    found: dict[int, Reading] = {}
    for left, right in pairwise(run.groups):
        said = {one.digits for one in left.readings if len(one.digits) >= _MIN_REPEAT}
        again = [one for one in right.readings if one.digits in said]
        if again and "\n" in text[left.end : right.start]:
            found[right.start] = again[0]
    return found


def _false_starts(text: str, run: Run) -> Iterator[dict[int, Reading]]:
    """Give what is taken back: the group before 아니, or all that was said before."""
    after = [
        place
        for place, (left, right) in enumerate(pairwise(run.groups), 1)
        if _TAKEN_BACK.search(text, left.end, right.start)
    ]
    yield {run.groups[place - 1].start: run.groups[place - 1].likely for place in after}
    yield {group.start: group.likely for group in run.groups[: max(after, default=0)]}


def _without(run: Run, dropped: AbstractSet[int]) -> Run:
    groups: list[Group] = []
    gaps: list[Gap] = []
    widest = Gap.TIGHT
    for group, gap in zip(run.groups, (Gap.TIGHT, *run.gaps), strict=True):
        widest = max(widest, gap)
        if group.start not in dropped:
            gaps.append(widest)
            groups.append(group)
            widest = Gap.TIGHT
    return Run(groups, gaps[1:])


def _best(text: str, run: Run) -> list[Identifier]:
    """Give the identifiers that together explain most of a run's digits, the last one first."""
    scores = [0.0]
    chosen: list[tuple[int, Identifier | None]] = [(0, None)]
    for end, group in enumerate(run.groups, 1):
        score = scores[-1] - _cost_outside(group)
        choice: tuple[int, Identifier | None] = (end - 1, None)
        for start, found in _ending_at(text, run, end):
            if scores[start] + found.weight > score:
                score, choice = scores[start] + found.weight, (start, found)
        scores.append(score)
        chosen.append(choice)
    return list(_taken(chosen))


def _taken(chosen: Sequence[tuple[int, Identifier | None]]) -> Iterator[Identifier]:
    end = len(chosen) - 1
    while end:
        end, found = chosen[end]
        if found:
            yield found


def _cost_outside(group: Group) -> float:
    """Digits that stay over speak against a choice; a lone syllable is rather a word."""
    if BIRTH.fullmatch(group.likely.digits):
        return 0.0  # a date of birth is often said before the next number
    return 0.5 if len(group.digits) == 1 else float(min(len(group.digits), _MAX_DIGITS))


def _ending_at(text: str, run: Run, end: int) -> Iterator[tuple[int, Identifier]]:
    """Give what the groups before ``end`` can be, with the place where it starts."""
    if end < len(run.groups) and run.gaps[end - 1] is Gap.TIGHT:
        return  # what is joined by hyphens is one number
    least, most, one_piece = 0, 0, True
    for start in range(end - 1, -1, -1):
        least += len(run.groups[start].likely.digits)
        most += len(run.groups[start].digits)
        one_piece = one_piece and (start == end - 1 or run.gaps[start] is Gap.TIGHT)
        if least > _MAX_DIGITS and not one_piece:
            return
        if most >= _MIN_DIGITS and (start == 0 or run.gaps[start - 1] is not Gap.TIGHT):
            found = _identify(text, run, start, end)
            if found:
                yield start, found


def _identify(text: str, run: Run, start: int, end: int) -> Identifier | None:
    groups, gaps = run.groups[start:end], run.gaps[start : end - 1]
    around = Surroundings(text, run.groups[0].start, groups[0].start, groups[-1].end)
    best: Identifier | None = None
    for readings in islice(product(*_choices(groups)), _MAX_READINGS):
        number = Candidate(groups, gaps, readings, around)
        kind = classify(number) if len(number.digits) >= _MIN_DIGITS else None
        found = kind and _identifier(groups, gaps, readings, kind)
        if found and (best is None or found.weight > best.weight):
            best = found
    return best


def _choices(groups: Sequence[Group]) -> list[tuple[Reading, ...]]:
    """Give the readings of each group; among digits said one by one, a lone 이 is a digit."""
    lone = sum(len(group.digits) == 1 for group in groups)
    if lone <= _FEW:
        return [group.readings for group in groups]
    return [group.readings[: 1 if len(group.digits) == 1 else None] for group in groups]


def _identifier(
    groups: Sequence[Group], gaps: Sequence[Gap], readings: Sequence[Reading], kind: Kind
) -> Identifier:
    said = zip(groups, readings, strict=True)
    spans = tuple((group.start, reading.end) for group, reading in said if reading.digits)
    parts = tuple(reading.digits for reading in readings if reading.digits)
    cost = sum(reading.cost for reading in readings) + sum(gap is Gap.LOOSE for gap in gaps)
    weight = sum(map(len, parts)) + kind.weight - cost
    return Identifier(kind.label, (*kind.more, *spans), parts, weight, kind.weight - cost)
