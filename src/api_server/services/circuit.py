"""The circuit breaker: a pure state machine on an injected clock, and one of them per target.

closed → (failures) → open → (wait) → half-open → success: closed; failure: open, for longer.

Every transition starts a new epoch. A permit belongs to the epoch that gave it, so that a result
that comes late changes nothing. The lock is held for changes of state only, never during a call;
observers are told after it is released.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from api_server.services.agent_errors import CircuitOpen, counts_for_circuit
from api_server.services.circuit_policy import (
    PROBE_WAIT_SEC,
    TRANSITIONS,
    CircuitPolicy,
    CircuitSnapshot,
    CircuitState,
    Permit,
    Result,
)
from api_server.services.deadline import Clock
from stt_engine.outcome import Event, Observer, Stage, emit

__all__ = ["CircuitBreaker", "CircuitBreakers", "CircuitPolicy", "CircuitSnapshot", "CircuitState"]

P = ParamSpec("P")
T = TypeVar("T")


class CircuitBreaker:
    """Refuses calls to a target that keeps failing. ``policy`` overrides the two first arguments.

    Args:
        failure_threshold: consecutive failures that open the circuit.
        recovery_timeout: seconds until the first probe.
        policy: all settings.
        target: the name in events and errors.
        observers: told of transitions and refusals.
        counts: which exceptions of a guarded call are the target's failures.
        clock: monotonic seconds.
        chance: random numbers from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_timeout: float = 60.0,
        *,
        policy: CircuitPolicy | None = None,
        target: str = "agent",
        observers: Iterable[Observer] = (),
        counts: Callable[[Exception], bool] = counts_for_circuit,
        clock: Clock = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy or CircuitPolicy(failure_threshold, recovery_timeout)
        self.target = target
        self._observers = tuple(observers)
        self._counts = counts
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._state = CircuitState.CLOSED
        self._epoch = 0
        self._failures = 0
        self._opened = 0
        self._until = 0.0
        self._probes = 0
        self._window: deque[tuple[bool, bool]] = deque(maxlen=self.policy.window)
        self._transitions: Counter[str] = Counter()
        self._refusals = 0

    @property
    def is_open(self) -> bool:
        """True where calls are refused for now."""
        return self._state in {CircuitState.OPEN, CircuitState.FORCED_OPEN}

    @property
    def failure_count(self) -> int:
        """Failures in a row."""
        return self._failures

    def acquire(self) -> Permit:
        """Give the right to one call, or raise :class:`CircuitOpen` at once."""
        with self._changing() as news:
            if self._state is CircuitState.OPEN and self._clock() >= self._until:
                self._move(CircuitState.HALF_OPEN, news)
            if self._refuses():
                self._refusals += 1
                news.append(self._event("refused"))
                raise CircuitOpen(self.target, self._retry_after())
            if self._state is CircuitState.HALF_OPEN:
                self._probes += 1
            return Permit(self._report, self._epoch, self._clock())

    @contextmanager
    def guard(self) -> Iterator[Permit]:
        """Hold a permit for a block, sync or async, and report how the block ended."""
        permit = self.acquire()
        try:
            yield permit
        except Exception as exc:
            if self._counts(exc):
                permit.failure()
            raise
        else:
            permit.success()
        finally:
            permit.cancel()  # cancellation, Ctrl-C, and what does not count

    async def call(self, func: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await ``func`` under the breaker; raises :class:`CircuitOpen` without calling it."""
        with self.guard():
            return await func(*args, **kwargs)

    def force_open(self) -> None:
        """Refuse every call until :meth:`release`."""
        self._force(CircuitState.FORCED_OPEN)

    def force_closed(self) -> None:
        """Let every call through and count nothing until :meth:`release`."""
        self._force(CircuitState.FORCED_CLOSED)

    def release(self) -> None:
        """Forget everything and start closed again."""
        self._force(CircuitState.CLOSED)

    def snapshot(self) -> CircuitSnapshot:
        """Give the state at this moment."""
        with self._lock:
            facts = self._failures, self._retry_after(), dict(self._transitions), self._refusals
            return CircuitSnapshot(self.target, self._state, *facts)

    def _report(self, permit: Permit, result: Result, elapsed: float | None) -> None:
        with self._changing() as news:
            if not permit.finish() or permit.epoch != self._epoch:
                return
            if self._state is CircuitState.HALF_OPEN:
                self._probed(result, news)
            elif self._state is CircuitState.CLOSED and result != "nothing":
                took = self._clock() - permit.began if elapsed is None else elapsed
                self._counted(took, news, failed=result == "failure")

    def _probed(self, result: Result, news: list[Event]) -> None:
        self._probes -= 1
        if result == "failure":
            self._failures += 1
            self._move(CircuitState.OPEN, news, cause="probe")
        elif result == "success":
            self._failures = self._opened = 0
            self._move(CircuitState.CLOSED, news)

    def _counted(self, took: float, news: list[Event], *, failed: bool) -> None:
        self._window.append((failed, took >= self.policy.slow_call_sec))
        self._failures = self._failures + 1 if failed else 0
        why = self.policy.verdict(self._failures, self._window)
        if why is not None:
            self._move(CircuitState.OPEN, news, **why)

    def _refuses(self) -> bool:
        if self._state is CircuitState.HALF_OPEN:
            return self._probes >= self.policy.probes
        return self.is_open

    def _retry_after(self) -> float | None:
        if self._state is CircuitState.OPEN:
            return max(0.0, self._until - self._clock())
        if self._state is CircuitState.HALF_OPEN:
            return PROBE_WAIT_SEC
        return None if self._state is CircuitState.FORCED_OPEN else 0.0

    def _force(self, state: CircuitState) -> None:
        with self._changing() as news:
            self._failures = self._opened = 0
            self._move(state, news, cause="forced")

    def _move(self, state: CircuitState, news: list[Event], **detail: object) -> None:
        self._state = state
        self._epoch += 1
        self._probes = 0
        self._window.clear()
        if state is CircuitState.OPEN:
            self._opened += 1
            self._until = self._clock() + self.policy.wait(self._opened, self._chance())
        transition = TRANSITIONS[state]
        self._transitions[transition] += 1
        news.append(self._event(transition, **detail))

    def _event(self, transition: str, **detail: object) -> Event:
        facts = {"failures": self._failures, "retry_after": self._retry_after(), **detail}
        facts["transition"] = transition
        return Event(Stage.CIRCUIT, "noted", self.target, detail=facts)

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
    """The breakers by target; the least recently used goes once there are more than ``limit``."""

    def __init__(
        self,
        policy: CircuitPolicy | None = None,
        *,
        observers: Iterable[Observer] = (),
        counts: Callable[[Exception], bool] = counts_for_circuit,
        clock: Clock = time.monotonic,
        limit: int = 256,
    ) -> None:
        self.policy = policy or CircuitPolicy()
        self._observers = tuple(observers)
        self._counts = counts
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._breakers: OrderedDict[str, CircuitBreaker] = OrderedDict()

    def of(self, target: str, model: str | None = None) -> CircuitBreaker:
        """Give the breaker of ``target`` (scheme, host and port) and, where set, ``model``."""
        key = f"{target} ({model})" if model else target
        with self._lock:
            breaker = self._breakers.get(key) or CircuitBreaker(
                policy=self.policy,
                target=key,
                observers=self._observers,
                counts=self._counts,
                clock=self._clock,
            )
            self._breakers[key] = breaker
            self._breakers.move_to_end(key)
            while len(self._breakers) > self._limit:
                self._breakers.popitem(last=False)
            return breaker

    def snapshots(self) -> tuple[CircuitSnapshot, ...]:
        """Give the state of every circuit."""
        with self._lock:
            breakers = tuple(self._breakers.values())
        return tuple(breaker.snapshot() for breaker in breakers)
