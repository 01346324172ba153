"""Turns: who goes next, that nobody is passed for ever, and that waiting can be ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_engine.errors import CallExpired
from stt_engine.turns import BEGINNINGS, OLDEST_EVERY, CallCancelled, Lane, Ticket

BOUND = 30.0


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _ticket(clock: Clock, work: float, allowed: float = 1e6) -> Ticket:
    ticket = Ticket(clock=clock)
    ticket.measured(work, allowed)
    return ticket


# Who goes next ----------------------------------------------------------------------------


def _order(lane: Lane, tickets: dict[str, Ticket], turns: int, step: float, clock: Clock) -> str:
    """Give who had each turn, where everybody in ``tickets`` always wants the next one."""
    names = {id(ticket): name for name, ticket in tickets.items()}
    lane._waiting = [one for one in tickets.values() if one.left_sec > 0]
    lane._held = True
    had = []
    for _ in range(turns):
        if not lane._waiting:
            break
        chosen = lane._next()
        had.append(names[id(chosen)])
        chosen.left_sec -= step
        clock.now += step
        if chosen.left_sec <= 0:
            lane._waiting.remove(chosen)
    return "".join(had)


def test_who_has_not_begun_comes_before_who_has(clock: Clock) -> None:
    lane = Lane()
    short, new, newer = (_ticket(clock, work) for work in (1, 500, 900))
    lane._waiting, lane._beginning = [short, newer, new], {new, newer}
    assert lane._next() is newer, "of those, the one that came first"


def test_an_endless_stream_of_new_calls_passes_nobody_for_ever(clock: Clock) -> None:
    lane = Lane()
    old = _ticket(clock, 7200)
    had = 0
    for _ in range(10 * (BEGINNINGS + 1)):
        new = [_ticket(clock, 1) for _ in range(3)]
        lane._waiting, lane._beginning = [old, *new], set(new)
        had += lane._next() is old
    assert had == 10


def test_a_short_call_passes_a_long_one_at_its_next_step(clock: Clock) -> None:
    tickets = {"L": _ticket(clock, 7200), "s": _ticket(clock, 3)}
    assert _order(Lane(), tickets, 5, 1.0, clock) == "sssLL"


def test_every_fourth_turn_goes_to_the_one_that_has_used_most_of_its_time(clock: Clock) -> None:
    long = _ticket(clock, 7200, allowed=28_800)
    clock.now = 1_000.0
    tickets = {"L": long, **{str(n): _ticket(clock, 5, allowed=600) for n in range(3)}}
    assert _order(Lane(), tickets, 15, 1.0, clock) == "000L001L111L122"[:15]


@settings(max_examples=100, deadline=None)
@given(works=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_everybody_gets_to_the_end_and_the_shortest_is_not_held_up(works: list[int]) -> None:
    clock = Clock()
    tickets = {chr(97 + n): _ticket(clock, work) for n, work in enumerate(works)}
    order = _order(Lane(), tickets, 10_000, 1.0, clock)
    assert {name: order.count(name) for name in tickets} == dict(zip(tickets, works, strict=True))
    first = min(tickets, key=lambda name: works[ord(name) - 97])
    done_at = order.rindex(first) + 1
    assert done_at <= works[ord(first) - 97] * OLDEST_EVERY / (OLDEST_EVERY - 1) + 1


def test_a_long_call_is_not_starved_by_short_ones_that_keep_coming(clock: Clock) -> None:
    lane, long = Lane(), _ticket(clock, 100, allowed=600)
    lane._held = True
    lane._waiting = [long]
    for _ in range(600):
        if long not in lane._waiting:
            break
        if len(lane._waiting) < 3:
            lane._waiting.append(_ticket(clock, 3, allowed=60))
        chosen = lane._next()
        chosen.left_sec -= 1
        clock.now += 1
        lane._waiting = [one for one in lane._waiting if one.left_sec > 0]
    assert clock.now < 600, "it had its work done within its time"


# Real threads -----------------------------------------------------------------------------


def _waiting(lane: Lane, ticket: Ticket, ended: list[object]) -> threading.Thread:
    def wait() -> None:
        try:
            with lane.turn(ticket):
                ended.append("had its turn")
        except (CallCancelled, CallExpired) as exc:
            ended.append(type(exc))

    thread = threading.Thread(target=wait)
    thread.start()
    while not lane._waits(ticket) and thread.is_alive():
        pass
    return thread


def test_a_call_that_nobody_waits_for_leaves_at_once_and_holds_nothing() -> None:
    lane, ticket, other = Lane(), Ticket(), Ticket()
    ended: list[object] = []
    with lane.turn(other):
        thread = _waiting(lane, ticket, ended)
        ticket.cancel()
        thread.join(BOUND)
        assert ended == [CallCancelled]
    with lane.turn(other):
        pass
    with pytest.raises(CallCancelled), lane.turn(ticket):
        pass


def test_a_call_that_is_served_while_it_waits_leaves_without_a_turn() -> None:
    lane, ticket, other = Lane(), Ticket(), Ticket()
    held: list[bool] = []

    def wait() -> None:
        with lane.turn(ticket) as mine:
            held.append(mine)

    with lane.turn(other):
        thread = threading.Thread(target=wait)
        thread.start()
        while not lane._waits(ticket):
            pass
        ticket.served = True
        ticket.wake()
        thread.join(BOUND)
        assert held == [False]
        assert lane._held, "by the other one"
    with lane.turn(other) as mine:
        assert mine


def test_a_call_whose_time_is_over_leaves() -> None:
    lane, ticket, other = Lane(), Ticket(), Ticket()
    ticket.measured(5.0, 0.05)
    ended: list[object] = []
    with lane.turn(other):
        _waiting(lane, ticket, ended).join(BOUND)
    assert ended == [CallExpired]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=12))
def test_one_at_a_time_whatever_is_cancelled_meanwhile(cancelled: list[bool]) -> None:
    lane = Lane()
    inside: list[int] = []
    most = [0]
    tickets = [Ticket() for _ in cancelled]
    gate = threading.Barrier(len(tickets) + 1)

    def work(ticket: Ticket) -> Iterator[None]:
        for _ in range(20):
            with lane.turn(ticket):
                inside.append(1)
                most[0] = max(most[0], len(inside))
                inside.pop()
            yield

    def run(ticket: Ticket) -> None:
        gate.wait()
        try:
            for _ in work(ticket):
                pass
        except CallCancelled:
            pass

    threads = [threading.Thread(target=run, args=(ticket,)) for ticket in tickets]
    for thread in threads:
        thread.start()
    gate.wait()
    for ticket, gone in zip(tickets, cancelled, strict=True):
        if gone:
            ticket.cancel()
    for thread in threads:
        thread.join(BOUND)
        assert not thread.is_alive()
    assert most[0] <= 1
    assert not lane._held
    assert lane._waiting == []


@dataclass
class Told:
    tickets: list[Ticket] = field(default_factory=list)

    def __call__(self, ticket: Ticket) -> None:
        self.tickets.append(ticket)


def test_how_much_work_it_is_is_told_once_and_corrected_silently() -> None:
    told = Told()
    ticket = Ticket(on_work=told)
    ticket.measured(60.0, 100.0)
    ticket.measured(61.5, 100.0)
    assert told.tickets == [ticket]
    assert ticket.left_sec == 61.5
