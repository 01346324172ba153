"""Which stretches are decoded together: nothing lost, the bounds held, the work balanced."""

from __future__ import annotations

import math
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_engine.backends.faster_whisper.grouping import LARGEST, _cost, groups_of

_SECONDS = st.lists(st.floats(0.1, 35.0), max_size=40)
_FEW = st.lists(st.floats(0.1, 35.0), min_size=1, max_size=11)
_WORKERS = st.integers(1, 6)
_MOST = st.sampled_from([1.0, 20.0, 60.0, 110.0, 1000.0])


def _allowed(group: tuple[float, ...], most_sec: float) -> bool:
    longest = max(group)
    return len(group) == 1 or (len(group) <= LARGEST and len(group) * longest <= most_sec)


def _dearest(seconds: list[float], groups: list[list[int]]) -> float:
    return max(_cost(sorted((seconds[at] for at in group), reverse=True)) for group in groups)


def _best(seconds: list[float], most_sec: float) -> dict[int, float]:
    """Try every cut of the sorted lengths: number of groups -> cost of the dearest at best."""
    ordered = tuple(sorted(seconds, reverse=True))

    @cache
    def best(start: int, groups: int) -> float:
        if start == len(ordered):
            return 0.0
        if groups == 0:
            return float("inf")
        return min(
            (
                max(_cost(list(ordered[start:end])), best(end, groups - 1))
                for end in range(start + 1, len(ordered) + 1)
                if _allowed(ordered[start:end], most_sec)
            ),
            default=float("inf"),
        )

    return {groups: best(0, groups) for groups in range(1, len(ordered) + 1)}


@given(_SECONDS, _WORKERS, _MOST)
def test_every_stretch_is_in_one_group_and_the_bounds_hold(
    seconds: list[float], workers: int, most_sec: float
) -> None:
    groups = groups_of(seconds, workers, most_sec)
    assert sorted(at for group in groups for at in group) == list(range(len(seconds)))
    assert all(groups)
    for group in groups:
        assert _allowed(tuple(seconds[at] for at in group), most_sec)


@given(_SECONDS, _WORKERS, _MOST)
def test_neighbours_in_length_go_together_and_the_dearest_first(
    seconds: list[float], workers: int, most_sec: float
) -> None:
    groups = groups_of(seconds, workers, most_sec)
    for group in groups:
        lengths = [seconds[at] for at in group]
        assert lengths == sorted(lengths, reverse=True), "the first is as long as the group"
    by_length = sorted(groups, key=lambda group: (-seconds[group[0]], -seconds[group[-1]]))
    joined = [seconds[at] for group in by_length for at in group]
    assert joined == sorted(seconds, reverse=True)
    costs = [_dearest(seconds, [group]) for group in groups]
    assert costs == sorted(costs, reverse=True)


@given(_FEW, _WORKERS, _MOST)
def test_no_more_groups_than_workers_or_the_bounds_need_and_the_dearest_is_the_cheapest(
    seconds: list[float], workers: int, most_sec: float
) -> None:
    best = _best(seconds, most_sec)
    needed = min(groups for groups, cost in best.items() if cost < float("inf"))
    most = math.ceil(needed / workers) * workers  # as many for each of them
    groups = groups_of(seconds, workers, most_sec)
    assert len(groups) <= most
    optimum = min(cost for groups, cost in best.items() if groups <= most)
    assert _dearest(seconds, groups) == pytest.approx(optimum, rel=1e-4)


@given(_FEW, _WORKERS, _MOST)
def test_balanced_work_is_never_dearer_than_all_in_one_group(
    seconds: list[float], workers: int, most_sec: float
) -> None:
    together = _dearest(seconds, [list(range(len(seconds)))])
    assert _dearest(seconds, groups_of(seconds, workers, most_sec)) <= together


@given(st.floats(0.1, 30.0), st.integers(1, 6), st.integers(1, 8))
def test_stretches_of_one_length_are_shared_out_evenly(
    length: float, workers: int, each: int
) -> None:
    groups = groups_of([length] * (workers * each), workers, 1000.0)
    assert [len(group) for group in groups] == [each] * workers


def test_nothing_is_no_groups() -> None:
    assert groups_of([], 4, 110.0) == []


def test_one_long_stretch_leaves_the_short_ones_to_the_other_worker() -> None:
    assert groups_of([2.0, 30.0, 1.0, 2.0], 2, 110.0) == [[1], [0, 3, 2]]


def test_what_is_longer_than_the_bound_goes_by_itself() -> None:
    groups = groups_of([35.0, 35.0, 35.0], 1, 30.0)
    assert sorted(groups) == [[0], [1], [2]]
