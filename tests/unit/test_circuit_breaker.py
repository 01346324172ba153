"""The circuit breaker against a simple model, and what callers may rely on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from api_server.clients.agent.errors import AgentRefused
from api_server.clients.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakers,
    CircuitPolicy,
    CircuitState,
)
from api_server.clients.circuit_policy import Permit
from api_server.clients.errors import CircuitOpen
from api_server.clients.events import CircuitChanged
from tests.support.agents import Watch, watching
from tests.support.clock import Clock

POLICY = CircuitPolicy(failure_threshold=3, recovery_timeout=60, max_recovery=200, probes=2)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def watch() -> Iterator[Watch]:
    with watching() as found:
        yield found


def _opened(policy: CircuitPolicy = POLICY, **seams: object) -> tuple[CircuitBreaker, Clock]:
    clock = Clock(1000.0)
    breaker = CircuitBreaker(policy=policy, clock=clock, **seams)  # type: ignore[arg-type]
    for _ in range(policy.failure_threshold):
        breaker.acquire().failure()
    assert breaker.is_open
    return breaker, clock


class AgainstModel(RuleBasedStateMachine):
    """Any order of calls, results, cancellations, time and force gives what the model says."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock(1000.0)
        self.breaker = CircuitBreaker(policy=POLICY, clock=self.clock, random_unit=lambda: 0.5)
        self.state = "closed"
        self.failures = self.opened = self.refusals = 0
        self.until = 0.0
        self.current: list[Permit] = []  # of this epoch
        self.late: list[Permit] = []

    def _enter(self, state: str) -> None:
        self.state = state
        self.late += self.current
        self.current = []
        if state == "open":
            self.opened += 1
            doubled = 60 * 2 ** (self.opened - 1)
            self.until = self.clock.now + (60 if self.opened == 1 else min(200, doubled) * 0.9)

    @rule()
    def acquire(self) -> None:
        if self.state == "open" and self.clock.now >= self.until:
            self._enter("half_open")
        full = self.state == "half_open" and len(self.current) == POLICY.probes
        if full or self.state in {"open", "forced_open"}:
            self.refusals += 1
            with pytest.raises(CircuitOpen) as refused:
                self.breaker.acquire()
            wait = self.until - self.clock.now if self.state == "open" else None
            assert wait is None or refused.value.retry_after == pytest.approx(wait)
        else:
            self.current.append(self.breaker.acquire())

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def success(self, data: st.DataObject) -> None:
        self._take(data).success()
        if self.state == "half_open":
            self.failures = self.opened = 0
            self._enter("closed")
        elif self.state == "closed":
            self.failures = 0

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def failure(self, data: st.DataObject) -> None:
        self._take(data).failure()
        if self.state == "forced_closed":
            return
        self.failures += 1
        if self.state == "half_open" or self.failures == POLICY.failure_threshold:
            self._enter("open")

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self._take(data).cancel()

    @precondition(lambda self: self.late)
    @rule(data=st.data(), how=st.sampled_from(["success", "failure", "cancel"]))
    def late_or_repeated_result(self, data: st.DataObject, how: str) -> None:
        getattr(data.draw(st.sampled_from(self.late)), how)()

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(how=st.sampled_from(["force_open", "force_closed", "release"]))
    def force(self, how: str) -> None:
        getattr(self.breaker, how)()
        self.failures = self.opened = 0
        self._enter(
            {"force_open": "forced_open", "force_closed": "forced_closed"}.get(how, "closed")
        )

    def _take(self, data: st.DataObject) -> Permit:
        permit = data.draw(st.sampled_from(self.current))
        self.current.remove(permit)
        self.late.append(permit)  # used: a second result must change nothing
        return permit

    @invariant()
    def agrees(self) -> None:
        shown = self.breaker.snapshot()
        assert (shown.state, shown.failures, shown.refusals) == (
            self.state,
            self.failures,
            self.refusals,
        )


AgainstModel.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAgainstModel = AgainstModel.TestCase


async def test_fifty_at_once_in_half_open_are_two_probes() -> None:
    breaker, clock = _opened()
    clock.now += 60
    running, refused = [], []
    answered = asyncio.Event()

    async def work() -> None:
        running.append(1)
        await answered.wait()

    async def caller() -> None:
        try:
            await breaker.call(work)
        except CircuitOpen as error:
            refused.append(error)
        if len(refused) == 48:
            answered.set()  # the refused ones did not wait for the probes

    await asyncio.wait_for(asyncio.gather(*(caller() for _ in range(50))), 30)
    assert (len(running), len(refused)) == (2, 48)
    assert breaker.snapshot().state is CircuitState.CLOSED


def test_fifty_threads_in_half_open_are_two_probes() -> None:
    breaker, clock = _opened()
    clock.now += 60
    start = threading.Barrier(50)

    def caller(_: int) -> bool:
        start.wait()
        try:
            breaker.acquire()
        except CircuitOpen:
            return False
        return True

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(caller, range(50))) == 2


async def test_refused_call_awaits_nothing() -> None:
    breaker, _ = _opened()

    async def work() -> None:
        raise AssertionError

    refused = breaker.call(work)
    with pytest.raises(CircuitOpen):
        refused.send(None)  # the first step of the coroutine already ends it


def test_refusal_takes_well_under_a_millisecond() -> None:
    breaker, _ = _opened()
    took = []
    for _ in range(1000):
        began = time.perf_counter()
        with pytest.raises(CircuitOpen):
            breaker.acquire()
        took.append(time.perf_counter() - began)
    assert sorted(took)[500] < 0.001


async def test_cancelled_probe_gives_its_place_back() -> None:
    breaker, clock = _opened(CircuitPolicy(failure_threshold=1))
    clock.now += 60
    task = asyncio.create_task(breaker.call(asyncio.Event().wait))
    await asyncio.sleep(0)  # one step: it holds the only permit now
    with pytest.raises(CircuitOpen):
        breaker.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert breaker.snapshot().state is CircuitState.HALF_OPEN
    breaker.acquire().success()
    assert breaker.snapshot().state is CircuitState.CLOSED


async def test_call_counts_failures_but_not_the_callers() -> None:
    breaker = CircuitBreaker(2)

    async def fail(error: Exception) -> None:
        raise error

    for _ in range(5):
        with pytest.raises(AgentRefused):
            await breaker.call(fail, AgentRefused("HTTP 400"))
    assert breaker.failure_count == 0
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            await breaker.call(fail, OSError("gone"))
    with pytest.raises(CircuitOpen) as refused:
        await breaker.call(fail, OSError())
    assert 0 < (refused.value.retry_after or 0) <= 60


@given(random_unit=st.floats(0, 1), opened=st.integers(1, 5000))
def test_waits_grow_within_the_cap(random_unit: float, opened: int) -> None:
    policy = CircuitPolicy(recovery_timeout=60, max_recovery=600, jitter=0.2)
    wait = policy.open_duration(opened, random_unit)
    uncut = min(600.0, 60.0 * 2.0 ** min(opened - 1, 20))
    assert uncut * 0.8 <= wait <= uncut
    assert policy.open_duration(1, random_unit) == 60
    assert wait <= policy.open_duration(opened + 1, random_unit)


def test_failed_probe_opens_for_longer() -> None:
    breaker, clock = _opened(random_unit=lambda: 0.0)
    for expected in (60, 120, 200, 200):
        assert breaker.snapshot().retry_after == expected
        clock.now += expected
        breaker.acquire().failure()
    clock.now += 200
    breaker.acquire().success()
    for _ in range(3):
        breaker.acquire().failure()
    assert breaker.snapshot().retry_after == 60  # a recovery starts the waits anew


@pytest.mark.parametrize(
    ("policy", "cause"),
    [
        (CircuitPolicy(minimum_calls=10, failure_rate=0.5), "failure_rate"),
        (CircuitPolicy(minimum_calls=10, slow_call_rate=0.5, slow_call_sec=2), "slow_calls"),
    ],
)
def test_rates_over_a_window(policy: CircuitPolicy, cause: str) -> None:
    events: list[Any] = []
    breaker = CircuitBreaker(policy=policy, observers=[events.append], clock=Clock(1000.0))
    for call in range(10):
        assert not breaker.is_open
        if call % 2 == 0:
            breaker.acquire().success(0.1)
        elif cause == "slow_calls":
            breaker.acquire().success(2.0)
        else:
            breaker.acquire().failure()
    assert breaker.is_open
    assert events[-1].cause == cause


def test_old_calls_leave_the_window() -> None:
    policy = CircuitPolicy(window=4, minimum_calls=4, failure_rate=0.5)
    breaker = CircuitBreaker(policy=policy)
    for failed in (True, False, False, False, True, False, False, False):
        permit = breaker.acquire()
        (permit.failure if failed else permit.success)()
    assert not breaker.is_open


def test_lines_and_events(watch: Watch) -> None:
    clock = Clock(1000.0)
    breaker = CircuitBreaker(
        5, 60.0, target="http://vllm:8000", observers=watch.observers, clock=clock
    )
    for _ in range(5):
        breaker.acquire().failure()
    with pytest.raises(CircuitOpen, match="60초 후 재시도"):
        breaker.acquire()
    clock.now += 60
    breaker.acquire().success()
    breaker.force_open()
    with pytest.raises(CircuitOpen, match="강제 차단"):
        breaker.acquire()
    breaker.release()
    assert watch.logged == [
        "ERROR - [CircuitBreaker] Circuit 열림 (실패 5회)",
        "WARNING - [CircuitBreaker] Circuit 열림 - Dummy 사용",
        "INFO - [CircuitBreaker] Circuit 반열림 - 시험 호출 허용",
        "INFO - [CircuitBreaker] Circuit 닫힘 - 정상 복구",
        "ERROR - [CircuitBreaker] Circuit 열림 (강제)",
        "WARNING - [CircuitBreaker] Circuit 열림 - Dummy 사용",
        "INFO - [CircuitBreaker] Circuit 닫힘 (강제)",
    ]
    changes = [event for event in watch.events if isinstance(event, CircuitChanged)]
    assert len(changes) == len(watch.events)
    assert {event.target for event in changes} == {"http://vllm:8000"}
    assert changes[0] == CircuitChanged(
        target="http://vllm:8000",
        what="opened",
        failures=5,
        retry_after=60.0,
        cause="consecutive",
    )
    shown = breaker.snapshot()
    assert shown.transitions == {"opened": 2, "half_open": 1, "closed": 2}
    assert shown.refusals == 2


def test_registry_keeps_targets_and_models_apart() -> None:
    breakers = CircuitBreakers(CircuitPolicy(failure_threshold=1), limit=2)
    breakers.get("http://a:1").acquire().failure()
    assert breakers.get("http://a:1").is_open
    assert not breakers.get("http://a:1", "other-model").is_open
    breakers.get("http://c:1")  # of those before it, a closed one makes room
    assert [shown.target for shown in breakers.snapshots()] == ["http://a:1", "http://c:1"]
    breakers.get("http://c:1").acquire().failure()
    breakers.get("http://d:1", shown="http://d:1/***")  # of open ones, the oldest does
    assert [shown.target for shown in breakers.snapshots()] == ["http://c:1", "http://d:1/***"]
