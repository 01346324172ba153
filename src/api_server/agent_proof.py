"""Whether the LLM server gives answers, proved by asking for one token.

A server whose engine hangs goes on answering ``/health`` and ``/v1/models`` with 200.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import anyio

from api_server.services.agent_formats import safe_url
from api_server.services.agent_types import Readiness
from api_server.transcribe_lines import AGENT_PROOF
from stt_engine.errors import ServerStopping
from stt_engine.outcome import Event, Failure, Observer, Outcome, Stage, emit

Probe = Callable[[str, float], Awaitable[Readiness]]
"""Asks the agent at a URL for one token, within a bound in seconds."""


@dataclass(frozen=True, slots=True)
class AgentState:
    """What is known of the agent, since when, and why it is failing."""

    state: Literal["ok", "failing", "unknown"] = "unknown"
    reason: str | None = None
    checked_at: str | None = None


class AgentProof:
    """An observer of the calls to one agent that asks it itself when no call has had an answer.

    A call that was answered is a proof. One that failed is none of the contrary (its prompt may
    have been too long), unless nothing is asked here.

    Args:
        url: the agent.
        interval_sec: how long an answer is a proof, and how often a failing agent is asked;
            0: nothing is asked, and the last call tells the state.
        timeout_sec: bound of one question.
        observers: told when the agent begins to fail, and when it is well again.
        wanted: ask from the start; else only after the first call, since a server that nobody
            has named and no call has asked may not be there at all.
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
        self.url = safe_url(url)
        self.now = AgentState()
        self._asked_url = url
        self._interval_sec = interval_sec
        self._timeout_sec = timeout_sec
        self._observers = tuple(observers)
        self._answered_at = -math.inf
        self._wanted = anyio.Event()
        if wanted:
            self._wanted.set()

    @property
    def trouble(self) -> dict[str, str]:
        """Give what is degraded, and why; empty while nothing is known to be."""
        return {"agent": self.now.reason} if self.now.reason else {}

    def __call__(self, event: Event) -> None:
        """Learn from a call."""
        if event.stage != Stage.AGENT or event.kind != "settled" or event.outcome is None:
            return
        cause = event.outcome.cause if event.outcome.is_dummy else None
        if event.detail["url"] != self.url:
            return
        self._wanted.set()
        if cause is None:
            self._well(event.elapsed_sec)
        elif not self._interval_sec:
            self._failing(cause)

    async def watch(self, probe: Probe) -> None:
        """Ask for ever, but not while calls are answered."""
        asked = -math.inf
        await self._wanted.wait()
        while self._interval_sec:
            rest = self._due(asked) - time.monotonic()
            if rest > 0:
                await anyio.sleep(rest)
            else:
                await self._ask(probe)
                asked = time.monotonic()

    def _due(self, asked: float) -> float:
        last = self._answered_at if self.now.state == "ok" else asked
        return last + self._interval_sec

    async def _ask(self, probe: Probe) -> None:
        began = time.monotonic()
        found = await probe(self._asked_url, self._timeout_sec)
        if found.failure is None:
            self._well(found.elapsed_sec)
        elif isinstance(found.failure.error, ServerStopping):
            return
        elif self._answered_at < began:  # else it is only busy: a call was answered meanwhile
            self._failing(found.failure)

    def _well(self, elapsed_sec: float) -> None:
        before, self.now = self.now, AgentState("ok", None, _now())
        self._answered_at = time.monotonic()
        if before.state == "failing":
            self._tell("settled", elapsed_sec, outcome=Outcome(None, AGENT_PROOF))

    def _failing(self, failure: Failure) -> None:
        before = self.now
        self.now = AgentState("failing", f"{failure.error_type}: {failure.message}", _now())
        if before.state != "failing" or failure.unexpected:
            self._tell("failed", failure.elapsed_sec, failure=failure)

    def _tell(
        self,
        kind: Literal["failed", "settled"],
        elapsed_sec: float,
        *,
        failure: Failure | None = None,
        outcome: Outcome[None] | None = None,
    ) -> None:
        """Tell of a transition; where nothing is asked, the calls' own lines say it all."""
        if self._interval_sec:
            facts = {"url": self.url}
            event = Event(Stage.HEALTH, kind, AGENT_PROOF, elapsed_sec, failure, outcome, facts)
            emit(self._observers, event)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
