"""Invariants of every answer, whatever was expected: nothing invented, hidden or inconsistent.

None of the product's rendering, evidence or matching code is used here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stt_tools.drill.expectations import Answer, findings, is_problem

_PROBLEM_FIELDS = {"type", "title", "status", "detail", "request_id"}
_CAUSE_FIELDS = ("error", "error_type", "dummy_reason")
_OK, _MISTAKE, _BUSY, _UNAVAILABLE = 200, 400, 429, 503


@dataclass(frozen=True)
class GroundTruth:
    """What the drill knows of a call.

    ``words``: at least one was really spoken (empty: the words are not known).
    ``speech``: the recording contains speech. ``checked``: a check was requested.
    """

    words: frozenset[str] = frozenset()
    speech: bool = True
    checked: bool = False


def violations(answer: Answer, truth: GroundTruth) -> list[str]:
    """Return the invariants that an answer violates: untrue, contradictory or hidden parts."""
    if not answer.status:
        return ["no answer"]
    if "text" not in answer.body:
        return list(_about_refusal(answer))
    return [
        *_about_status(answer),
        *_about_words(answer.body, truth),
        *_about_flags(answer),
        *_about_findings(answer.body, truth),
    ]


def _about_refusal(answer: Answer) -> Iterator[str]:
    body = answer.body
    if not is_problem(answer):
        if answer.status >= _MISTAKE and "ready" not in body:
            yield f"HTTP {answer.status} without a problem document"
        return
    if set(body) != _PROBLEM_FIELDS or body["status"] != answer.status:
        yield "a problem document of another shape"
    if not str(body.get("detail", "")).strip():
        yield "a refusal without a reason"
    if answer.status in {_BUSY, _UNAVAILABLE} and not answer.headers.get("retry-after"):
        yield "busy, and no word when to try again"
    if answer.status > _MISTAKE + 99 and answer.status != _UNAVAILABLE:
        yield f"HTTP {answer.status}, which nobody promised"
    if answer.degraded:
        yield "a refusal that calls itself degraded"


def _about_status(answer: Answer) -> Iterator[str]:
    if answer.status not in {_OK, _UNAVAILABLE}:
        yield f"HTTP {answer.status} with a transcript's body"
    if answer.status == _UNAVAILABLE and not answer.degraded:
        yield "HTTP 503 for an answer that is whole"


def _about_words(body: dict[str, Any], truth: GroundTruth) -> Iterator[str]:
    text = body["text"]
    joined = " ".join(one["text"] for one in body.get("segments", []))
    if text != joined:
        yield "the text is not that of the segments"
    if text and not truth.speech:
        yield "text of a recording that says nothing"
    if text and truth.words and not truth.words & set(_plain(text).split()):
        yield "text that nobody said"
    if not body.get("success") and (text or body.get("segments")):
        yield "text of a recognition that failed"
    if body.get("success") and not text and body.get("outcome") != "no_speech":
        yield "an empty success"
    if body.get("success") and not text and truth.speech and truth.words:
        yield "silence where words were said"


def _about_flags(answer: Answer) -> Iterator[str]:
    body = answer.body
    dummy, agent_dummy = bool(body.get("is_dummy")), bool(body.get("is_agent_dummy"))
    if dummy is bool(body.get("success")):
        yield "success and is_dummy contradict each other"
    if dummy != (body.get("backend") == "dummy") or dummy != (body.get("outcome") == "failed"):
        yield "is_dummy contradicts backend or outcome"
    if any(bool(body.get(name)) is not dummy for name in _CAUSE_FIELDS):
        yield "a cause that is missing, or one of nothing"
    if dummy and not body.get("attempts"):
        yield "a dummy without an attempt"
    if agent_dummy != (body.get("agent_type") == "dummy"):
        yield "is_agent_dummy contradicts agent_type"
    if agent_dummy is not bool(body.get("agent_dummy_reason")):
        yield "a cause of the check that is missing, or one of nothing"
    yield from _about_degraded(answer, dummy=dummy, agent_dummy=agent_dummy)


def _about_degraded(answer: Answer, *, dummy: bool, agent_dummy: bool) -> Iterator[str]:
    body = answer.body
    partial = agent_dummy and not dummy
    if bool(body.get("is_partial_failure")) != partial:
        yield "is_partial_failure contradicts what failed"
    if bool(body.get("partial_failure_reason")) != partial:
        yield "partial_failure_reason contradicts what failed"
    missing = [name for name, so in (("stt", dummy), ("agent", agent_dummy)) if so]
    if (answer.degraded or "") != ",".join(missing):
        yield "X-STT-Degraded contradicts what failed"
    if ((body.get("repair") or {}).get("missing") or []) != missing and "repair" in body:
        yield "repair contradicts what failed"


def _about_findings(body: dict[str, Any], truth: GroundTruth) -> Iterator[str]:
    checked = bool(body.get("agent_type"))
    if checked != truth.checked and "agent_type" in body:
        yield "a check that was not asked for" if checked else "no word of the check"
    found = findings(body)
    if found and (body.get("is_agent_dummy") or not body.get("agent_analysis")):
        yield "a finding without an analysis"
    if found and not body["text"]:
        yield "a finding without a transcript"
    if body.get("is_agent_dummy") and body.get("agent_analysis"):
        yield "an analysis of an agent that failed"
    transcript = _plain(body["text"]).replace(" ", "")
    for element in (body.get("incomplete_elements") or {}).get("elements", []):
        quotes = [_plain(one["quote"]).replace(" ", "") for one in element.get("evidence", [])]
        if any(quote not in transcript for quote in quotes):
            yield f"a quote that nobody said ({element['id']})"
        if element["status"] in {"violated", "satisfied"} and not quotes:
            yield f"a finding without a proof ({element['id']})"


def _plain(text: str) -> str:
    """Return words without punctuation, in one case."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()
