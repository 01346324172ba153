"""Active health check of the LLM server: request one token of a completion.

This is needed because a server whose engine hangs still returns 200 on ``/health`` and
``/v1/models``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import anyio

from api_server.clients.agent.errors import AgentNotFound, AgentRefused, AgentUnauthorized
from api_server.clients.agent.formats import redact_url
from api_server.clients.agent.types import ProbeResult
from api_server.observability.events import AGENT_PROBE
from stt_engine.errors import ServerStopping
from stt_engine.events import Event, Observer, Stage, emit
from stt_engine.outcome import AttemptFailed, Failure, Outcome, StageSettled

REFUSED = frozenset(one.__name__ for one in (AgentRefused, AgentUnauthorized, AgentNotFound))
REFUSALS = 3
"""Calls refused one after the other (a 4xx) after which a server is failing, whatever a probe says:
one may be a caller's own, and a probe's question is shorter than a check's."""

Probe = Callable[[str, float], Awaitable[ProbeResult]]
"""Requests one token from the agent at a URL, within a limit in seconds."""


@dataclass(frozen=True, slots=True)
class AgentState:
    """The agent's last known state, when it was checked, and why it is failing."""

    state: Literal["ok", "failing", "unknown"] = "unknown"
    reason: str | None = None
    checked_at: str | None = None


class AgentProbe:
    """Health of one agent: observes its calls, and probes it when no call has succeeded lately.

    A successful call shows that the agent works. A failed call does not show the opposite (its
    prompt may have been too long), so that only a probe does, unless probing is off, or
    :data:`REFUSALS` calls in a row: after these, no probe shows that it works, until a call does or
    the server has been away.

    Args:
        url: the agent.
        interval_sec: how long a success is valid, and how often a failing agent is probed;
            0 switches probing off, and the last call decides the state.
        timeout_sec: limit of one probe.
        observers: get an event when the agent starts to fail, and when it recovers.
        wanted: probe from the start; else from the first call on, since an agent that no setting
            and no call has named may not exist.
    """

    def __init__(
        self,
        url: str,
        interval_sec: float,
        timeout_sec: float,
        observers: Iterable[Observer],
        *,
        wanted: bool = True,
    ) -> None:
        self.url = redact_url(url)
        self.now = AgentState()
        self._probe_url = url
        self._interval_sec = interval_sec
        self._timeout_sec = timeout_sec
        self._observers = tuple(observers)
        self._succeeded_at = -math.inf
        self._refused = 0
        self._wanted = anyio.Event()
        if wanted:
            self._wanted.set()

    @property
    def probes(self) -> bool:
        """True where a failing agent is probed, so that it is known when it is back."""
        return self._interval_sec > 0

    @property
    def trouble(self) -> dict[str, str]:
        """Return the degraded component with its reason; empty if none is known to be."""
        return {"agent": self.now.reason} if self.now.reason else {}

    def __call__(self, event: Event) -> None:
        """Update the state from the outcome of a call."""
        if not isinstance(event, StageSettled) or event.stage != Stage.AGENT:
            return
        if event.subject != self.url:
            return
        self._wanted.set()
        outcome = event.outcome
        if not outcome.is_dummy:
            self._refused = 0
            self._mark_ok(outcome.elapsed_sec)
        elif outcome.cause is not None:
            self._note_failure(outcome.cause)

    async def watch(self, probe: Probe) -> None:
        """Probe repeatedly, but not while calls succeed."""
        probed_at = -math.inf
        await self._wanted.wait()
        while self._interval_sec:
            rest = self._next_probe(probed_at) - time.monotonic()
            if rest > 0:
                await anyio.sleep(rest)
            else:
                await self._run(probe)
                probed_at = time.monotonic()

    def _next_probe(self, probed_at: float) -> float:
        last = self._succeeded_at if self.now.state == "ok" else probed_at
        return last + self._interval_sec

    async def _run(self, probe: Probe) -> None:
        started = time.monotonic()
        found = await probe(self._probe_url, self._timeout_sec)
        if found.failed is None:
            if self._refused < REFUSALS:
                self._mark_ok(found.elapsed_sec)
        elif isinstance(found.failed.error, ServerStopping):
            return
        elif self._succeeded_at < started:  # else it was busy: a call succeeded meanwhile
            self._refused = 0
            self._mark_failing(found.failed)

    def _mark_ok(self, elapsed_sec: float) -> None:
        before, self.now = self.now, AgentState("ok", None, _now())
        self._succeeded_at = time.monotonic()
        if before.state == "failing":
            outcome = Outcome(None, AGENT_PROBE, elapsed_sec=elapsed_sec)
            self._emit(StageSettled(stage=Stage.HEALTH, outcome=outcome, subject=self.url))

    def _note_failure(self, cause: Failure) -> None:
        """Take a call's failure into account, which its own lines have told."""
        self._refused += cause.error_type in REFUSED
        if self._refused >= REFUSALS:
            failure = replace(cause, stage=Stage.HEALTH)
            refused = AgentRefused(cause.message)
            self._mark_failing(AttemptFailed(failure=failure, error=refused, subject=self.url))
        elif not self._interval_sec:
            self._set_failing(cause)

    def _mark_failing(self, failed: AttemptFailed) -> None:
        before = self.now
        self._set_failing(failed.failure)
        if before.state != "failing" or failed.failure.unexpected:
            self._emit(failed)

    def _set_failing(self, failure: Failure) -> None:
        self.now = AgentState("failing", f"{failure.error_type}: {failure.message}", _now())

    def _emit(self, event: Event) -> None:
        """Report a transition; where nothing is asked, the calls' own lines say it all."""
        if self._interval_sec:
            emit(self._observers, event)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
