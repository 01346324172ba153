"""Recognise personal numbers: of all ways to divide a run of digits, the best-scoring one wins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import itemgetter

from api_server.pii.candidates import MAX_DIGITS, MIN_DIGITS, Candidate, Part, RunInText
from api_server.pii.classification import classify
from api_server.pii.digit_groups import DigitGroup, NumberReading
from api_server.pii.gaps import Gap
from api_server.pii.number_kinds import BIRTH_DATE, HIGHEST, NumberKind
from api_server.pii.spoken_numbers import NumberRun

Span = tuple[int, int]
"""Start and end in the text."""

_RETRACTION = re.compile(r"아니|잠깐|정정|수정|죄송|미안|잘못|말고|실수|다시\s[할말불]")
_MAX_TAIL_DIGITS = 8
_MIN_DUPLICATE_DIGITS = 2


@dataclass(frozen=True, slots=True)
class PiiMatch:
    """An entity found in a text.

    ``spans`` cover its characters; ``digit_groups`` are its digits, grouped as they were spoken or
    written. ``score`` is the confidence in ``entity_type``; ``weight`` is ``score`` plus the number
    of digits, and decides between matches that overlap.
    """

    entity_type: str
    spans: tuple[Span, ...]
    digit_groups: tuple[str, ...]
    weight: float
    score: float


_Weighed = tuple[float, Candidate, NumberKind]
"""A number with its weight, before it is known whether another one outweighs it."""


def recognise_numbers(text: str, runs: Sequence[NumberRun]) -> Iterator[PiiMatch]:
    """Yield the personal numbers in ``runs`` of the folded ``text``."""
    for run in runs:
        _, matches, dropped = max(
            (_evaluate(text, *variant) for variant in _variants(text, run)), key=itemgetter(0)
        )
        for match in (match for match in matches if match.entity_type):
            yield replace(match, spans=(*match.spans, *dropped))
            dropped = ()


def _evaluate(
    text: str, run: NumberRun, dropped: tuple[Span, ...]
) -> tuple[tuple[float, int], list[PiiMatch], tuple[Span, ...]]:
    """Return the matches in one variant of a run, with the key that variants are compared by.

    The variant whose lowest score is highest wins; of equals, the one with fewer unmatched digits.
    """
    matches = _select_matches(text, run)
    lowest = min((match.score for match in matches), default=-1.0)
    digits = sum(len(group.likely.digits) for group in run.groups)
    matched = sum(map(len, (part for match in matches for part in match.digit_groups)))
    return (lowest, matched - digits), matches, dropped


def _variants(text: str, run: NumberRun) -> Iterator[tuple[NumberRun, tuple[Span, ...]]]:
    """Yield ``run`` as it is, then without duplicate or retracted groups, with their spans."""
    yield run, ()
    for dropped in (_duplicate_groups(text, run), *_retracted_groups(text, run)):
        if dropped:
            spans = tuple((start, reading.end) for start, reading in dropped.items())
            yield _drop_groups(run, dropped.keys()), spans


def _duplicate_groups(text: str, run: NumberRun) -> dict[int, NumberReading]:
    """Return the groups that only repeat the one before: 공일공 / 공일공이요? / 일이삼사."""
    duplicates: dict[int, NumberReading] = {}
    for left, right in pairwise(run.groups):
        seen = {one.digits for one in left.readings if len(one.digits) >= _MIN_DUPLICATE_DIGITS}
        same = [one for one in right.readings if one.digits in seen]
        if same and "\n" in text[left.end : right.start]:
            duplicates[right.start] = same[0]
    return duplicates


def _retracted_groups(text: str, run: NumberRun) -> Iterator[dict[int, NumberReading]]:
    """Yield what 아니 retracts: the group before, every group before, or it is a tail after it."""
    retractions = [
        index
        for index, (left, right) in enumerate(pairwise(run.groups), 1)
        if _RETRACTION.search(text, left.end, right.start)
    ]
    yield {run.groups[index - 1].start: run.groups[index - 1].likely for index in retractions}
    yield {group.start: group.likely for group in run.groups[: max(retractions, default=0)]}
    tail = run.groups[retractions[0] :] if retractions else ()
    if sum(len(group.digits) for group in tail) <= _MAX_TAIL_DIGITS:
        yield {group.start: group.likely for group in tail if not group.numeral}


def _drop_groups(run: NumberRun, dropped: AbstractSet[int]) -> NumberRun:
    """Return ``run`` without the groups that start at ``dropped``; gaps next to them merge."""
    groups: list[DigitGroup] = []
    gaps: list[Gap] = []
    widest = Gap.TIGHT
    for group, gap in zip(run.groups, (Gap.TIGHT, *run.gaps), strict=True):
        widest = max(widest, gap)
        if group.start not in dropped:
            gaps.append(widest)
            groups.append(group)
            widest = Gap.TIGHT
    return NumberRun(groups, gaps[1:])


def _select_matches(text: str, run: NumberRun) -> list[PiiMatch]:
    """Return the matches of greatest total weight that do not overlap, the last one first.

    Weighted interval scheduling: ``totals[end]`` is the best total of the first ``end`` groups.
    """
    if sum([len(group.digits) for group in run.groups]) < MIN_DIGITS:
        return []
    within = RunInText(text, run)
    totals = [0.0]
    choices: list[tuple[int, _Weighed | None]] = [(0, None)]
    for end, group in enumerate(run.groups, 1):
        total = totals[-1] - _unmatched_penalty(group)
        choice: tuple[int, _Weighed | None] = (end - 1, None)
        for start, weighed in _weighed_ending_at(within, end):
            if totals[start] + weighed[0] > total:
                total, choice = totals[start] + weighed[0], (start, weighed)
        totals.append(total)
        choices.append(choice)
    return list(_backtrack(choices))


def _backtrack(choices: Sequence[tuple[int, _Weighed | None]]) -> Iterator[PiiMatch]:
    end = len(choices) - 1
    while end:
        end, weighed = choices[end]
        if weighed:
            yield _build_match(*weighed)


def _unmatched_penalty(group: DigitGroup) -> float:
    """Return the cost of leaving ``group`` unmatched; a single digit is probably a word."""
    if BIRTH_DATE.fullmatch(group.likely.digits):
        return 0.0  # a date of birth is often said before the next number
    return 0.5 if len(group.digits) == 1 else float(min(len(group.digits), MAX_DIGITS))


def _weighed_ending_at(run: RunInText, end: int) -> Iterator[tuple[int, _Weighed]]:
    """Yield the best match of each span of groups before ``end``, with its first group's index."""
    groups, gaps = run.groups, run.gaps
    if end < len(groups) and gaps[end - 1] is Gap.TIGHT:
        return  # groups joined by hyphens are one number
    total, likely, lone = run.total, run.likely, run.lone
    one_piece = True
    for start in range(end - 1, -1, -1):
        one_piece = one_piece and (start == end - 1 or gaps[start] is Gap.TIGHT)
        # So many lone digits are all read, also those that are likely to be words.
        long = likely[end] - likely[start] > MAX_DIGITS or lone[end] - lone[start] > MAX_DIGITS + 1
        if long and not one_piece:
            return
        enough = total[end] - total[start] >= MIN_DIGITS
        if enough and (start == 0 or gaps[start - 1] is not Gap.TIGHT):
            best = _best_reading(Part(run, start, end))
            if best:
                yield start, best


def _best_reading(part: Part) -> _Weighed | None:
    """Return the number of greatest weight over all readings of the groups."""
    best: _Weighed | None = None
    for candidate in part.candidates():
        size = len(candidate.digits)
        if best and size + HIGHEST - candidate.cost <= best[0]:
            continue
        kind = classify(candidate)
        if kind:
            weight = size + kind.score - candidate.cost
            if best is None or weight > best[0]:
                best = weight, candidate, kind
    return best


def _build_match(weight: float, number: Candidate, kind: NumberKind) -> PiiMatch:
    pairs = list(zip(number.part.groups, number.readings, strict=True))
    # A syllable among digits that is read as a word may be a digit all the same: 더블 일 일 공구요.
    last = max([index for index, (_, reading) in enumerate(pairs) if reading.digits], default=0)
    ends = [(group, one, one.end if one.digits else group.end) for group, one in pairs[: last + 1]]
    spans = tuple([(group.start, end) for group, _, end in ends])
    digit_groups = tuple([reading.digits for _, reading, _ in ends if reading.digits])
    score = kind.score - number.cost
    return PiiMatch(kind.entity_type, (*kind.prefix_spans, *spans), digit_groups, weight, score)
