"""One attack: what was tried, and how the server took it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import httpx2

from tests.support.server import ApiServer

ANSWER_SEC = 60.0
"""No attack keeps its own caller waiting for longer."""

_PROBLEM = "application/problem+json"
_MOST_TOLD = 4_000
"""Bytes of a refusal: it does not send back what was sent."""

Outcome = Literal["held", "refused", "fell"]


@dataclass(frozen=True)
class Trial:
    """What one attack came to; ``why`` where the server fell."""

    name: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True)
class Target:
    """The server that is attacked, a client of it, and the folder whose recordings it may read."""

    server: ApiServer
    client: httpx2.AsyncClient
    recordings: Path
    clip: bytes


Attack = Callable[[Target], AsyncIterator[Trial]]
Judge = Callable[[httpx2.Response], str]
"""Returns what is untrue in an answer, or nothing."""


def fell(name: str, why: str) -> Trial:
    """Return a trial that the server lost."""
    return Trial(name, "fell", why)


def held(name: str, why: str = "") -> Trial:
    """Return a trial that the server won, unless there is a reason why not."""
    return Trial(name, "fell" if why else "held", why)


async def asked(
    target: Target,
    name: str,
    method: str,
    path: str,
    judge: Judge | None = None,
    how: Mapping[str, Any] = MappingProxyType({}),
) -> Trial:
    """Send a request and judge the answer: a refusal has to be a problem document that says why.

    Without a judge nothing but a refusal will do.
    """
    try:
        answer = await target.client.request(method, path, timeout=ANSWER_SEC, **how)
    except httpx2.TimeoutException:
        return fell(name, f"no answer within {ANSWER_SEC:g} s")
    except httpx2.TransportError as exc:
        return fell(name, f"no answer: {type(exc).__name__}: {exc}")
    return judged(name, answer, judge)


def judged(name: str, answer: httpx2.Response, judge: Judge | None) -> Trial:
    """Judge an answer; see :func:`asked`."""
    if answer.status_code >= 400:
        return refusal(name, answer)
    if judge is None:
        return fell(name, f"HTTP {answer.status_code}, where a refusal was wanted")
    return held(name, judge(answer))


def refusal(name: str, answer: httpx2.Response) -> Trial:
    """Judge a refusal."""
    kind = answer.headers.get("content-type", "")
    if not kind.startswith(_PROBLEM):
        return fell(name, f"HTTP {answer.status_code} as {kind or 'nothing'}")
    if answer.status_code == 500:
        return fell(name, "HTTP 500")
    if len(answer.content) > _MOST_TOLD:
        return fell(name, f"a refusal of {len(answer.content)} bytes")
    told = json.loads(answer.content)
    return Trial(name, "refused") if told.get("detail") else fell(name, "no reason is told")


def no_verdict(answer: httpx2.Response) -> str:
    """Return which verdict was given that nothing proves: none may be."""
    found = (answer.json().get("incomplete_elements") or {}).get("elements", [])
    wrong = [one["id"] for one in found if one["status"] not in {"undetermined", "not_applicable"}]
    return f"verdicts without a proof: {wrong}" if wrong else ""


def anything(_answer: httpx2.Response) -> str:
    """Take any answer: it is the time that counts, and who else waits."""
    return ""
