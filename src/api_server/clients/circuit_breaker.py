"""Circuit breakers: a state machine on an injected clock, and a registry with one per target.

closed → (failures) → open → (wait) → half-open → success: closed; failure: open, for longer.

Every transition starts a new epoch. A permit belongs to the epoch in which it was issued, so that
a late result changes nothing. The lock is held for changes of state only, never during a call;
events are emitted after it is released.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from api_server.clients.circuit_policy import (
    PROBE_WAIT_SEC,
    TRANSITIONS,
    CircuitPolicy,
    CircuitSnapshot,
    CircuitState,
    OpenReason,
    Permit,
    Result,
)
from api_server.clients.deadline import Clock
from api_server.clients.errors import CircuitOpen, is_target_failure
from api_server.clients.events import CircuitChanged
from stt_engine.events import Event, Observer, emit

__all__ = ["CircuitBreaker", "CircuitBreakers", "CircuitPolicy", "CircuitSnapshot", "CircuitState"]

_Key = tuple[str, str | None]
P = ParamSpec("P")
T = TypeVar("T")


class CircuitBreaker:
    """Rejects calls to a target that keeps failing. ``policy`` overrides the first two arguments.

    Args:
        failure_threshold: consecutive failures that open the circuit.
        recovery_timeout: seconds until the first probe.
        policy: all settings.
        target: the name in events and errors.
        observers: get an event for each transition and each rejected call.
        should_handle: decides which exceptions of a guarded call are failures of the target.
        clock: monotonic seconds.
        random_unit: random numbers from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_timeout: float = 60.0,
        *,
        policy: CircuitPolicy | None = None,
        target: str = "agent",
        observers: Iterable[Observer] = (),
        should_handle: Callable[[Exception], bool] = is_target_failure,
        clock: Clock = time.monotonic,
        random_unit: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy or CircuitPolicy(failure_threshold, recovery_timeout)
        self.target = target
        self._observers = tuple(observers)
        self._should_handle = should_handle
        self._clock = clock
        self._random_unit = random_unit
        self._lock = threading.Lock()
        self._state = CircuitState.CLOSED
        self._epoch = 0
        self._failures = 0
        self._openings = 0
        self._open_until = 0.0
        self._probes: Counter[bool] = Counter()
        self._probing_since = 0.0
        self._window: deque[tuple[bool, bool]] = deque(maxlen=self.policy.window)
        self._transitions: Counter[str] = Counter()
        self._refusals = 0

    @property
    def is_open(self) -> bool:
        """True while calls are rejected."""
        return self._state in {CircuitState.OPEN, CircuitState.FORCED_OPEN}

    @property
    def failure_count(self) -> int:
        """Number of consecutive failures."""
        return self._failures

    def acquire(self, *, conclusive: bool = True) -> Permit:
        """Return the permit for one call, or raise :class:`CircuitOpen` at once.

        ``conclusive``: its failure would show that the target fails. A call that gives the target
        too little time is not; while half-open, it has a place of its own and takes none of theirs.
        """
        with self._changing() as news:
            self._end_stuck_probe(news)
            if self._state is CircuitState.OPEN and self._clock() >= self._open_until:
                self._move(CircuitState.HALF_OPEN, news)
            if self._rejects(conclusive=conclusive):
                self._refusals += 1
                news.append(self._event("refused"))
                raise CircuitOpen(self.target, self._retry_after())
            if self._state is CircuitState.HALF_OPEN:
                if conclusive and not self._probes[True]:
                    self._probing_since = self._clock()
                self._probes[conclusive] += 1
            return Permit(self._record_result, self._epoch, self._clock(), conclusive=conclusive)

    @contextmanager
    def guard(self, *, conclusive: bool = True) -> Iterator[Permit]:
        """Hold a permit during a block, sync or async, and report how the block ended."""
        permit = self.acquire(conclusive=conclusive)
        try:
            yield permit
        except Exception as exc:
            if self._should_handle(exc):
                permit.failure()
            raise
        else:
            permit.success()
        finally:
            permit.cancel()  # cancellation, Ctrl-C, and errors that are not handled

    async def call(self, func: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await ``func`` unless the circuit is open: then raise :class:`CircuitOpen`."""
        with self.guard():
            return await func(*args, **kwargs)

    def force_open(self) -> None:
        """Reject every call until :meth:`release`."""
        self._force(CircuitState.FORCED_OPEN)

    def force_closed(self) -> None:
        """Permit every call and record no results until :meth:`release`."""
        self._force(CircuitState.FORCED_CLOSED)

    def release(self) -> None:
        """Reset the circuit to closed."""
        self._force(CircuitState.CLOSED)

    def snapshot(self) -> CircuitSnapshot:
        """Return the current state."""
        with self._lock:
            facts = self._failures, self._retry_after(), dict(self._transitions), self._refusals
            return CircuitSnapshot(self.target, self._state, *facts)

    def _record_result(self, permit: Permit, result: Result, elapsed: float | None) -> None:
        with self._changing() as news:
            if not permit.finish() or permit.epoch != self._epoch:
                return
            if self._state is CircuitState.HALF_OPEN:
                self._record_probe(permit, result, news)
            elif self._state is CircuitState.CLOSED and result != "nothing":
                took = self._clock() - permit.began if elapsed is None else elapsed
                self._record_call(took, news, failed=result == "failure")

    def _end_stuck_probe(self, news: list[Event]) -> None:
        """Take a probe that has not ended in ``probe_sec`` for a failed one."""
        stuck = self._clock() - self._probing_since >= self.policy.probe_sec
        if self._state is CircuitState.HALF_OPEN and self._probes[True] and stuck:
            self._failures += 1
            self._move(CircuitState.OPEN, news, OpenReason("probe"))

    def _record_probe(self, permit: Permit, result: Result, news: list[Event]) -> None:
        self._probes[permit.conclusive] -= 1
        if result == "failure":
            self._failures += 1
            self._move(CircuitState.OPEN, news, OpenReason("probe"))
        elif result == "success":
            self._failures = self._openings = 0
            self._move(CircuitState.CLOSED, news)

    def _record_call(self, took: float, news: list[Event], *, failed: bool) -> None:
        self._window.append((failed, took >= self.policy.slow_call_sec))
        self._failures = self._failures + 1 if failed else 0
        why = self.policy.find_reason_to_open(self._failures, self._window)
        if why is not None:
            self._move(CircuitState.OPEN, news, why)

    def _rejects(self, *, conclusive: bool) -> bool:
        if self._state is CircuitState.HALF_OPEN:
            return self._probes[conclusive] >= self.policy.probes
        return self.is_open

    def _retry_after(self) -> float | None:
        if self._state is CircuitState.OPEN:
            return max(0.0, self._open_until - self._clock())
        if self._state is CircuitState.HALF_OPEN:
            return PROBE_WAIT_SEC
        return None if self._state is CircuitState.FORCED_OPEN else 0.0

    def _force(self, state: CircuitState) -> None:
        with self._changing() as news:
            self._failures = self._openings = 0
            self._move(state, news, OpenReason("forced"))

    def _move(self, state: CircuitState, news: list[Event], why: OpenReason | None = None) -> None:
        self._state = state
        self._epoch += 1
        self._probes.clear()
        self._window.clear()
        if state is CircuitState.OPEN:
            self._openings += 1
            self._open_until = self._clock() + self.policy.open_duration(
                self._openings, self._random_unit()
            )
        transition = TRANSITIONS[state]
        self._transitions[transition] += 1
        news.append(self._event(transition, why))

    def _event(self, what: str, why: OpenReason | None = None) -> Event:
        counted = why.failures if why else None
        return CircuitChanged(
            target=self.target,
            what=what,
            failures=self._failures if counted is None else counted,
            retry_after=self._retry_after(),
            cause=why.cause if why else None,
            slow=why.slow if why else 0,
        )

    @contextmanager
    def _changing(self) -> Iterator[list[Event]]:
        news: list[Event] = []
        try:
            with self._lock:
                yield news
        finally:
            for event in news:
                emit(self._observers, event)


class CircuitBreakers:
    """Circuit breakers by target; beyond ``limit``, the least recently used one is dropped."""

    def __init__(
        self,
        policy: CircuitPolicy | None = None,
        *,
        observers: Iterable[Observer] = (),
        should_handle: Callable[[Exception], bool] = is_target_failure,
        clock: Clock = time.monotonic,
        limit: int = 256,
    ) -> None:
        self.policy = policy or CircuitPolicy()
        self._observers = tuple(observers)
        self._should_handle = should_handle
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._breakers: OrderedDict[_Key, CircuitBreaker] = OrderedDict()

    def get(
        self, target: str, model: str | None = None, shown: str | None = None
    ) -> CircuitBreaker:
        """Return the breaker for ``target`` (a URL without query) and, where set, ``model``.

        ``shown``: the target as events and errors may name it.
        """
        name = target if shown is None else shown
        key = (target, model)
        with self._lock:
            breaker = self._breakers.get(key) or CircuitBreaker(
                policy=self.policy,
                target=f"{name} ({model})" if model else name,
                observers=self._observers,
                should_handle=self._should_handle,
                clock=self._clock,
            )
            self._breakers[key] = breaker
            self._breakers.move_to_end(key)
            while len(self._breakers) > self._limit:
                del self._breakers[self._dispensable()]
            return breaker

    def _dispensable(self) -> _Key:
        """Return the least recently used circuit, of those that are closed where there are any."""
        *others, _newest = self._breakers
        return next((key for key in others if not self._breakers[key].is_open), others[0])

    def snapshots(self) -> tuple[CircuitSnapshot, ...]:
        """Return the state of every circuit."""
        with self._lock:
            breakers = tuple(self._breakers.values())
        return tuple(breaker.snapshot() for breaker in breakers)
