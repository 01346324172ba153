"""What the queue has to know of an answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from api_server.models import TranscribeResponse
from api_server.pipeline.render.answers import degraded_stages, transcribe_response
from api_server.pipeline.result import CallResult
from api_server.store.review_records import CaseFacts, FindingFacts, Unread
from stt_engine.warnings import BARS_ABSENCE

_DOUBTED = "doubted"
_WEIGHT = {"violated": 4.0, "undetermined": 3.0, "not_found": 2.0}
_UNKNOWN = 0.5
_MANY = 9


def facts_of(unread: Unread) -> CaseFacts:
    """Return what the queue has to know; of an answer that cannot be read, that it is degraded."""
    number = unread.revision.number
    if not unread.revision.answer:  # it was removed
        return CaseFacts(unread.seq, number, 0.0, degraded=False, warnings=0, findings=())
    try:
        result = CallResult.from_json(unread.revision.answer)
        answer = transcribe_response(result, "")
    except (ValidationError, ValueError):
        return CaseFacts(unread.seq, number, 0.0, degraded=True, warnings=0, findings=())
    elements = elements_of(answer)
    return CaseFacts(
        seq=unread.seq,
        revision=number,
        rank=rank_of(elements),
        degraded=bool(degraded_stages(result)) or is_unsure(answer),
        warnings=len(answer.warnings),
        findings=tuple(
            FindingFacts(one["id"], one["kind"], one["status"], is_wanted(one)) for one in elements
        ),
    )


def elements_of(answer: TranscribeResponse) -> Sequence[Mapping[str, Any]]:
    """Return the findings of an answer, none where it was not checked."""
    found: Sequence[Mapping[str, Any]] = (answer.incomplete_elements or {}).get("elements", ())
    return found


def is_unsure(answer: TranscribeResponse) -> bool:
    """Return whether a warning takes the answer the right to say that something was not said."""
    return any(one.code in BARS_ABSENCE for one in answer.warnings)


def is_wanted(element: Mapping[str, Any]) -> bool:
    """Return whether a person has to decide on a finding.

    So it is with an accusation, and with words that may be one: not with those that are probably
    something else, and not where nobody could say anything.
    """
    status = element["status"]
    if status == "undetermined":
        return bool(element["evidence"]) and element["reason"] != _DOUBTED
    return bool(status == "violated" or (status == "not_found" and element["kind"] == "required"))


def rank_of(elements: Sequence[Mapping[str, Any]]) -> float:
    """Return how early a case comes: the most serious finding decides, then the least certain."""
    ranks = [_WEIGHT[one["status"]] + _doubt(one) for one in elements if is_wanted(one)]
    if not ranks:
        return 0.0
    return round(max(ranks) + min(len(ranks), _MANY) / 100, 6)


def _doubt(element: Mapping[str, Any]) -> float:
    """Return how uncertain a finding is, from 0 to 0.9."""
    sure = element.get("confidence")
    return 0.9 * (_UNKNOWN if sure is None else 1 - abs(2 * sure - 1))
