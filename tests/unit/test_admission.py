"""The queue's forecast: what is let in, what is refused, and whether Retry-After is true."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_server.pipeline.admission import AT_WORK, Admission, Place, QueueFull
from stt_engine.call import CallCancelled, CallContext, Work
from tests.support.clock import Clock


class Inside:
    """A call that has come in, and reports what is left of it."""

    def __init__(self, place: Place, work: float) -> None:
        self._place = place
        self._work = work
        self.left_sec = work
        place.check()

    @property
    def left_sec(self) -> float:
        return self._place.left_sec

    @left_sec.setter
    def left_sec(self, seconds: float) -> None:
        self._place.report(Work(self._work, seconds))


def _enter(stack: ExitStack, admission: Admission, work: float, clock: Clock) -> Inside:
    return Inside(stack.enter_context(admission.place(CallContext(clock=clock))), work)


def _served(admission: Admission, clock: Clock, work: float, seconds: float) -> None:
    """Have one call served, so that the pace is known."""
    with ExitStack() as stack:
        call = _enter(stack, admission, work, clock)
        clock.now += seconds
        call.left_sec = 0.0


def test_one_more_than_may_wait_is_refused_at_once(clock: Clock) -> None:
    admission = Admission(1, 1e6, clock)
    with ExitStack() as stack:
        for _ in range(AT_WORK + 1):
            stack.enter_context(admission.place(CallContext(clock=clock)))
        assert admission.waiting == 1
        with pytest.raises(QueueFull, match="queue is full") as caught:
            stack.enter_context(admission.place(CallContext(clock=clock)))
        assert caught.value.retry_after >= 1
    assert admission.waiting == 0
    with admission.place(CallContext(clock=clock)):
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
                stack.enter_context(admission.place(CallContext(clock=clock)))
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
    inside: list[tuple[Inside, ExitStack]] = []

    def serve(seconds: float) -> None:
        left, end = seconds / factor, clock.now + seconds
        for call, stack in sorted(inside, key=lambda one: one[0].left_sec):
            part = min(left, call.left_sec)
            call.left_sec -= part
            left -= part
            clock.now += part * factor
            if call.left_sec == 0:
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


def test_a_call_that_would_wait_too_long_is_cancelled_and_refused_at_its_end(clock: Clock) -> None:
    """The engine knows a cancelled call, and nothing of queues."""
    admission = Admission(64, 1.0, clock)
    with ExitStack() as stack:
        _enter(stack, admission, 600.0, clock)
        context = CallContext(clock=clock)
        other = admission.place(context)
        other.__enter__().report(Work(600.0, 600.0))
        with pytest.raises(CallCancelled) as cancelled:
            context.check()
        with pytest.raises(QueueFull, match="the wait would be"):
            other.__exit__(CallCancelled, cancelled.value, None)


def test_a_call_that_nobody_waits_for_is_not_refused(clock: Clock) -> None:
    context = CallContext(clock=clock)
    context.cancel()
    with pytest.raises(CallCancelled), Admission(64, 1e6, clock).place(context):
        context.check()


def test_how_much_work_it_is_is_decided_once_and_corrected_silently(clock: Clock) -> None:
    admission = Admission(64, 60.0, clock)
    context = CallContext(clock=clock)
    with admission.place(context) as place:
        place.report(Work(60.0, 60.0))
        with ExitStack() as other:
            _enter(other, admission, 600.0, clock)
            place.report(Work(6_000.0, 6_000.0))
            place.check()
        assert place.left_sec == 6_000.0
        assert not context.cancelled


def test_the_longest_wait_of_the_queue_is_part_of_the_calls_deadline(clock: Clock) -> None:
    context = CallContext(clock=clock)
    with Admission(64, 30.0, clock).place(context):
        context.allow(12.0)
    assert context.deadline == clock.now + 42.0


# The background -----------------------------------------------------------------------------


def test_a_call_of_the_background_takes_no_place_and_is_never_refused(clock: Clock) -> None:
    admission = Admission(0, 1.0, clock)
    with ExitStack() as stack:
        for _ in range(50):
            context = CallContext(clock=clock, background=True)
            stack.enter_context(admission.place(context)).report(Work(1e6, 1e6))
        assert (admission.waiting, admission.work_waiting_sec) == (0, 0.0)
        _enter(stack, admission, 1.0, clock)


def test_a_call_of_the_background_rests_while_another_is_inside(clock: Clock) -> None:
    admission, went_on = Admission(8, 1e6, clock), threading.Event()
    context = CallContext(background=True)
    with admission.place(context) as behind, ExitStack() as stack:
        _enter(stack, admission, 10.0, clock)

        def report() -> None:
            behind.report(Work(9.0, 3.0))
            went_on.set()

        thread = threading.Thread(target=report)
        thread.start()
        with context._lock:
            assert not went_on.is_set()
        stack.close()
        assert went_on.wait(30)
        thread.join(30)


def test_a_call_that_rests_in_the_background_can_be_cancelled(clock: Clock) -> None:
    admission = Admission(8, 1e6, clock)
    context = CallContext(background=True)
    with admission.place(context) as behind, ExitStack() as stack:
        _enter(stack, admission, 10.0, clock)
        context.cancel()
        with pytest.raises(CallCancelled):
            behind.report(Work(9.0, 3.0))
