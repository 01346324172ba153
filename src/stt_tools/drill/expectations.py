"""What is expected of an answer: the steady state, or the documented fallback for a fault."""

from __future__ import annotations

import http
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Conditions = dict[str, bool]

NOTHING, PARTLY, WHOLE = 1, 2, 3
"""Completeness of an answer: nothing usable, the transcript alone, all that was requested."""


@dataclass(frozen=True)
class Answer:
    """What a client received. ``status`` 0: no response. ``took_sec`` is wall-clock seconds."""

    status: int
    body: dict[str, Any]
    took_sec: float
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""

    @property
    def degraded(self) -> str | None:
        """The header ``X-STT-Degraded``."""
        return self.headers.get("x-stt-degraded")

    @property
    def request_id(self) -> str:
        """The id under which the server logged the call."""
        return self.headers.get("x-request-id", "")

    @property
    def completeness(self) -> int:
        """How much of the requested result is there."""
        if self.body.get("success") is not True:
            return NOTHING
        return PARTLY if self.body.get("is_agent_dummy") else WHOLE


@dataclass(frozen=True)
class Expectation:
    """``conditions`` names each assertion on an answer; ``description`` is for people."""

    description: str
    conditions: Callable[[Answer], Conditions]
    completeness: int = NOTHING

    def missing(self, answer: Answer) -> list[str]:
        """Return the conditions that the answer does not meet."""
        return [name for name, holds in self.conditions(answer).items() if not holds]


def _recognised(answer: Answer) -> Conditions:
    body = answer.body
    return {
        "HTTP 200": answer.status == http.HTTPStatus.OK,
        "success": body.get("success") is True,
        "a transcript": bool(body.get("text")) or body.get("outcome") == "no_speech",
        "no dummy": body.get("is_dummy") is False,
    }


def _complete(answer: Answer) -> Conditions:
    body = answer.body
    return {
        **_recognised(answer),
        "no dummy of the LLM": body.get("is_agent_dummy") is False,
        "the LLM's answer": body.get("agent_type") == "vllm",
        "no X-STT-Degraded": answer.degraded is None,
    }


def _partial(answer: Answer) -> Conditions:
    body = answer.body
    return {
        **_recognised(answer),
        "is_agent_dummy": body.get("is_agent_dummy") is True,
        "is_partial_failure": body.get("is_partial_failure") is True,
        "a reason": bool(body.get("partial_failure_reason")),
        "no LLM finding": not findings(body),
        "X-STT-Degraded: agent": answer.degraded == "agent",
    }


def _dummy(answer: Answer) -> Conditions:
    body = answer.body
    return {
        "HTTP 200": answer.status == http.HTTPStatus.OK,
        "success=false": body.get("success") is False,
        "no text": body.get("text") == "",
        "is_dummy": body.get("is_dummy") is True,
        "backend dummy": body.get("backend") == "dummy",
        "a cause": bool(body.get("error")) and bool(body.get("error_type")),
        "no finding": not findings(body),
        "X-STT-Degraded: stt...": (answer.degraded or "").startswith("stt"),
    }


def _both(answer: Answer) -> Conditions:
    body = answer.body
    return {
        **_dummy(answer),
        "is_agent_dummy": body.get("is_agent_dummy") is True,
        "the LLM's cause": bool(body.get("agent_dummy_reason")),
        "X-STT-Degraded: stt,agent": answer.degraded == "stt,agent",
    }


def _honest(answer: Answer) -> Conditions:
    return _recognised(answer) if answer.body.get("success") else _dummy(answer)


def _replaced(answer: Answer) -> Conditions:
    tried = [one.get("backend") for one in answer.body.get("attempts", [])]
    return {**_recognised(answer), "the failed attempt named": bool(tried)}


COMPLETE = Expectation("transcript and check, nothing degraded", _complete, WHOLE)
RECOGNISED = Expectation("a transcript", _recognised, WHOLE)
REPLACED = Expectation("a transcript by the next backend, the failed one named", _replaced, WHOLE)
PARTIAL = Expectation("transcript kept, the failed check named, no finding", _partial, PARTLY)
DUMMY = Expectation("no text, the real cause, no finding", _dummy)
BOTH = Expectation("no text, both causes, no finding", _both)
HONEST = Expectation("a transcript, or a dummy with the real cause", _honest)


def refused(status: int, slug: str) -> Expectation:
    """Expect a problem document whose type ends in ``slug``."""

    def conditions(answer: Answer) -> Conditions:
        return {
            f"HTTP {status}": answer.status == status,
            f"problem {slug}": answer.body.get("type") == f"urn:stt-engine:problem:{slug}",
        }

    return Expectation(f"HTTP {status} that says what to do ({slug})", conditions)


def _refused_with_retry(status: int, slug: str) -> Expectation:
    plain = refused(status, slug)

    def conditions(answer: Answer) -> Conditions:
        return {**plain.conditions(answer), "Retry-After": bool(answer.headers.get("retry-after"))}

    return Expectation(f"HTTP {status} and when to try again", conditions)


BUSY = _refused_with_retry(429, "queue-full")
NO_ROOM = _refused_with_retry(503, "no-room")


def expect_that(description: str, condition: Callable[[Answer], bool]) -> Expectation:
    """Expect one condition."""
    return Expectation(description, lambda answer: {description: condition(answer)})


def is_problem(answer: Answer) -> bool:
    """Return whether an answer is a problem document (RFC 9457)."""
    return answer.headers.get("content-type", "").startswith("application/problem+json")


def findings(body: dict[str, Any]) -> list[str]:
    """Return the ids of the LLM's findings; rules need no LLM."""
    elements = (body.get("incomplete_elements") or {}).get("elements", [])
    open_ones = {"undetermined", "not_applicable"}
    return [
        one["id"]
        for one in elements
        if one.get("source") != "rules" and one["status"] not in open_ones
    ]


def describe(answer: Answer) -> str:
    """Return a one-line description of an answer."""
    body = answer.body
    if not answer.status:
        return f"no answer: {body.get('error')}"
    if "text" not in body:
        what = body.get("detail") or body.get("reason") or ""
        return f"HTTP {answer.status}" + (f": {what}" if what else "")
    cause = body.get("error") or body.get("partial_failure_reason") or ""
    state = "dummy" if body.get("is_dummy") else "transcript"
    checked = body.get("agent_type")
    parts = [f"HTTP {answer.status}, {state}", f", check {checked}" if checked else ""]
    return "".join(parts) + (f": {cause}" if cause else "")
