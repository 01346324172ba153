"""The queue's forecast: what is let in, what is refused, and whether Retry-After is true."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_server.services.admission import AT_WORK, Admission, QueueFull
from stt_engine.turns import Ticket


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _enter(stack: ExitStack, admission: Admission, work: float, clock: Clock) -> Ticket:
    ticket = Ticket(clock=clock)
    stack.enter_context(admission.place(ticket))
    ticket.measured(work, 1e6)
    return ticket


def _served(admission: Admission, clock: Clock, work: float, seconds: float) -> None:
    """Have one call served, so that the pace is known."""
    with ExitStack() as stack:
        ticket = _enter(stack, admission, work, clock)
        clock.now += seconds
        ticket.left_sec = 0.0


def test_one_more_than_may_wait_is_refused_at_once(clock: Clock) -> None:
    admission = Admission(1, 1e6, clock)
    with ExitStack() as stack:
        for _ in range(AT_WORK + 1):
            stack.enter_context(admission.place(Ticket(clock=clock)))
        assert admission.waiting == 1
        with pytest.raises(QueueFull, match="queue is full") as caught:
            stack.enter_context(admission.place(Ticket(clock=clock)))
        assert caught.value.retry_after >= 1
    assert admission.waiting == 0
    with admission.place(Ticket(clock=clock)):
        pass


def test_short_calls_that_are_refused_together_are_not_sent_away_for_an_hour(clock: Clock) -> None:
    admission = Admission(1, 1e6, clock)
    for _ in range(20):
        _served(admission, clock, 100.0, 50.0)
    with ExitStack() as stack:
        for _ in range(AT_WORK + 1):
            _enter(stack, admission, 3.0, clock)
        waits = []
        for _ in range(100):
            with pytest.raises(QueueFull) as caught:
                stack.enter_context(admission.place(Ticket(clock=clock)))
            waits.append(caught.value.retry_after)
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(100 * 3.0 * 0.5, rel=0.1)


def test_the_pace_is_learnt_from_what_was_worked_off(clock: Clock) -> None:
    admission = Admission(9, 60.0, clock)
    for _ in range(20):
        _served(admission, clock, 100.0, 20.0)
        clock.now += 1_000.0  # a time without calls says nothing about the pace
    assert admission.factor == pytest.approx(0.2, rel=0.02)


def test_two_calls_side_by_side_are_not_counted_as_twice_as_slow(clock: Clock) -> None:
    admission = Admission(9, 1e6, clock)
    for _ in range(20):
        with ExitStack() as first, ExitStack() as second:
            one = _enter(first, admission, 100.0, clock)
            two = _enter(second, admission, 100.0, clock)
            clock.now += 10.0
            one.left_sec = two.left_sec = 50.0
            clock.now += 10.0
            one.left_sec = 0.0
            first.close()
            clock.now += 10.0
            two.left_sec = 0.0
    assert admission.factor == pytest.approx(0.15, rel=0.05)


def test_a_short_call_is_let_in_beside_a_long_one_and_another_long_one_is_not(clock: Clock) -> None:
    admission = Admission(64, 60.0, clock)
    for _ in range(20):
        _served(admission, clock, 100.0, 20.0)
    with ExitStack() as stack:
        for _ in range(5):
            _enter(stack, admission, 60.0, clock)
        _enter(stack, admission, 3.0, clock)
        with pytest.raises(QueueFull, match=r"the wait would be .* more than 60 s"):
            _enter(stack, admission, 7_200.0, clock)


def test_a_call_that_is_refused_leaves_no_trace(clock: Clock) -> None:
    admission = Admission(64, 1.0, clock)
    with ExitStack() as stack:
        _enter(stack, admission, 600.0, clock)
        before = admission.work_waiting_sec
        with pytest.raises(QueueFull), ExitStack() as other:
            _enter(other, admission, 600.0, clock)
        assert admission.work_waiting_sec == before


@settings(max_examples=60, deadline=None)
@given(
    works=st.lists(st.floats(5, 300), min_size=3, max_size=20),
    factor=st.sampled_from([0.05, 0.2, 1.0]),
    limit=st.floats(20, 200),
)
def test_who_comes_again_after_retry_after_is_let_in(
    works: list[float], factor: float, limit: float
) -> None:
    """Calls are served at exactly the pace that was measured, shortest first."""
    clock = Clock()
    admission = Admission(1_000, limit, clock)
    for _ in range(30):
        _served(admission, clock, 100.0, 100.0 * factor)
    inside: list[tuple[Ticket, ExitStack]] = []

    def serve(seconds: float) -> None:
        left, end = seconds / factor, clock.now + seconds
        for ticket, stack in sorted(inside, key=lambda one: one[0].left_sec):
            part = min(left, ticket.left_sec)
            ticket.left_sec -= part
            left -= part
            clock.now += part * factor
            if ticket.left_sec == 0:
                stack.close()
        clock.now = end
        inside[:] = [one for one in inside if one[0].left_sec > 0]

    def enter(work: float) -> float:
        stack = ExitStack()
        try:
            inside.append((_enter(stack, admission, work, clock), stack))
        except QueueFull as exc:
            stack.close()
            return float(exc.retry_after)
        return 0.0

    for work in works:
        wait = enter(work)
        if wait:
            serve(wait)
            assert enter(work) == 0.0, f"refused again after {wait} s"
    serve(1e9)


def test_those_turned_away_together_are_asked_to_come_one_after_the_other(clock: Clock) -> None:
    admission = Admission(64, 1.0, clock)
    for _ in range(20):
        _served(admission, clock, 100.0, 20.0)
    waits = []
    with ExitStack() as stack:
        _enter(stack, admission, 600.0, clock)
        for _ in range(5):
            with pytest.raises(QueueFull) as caught, ExitStack() as other:
                _enter(other, admission, 50.0, clock)
            waits.append(caught.value.retry_after)
    assert waits == sorted(waits)
    gaps = [later - sooner for sooner, later in pairwise(waits)]
    assert gaps == [pytest.approx(10, abs=1)] * 4
