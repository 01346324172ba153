"""Turns: who goes next, that nobody is passed for ever, and that waiting can be ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_engine.call import CallCancelled, CallContext
from stt_engine.errors import CallExpired
from stt_engine.workers.scheduler import BEGINNINGS, OLDEST_EVERY, QueueEntry, StepScheduler
from tests.support.clock import Clock

BOUND = 30.0


def _entry(clock: Clock, work: float, allowed: float = 1e6) -> QueueEntry:
    context = CallContext(max_wait_sec=0.0, clock=clock)
    context.allow(allowed)
    return QueueEntry(context, left_sec=work)


def _new() -> QueueEntry:
    return QueueEntry(CallContext())


# Who goes next ----------------------------------------------------------------------------


def _order(
    scheduler: StepScheduler, entries: dict[str, QueueEntry], turns: int, step: float, clock: Clock
) -> str:
    """Return who had each turn, where everybody in ``entries`` always wants the next one."""
    names = {id(entry): name for name, entry in entries.items()}
    scheduler._waiting = [one for one in entries.values() if one.left_sec > 0]
    scheduler._held = True
    had = []
    for _ in range(turns):
        if not scheduler._waiting:
            break
        chosen = scheduler._next()
        had.append(names[id(chosen)])
        chosen.left_sec -= step
        clock.now += step
        if chosen.left_sec <= 0:
            scheduler._waiting.remove(chosen)
    return "".join(had)


def test_who_has_not_begun_comes_before_who_has(clock: Clock) -> None:
    scheduler = StepScheduler()
    short, new, newer = (_entry(clock, work) for work in (1, 500, 900))
    scheduler._waiting, scheduler._beginning = [short, newer, new], {new, newer}
    assert scheduler._next() is newer, "of those, the one that came first"


def test_the_background_has_a_turn_only_where_nobody_else_waits(clock: Clock) -> None:
    scheduler = StepScheduler()
    entries = {name: _entry(clock, work) for name, work in (("a", 6), ("b", 4), ("z", 3))}
    entries["z"].context.background = True
    assert _order(scheduler, entries, 13, 1.0, clock).endswith("zzz")


def test_in_the_background_who_has_not_begun_comes_first_too(clock: Clock) -> None:
    scheduler = StepScheduler()
    new, begun, live = _entry(clock, 5), _entry(clock, 1), _entry(clock, 9)
    new.context.background = begun.context.background = True
    scheduler._waiting, scheduler._beginning = [begun, new, live], {new}
    assert scheduler._next() is live
    scheduler._waiting.remove(live)
    assert scheduler._next() is new


def test_an_endless_stream_of_new_calls_passes_nobody_for_ever(clock: Clock) -> None:
    scheduler = StepScheduler()
    old = _entry(clock, 7200)
    had = 0
    for _ in range(10 * (BEGINNINGS + 1)):
        new = [_entry(clock, 1) for _ in range(3)]
        scheduler._waiting, scheduler._beginning = [old, *new], set(new)
        had += scheduler._next() is old
    assert had == 10


def test_a_short_call_passes_a_long_one_at_its_next_step(clock: Clock) -> None:
    entries = {"L": _entry(clock, 7200), "s": _entry(clock, 3)}
    assert _order(StepScheduler(), entries, 5, 1.0, clock) == "sssLL"


def test_every_fourth_turn_goes_to_the_one_that_has_used_most_of_its_time(clock: Clock) -> None:
    long = _entry(clock, 7200, allowed=28_800)
    clock.now = 1_000.0
    entries = {"L": long, **{str(n): _entry(clock, 5, allowed=600) for n in range(3)}}
    assert _order(StepScheduler(), entries, 15, 1.0, clock) == "000L001L111L122"[:15]


@settings(max_examples=100, deadline=None)
@given(works=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_everybody_gets_to_the_end_and_the_shortest_is_not_held_up(works: list[int]) -> None:
    clock = Clock()
    entries = {chr(97 + n): _entry(clock, work) for n, work in enumerate(works)}
    order = _order(StepScheduler(), entries, 10_000, 1.0, clock)
    assert {name: order.count(name) for name in entries} == dict(zip(entries, works, strict=True))
    first = min(entries, key=lambda name: works[ord(name) - 97])
    done_at = order.rindex(first) + 1
    assert done_at <= works[ord(first) - 97] * OLDEST_EVERY / (OLDEST_EVERY - 1) + 1


def test_a_long_call_is_not_starved_by_short_ones_that_keep_coming(clock: Clock) -> None:
    scheduler, long = StepScheduler(), _entry(clock, 100, allowed=600)
    scheduler._held = True
    scheduler._waiting = [long]
    for _ in range(600):
        if long not in scheduler._waiting:
            break
        if len(scheduler._waiting) < 3:
            scheduler._waiting.append(_entry(clock, 3, allowed=60))
        chosen = scheduler._next()
        chosen.left_sec -= 1
        clock.now += 1
        scheduler._waiting = [one for one in scheduler._waiting if one.left_sec > 0]
    assert clock.now < 600, "it had its work done within its time"


# Real threads -----------------------------------------------------------------------------


def _waiting(scheduler: StepScheduler, entry: QueueEntry, ended: list[object]) -> threading.Thread:
    def wait() -> None:
        try:
            with scheduler.turn(entry):
                ended.append("had its turn")
        except (CallCancelled, CallExpired) as exc:
            ended.append(type(exc))

    thread = threading.Thread(target=wait)
    thread.start()
    while not scheduler._waits(entry) and thread.is_alive():
        pass
    return thread


def test_a_call_that_nobody_waits_for_leaves_at_once_and_holds_nothing() -> None:
    scheduler, entry, other = StepScheduler(), _new(), _new()
    ended: list[object] = []
    with scheduler.turn(other):
        thread = _waiting(scheduler, entry, ended)
        entry.context.cancel()
        thread.join(BOUND)
        assert ended == [CallCancelled]
    with scheduler.turn(other):
        pass
    with pytest.raises(CallCancelled), scheduler.turn(entry):
        pass


def test_a_call_that_is_served_while_it_waits_leaves_without_a_turn() -> None:
    scheduler, entry, other = StepScheduler(), _new(), _new()
    held: list[bool] = []

    def wait() -> None:
        with scheduler.turn(entry) as mine:
            held.append(mine)

    with scheduler.turn(other):
        thread = threading.Thread(target=wait)
        thread.start()
        while not scheduler._waits(entry):
            pass
        entry.serve()
        thread.join(BOUND)
        assert held == [False]
        assert scheduler._held, "by the other one"
    with scheduler.turn(other) as mine:
        assert mine


def test_a_call_whose_time_is_over_leaves() -> None:
    scheduler, entry, other = StepScheduler(), _new(), _new()
    entry.context.max_wait_sec = 0.0
    entry.context.allow(0.05)
    ended: list[object] = []
    with scheduler.turn(other):
        _waiting(scheduler, entry, ended).join(BOUND)
    assert ended == [CallExpired]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=12))
def test_one_at_a_time_whatever_is_cancelled_meanwhile(cancelled: list[bool]) -> None:
    scheduler = StepScheduler()
    inside: list[int] = []
    most = [0]
    entries = [_new() for _ in cancelled]
    gate = threading.Barrier(len(entries) + 1)

    def work(entry: QueueEntry) -> Iterator[None]:
        for _ in range(20):
            with scheduler.turn(entry):
                inside.append(1)
                most[0] = max(most[0], len(inside))
                inside.pop()
            yield

    def run(entry: QueueEntry) -> None:
        gate.wait()
        try:
            for _ in work(entry):
                pass
        except CallCancelled:
            pass

    threads = [threading.Thread(target=run, args=(entry,)) for entry in entries]
    for thread in threads:
        thread.start()
    gate.wait()
    for entry, gone in zip(entries, cancelled, strict=True):
        if gone:
            entry.context.cancel()
    for thread in threads:
        thread.join(BOUND)
        assert not thread.is_alive()
    assert most[0] <= 1
    assert not scheduler._held
    assert scheduler._waiting == []
