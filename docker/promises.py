"""What the drill holds each answer to."""

from __future__ import annotations

import http
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Facts = dict[str, bool]


@dataclass(frozen=True)
class Answer:
    """What a caller got. ``took_sec`` is wall-clock seconds."""

    status: int
    body: dict[str, Any]
    degraded: str | None
    took_sec: float


@dataclass(frozen=True)
class Promise:
    """``words`` for people; ``facts`` names each thing that has to be true of an answer."""

    words: str
    facts: Callable[[Answer], Facts]

    def missing(self, answer: Answer) -> list[str]:
        """Give what is not true of the answer."""
        return [what for what, true in self.facts(answer).items() if not true]


def _recognised(answer: Answer) -> Facts:
    body = answer.body
    return {
        "HTTP 200": answer.status == http.HTTPStatus.OK,
        "success": body.get("success") is True,
        "a transcript": bool(body.get("text")),
        "no dummy": body.get("is_dummy") is False,
    }


def _complete(answer: Answer) -> Facts:
    body = answer.body
    return {
        **_recognised(answer),
        "no dummy of the LLM": body.get("is_agent_dummy") is False,
        "the LLM's answer": body.get("agent_type") == "vllm",
        "no X-STT-Degraded": answer.degraded is None,
    }


def _partial(answer: Answer) -> Facts:
    body = answer.body
    return {
        **_recognised(answer),
        "is_agent_dummy": body.get("is_agent_dummy") is True,
        "is_partial_failure": body.get("is_partial_failure") is True,
        "a reason": bool(body.get("partial_failure_reason")),
        "no LLM finding": not _findings(body),
        "X-STT-Degraded: agent": answer.degraded == "agent",
    }


def _dummy(answer: Answer) -> Facts:
    body = answer.body
    return {
        "HTTP 200": answer.status == http.HTTPStatus.OK,
        "success=false": body.get("success") is False,
        "no text": body.get("text") == "",
        "is_dummy": body.get("is_dummy") is True,
        "backend dummy": body.get("backend") == "dummy",
        "a cause": bool(body.get("error")) and bool(body.get("error_type")),
        "no finding": not _findings(body),
        "X-STT-Degraded: stt...": (answer.degraded or "").startswith("stt"),
    }


def _honest(answer: Answer) -> Facts:
    return _recognised(answer) if answer.body.get("success") else _dummy(answer)


COMPLETE = Promise("transcript and check, nothing degraded", _complete)
RECOGNISED = Promise("a transcript", _recognised)
PARTIAL = Promise("transcript kept, the failed check named, no finding", _partial)
DUMMY = Promise("no text, the real cause, no finding", _dummy)
HONEST = Promise("a transcript, or a dummy with the real cause", _honest)


def _findings(body: dict[str, Any]) -> list[str]:
    """Give what the LLM is said to have found; rules need no LLM."""
    elements = (body.get("incomplete_elements") or {}).get("elements", [])
    open_ones = {"undetermined", "not_applicable"}
    return [
        one["id"]
        for one in elements
        if one.get("source") != "rules" and one["status"] not in open_ones
    ]


def told(answer: Answer) -> str:
    """Give an answer in a line."""
    body = answer.body
    cause = body.get("error") or body.get("partial_failure_reason") or ""
    state = "dummy" if body.get("is_dummy") else "transcript"
    checked = body.get("agent_type")
    parts = [f"HTTP {answer.status}, {state}", f", check {checked}" if checked else ""]
    return "".join(parts) + (f": {cause}" if cause else "")
