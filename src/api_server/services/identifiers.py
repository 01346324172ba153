"""Which groups of digits are somebody's number: the choice that explains most of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

from api_server.services.number_forms import Candidate, Kind, Surroundings, classify
from api_server.services.spoken_digits import Gap, Group, Reading, Run, runs

_MAX_DIGITS = 20
_MIN_DIGITS = 7
_MAX_READINGS = 24


@dataclass(frozen=True, slots=True)
class Identifier:
    """One number that was found.

    ``spans`` of the text are its characters, ``parts`` its digits as they were grouped; ``weight``
    is how many digits it explains, and how well; ``sureness`` the latter alone.
    """

    label: str
    spans: tuple[tuple[int, int], ...]
    parts: tuple[str, ...]
    weight: float
    sureness: float


def numbers(text: str) -> Iterator[Identifier]:
    """Give the numbers of persons in the folded ``text``."""
    for run in runs(text):
        found = _best(text, run)
        short = _without_echoes(text, run)
        if short:
            found = max(found, _best(text, short), key=_sureness)
        yield from (one for one in found if one.label)


def _sureness(found: Sequence[Identifier]) -> float:
    return min((one.sureness for one in found), default=-1.0)


def _without_echoes(text: str, run: Run) -> Run | None:
    """Leave out groups that only repeat the one before: 공일공 / 공일공이요? / 일이삼사."""
    groups, gaps = [run.groups[0]], list[Gap]()
    widest = Gap.TIGHT
    for group, gap in zip(run.groups[1:], run.gaps, strict=True):
        widest = max(widest, gap)
        if not _repeats(text, groups[-1], group):
            groups.append(group)
            gaps.append(widest)
            widest = Gap.TIGHT
    return Run(groups, gaps) if len(groups) < len(run.groups) else None


def _repeats(text: str, left: Group, right: Group) -> bool:
    said = {reading.digits for reading in left.readings if len(reading.digits) > 2}  # noqa: PLR2004
    again = {reading.digits for reading in right.readings}
    return not said.isdisjoint(again) and "\n" in text[left.end : right.start]


def _best(text: str, run: Run) -> list[Identifier]:
    """Give the identifiers that together explain most of a run's digits, the last one first."""
    scores = [0.0]
    chosen: list[tuple[int, Identifier | None]] = [(0, None)]
    for end, group in enumerate(run.groups, 1):
        score, choice = scores[-1] - _cost_outside(group), (end - 1, None)
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
    return 0.5 if len(group.digits) == 1 else float(min(len(group.digits), _MAX_DIGITS))


def _ending_at(text: str, run: Run, end: int) -> Iterator[tuple[int, Identifier]]:
    """Give what the groups before ``end`` can be, with the place where it starts."""
    if end < len(run.groups) and run.gaps[end - 1] is Gap.TIGHT:
        return  # what is joined by hyphens is one number
    total = 0
    for start in range(end - 1, -1, -1):
        total += len(run.groups[start].digits)
        tight = start > 0 and run.gaps[start - 1] is Gap.TIGHT
        if total > _MAX_DIGITS and not tight and start < end - 1:
            return
        if total >= _MIN_DIGITS and not tight:
            found = _identify(text, run, start, end)
            if found:
                yield start, found


def _identify(text: str, run: Run, start: int, end: int) -> Identifier | None:
    groups, gaps = run.groups[start:end], run.gaps[start : end - 1]
    around = Surroundings(text, run.groups[0].start, groups[0].start, groups[-1].end)
    best: Identifier | None = None
    for readings in islice(product(*_choices(groups)), _MAX_READINGS):
        if sum(len(reading.digits) for reading in readings) < _MIN_DIGITS:
            continue
        kind = classify(Candidate(groups, gaps, readings, around))
        found = kind and _identifier(groups, gaps, readings, kind)
        if found and (best is None or found.weight > best.weight):
            best = found
    return best


def _choices(groups: Sequence[Group]) -> Iterator[Sequence[Reading]]:
    """Give the readings of each group; among digits said one by one, a lone 이 is a digit."""
    lone = sum(len(group.digits) == 1 for group in groups)
    for group in groups:
        yield group.readings[:1] if lone > 2 and len(group.digits) == 1 else group.readings  # noqa: PLR2004


def _identifier(
    groups: Sequence[Group], gaps: Sequence[Gap], readings: Sequence[Reading], kind: Kind
) -> Identifier:
    said = zip(groups, readings, strict=True)
    spans = tuple((group.start, reading.end) for group, reading in said if reading.digits)
    parts = tuple(reading.digits for reading in readings if reading.digits)
    cost = sum(reading.cost for reading in readings) + sum(gap is Gap.LOOSE for gap in gaps)
    weight = sum(map(len, parts)) + kind.weight - cost
    return Identifier(kind.label, (*kind.more, *spans), parts, weight, kind.weight)
