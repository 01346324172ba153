"""What the queue has to know of an answer. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from api_server.models import TranscribeResponse
from api_server.pipeline.render.answers import degraded_stages, transcribe_response
from api_server.pipeline.result import CallResult
from api_server.store.review_records import SAMPLE, CaseFacts, FindingFacts, Unread
from stt_engine.warnings import BARS_ABSENCE

_DOUBTED = "doubted"
_WEIGHT = {"violated": 4.0, "undetermined": 3.0, "not_found": 2.0}
_UNKNOWN = 0.5
_MANY = 9
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Reading:
    """How answers are read: where metadata names agent and product, and how many are sampled.

    ``None``: the name is not kept.
    """

    agent_key: str | None = "agent"
    product_key: str | None = "product"
    sample_percent: float = 0.0


def facts_of(unread: Unread, reading: Reading | None = None) -> CaseFacts:
    """Return what the queue has to know; of an answer that cannot be read, that it is degraded."""
    how = reading or Reading()
    agent, product = labels_of(unread.metadata, how)
    bare = CaseFacts(
        seq=unread.seq,
        revision=unread.revision.number,
        rank=0.0,
        degraded=False,
        warnings=0,
        findings=(),
        received_at=unread.received_at,
        agent=agent,
        product=product,
    )
    if not unread.revision.answer:  # it was removed
        return bare
    try:
        result = CallResult.from_json(unread.revision.answer)
        answer = transcribe_response(result, "")
    except (ValidationError, ValueError):
        return replace(bare, degraded=True)
    elements = elements_of(answer)
    findings = [
        FindingFacts(one["id"], one["kind"], one["status"], is_wanted(one), one.get("confidence"))
        for one in elements
    ]
    rank = rank_of(elements)
    drawn = _draw(unread.case)
    sampled = bool(findings) and rank == 0 and drawn * 100 < how.sample_percent
    if sampled:
        findings.append(FindingFacts(SAMPLE, SAMPLE, "not_found", wanted=True))
        rank = _sample_rank(unread.case)
    return replace(
        bare,
        rank=rank,
        degraded=bool(degraded_stages(result)) or is_unsure(answer),
        warnings=len(answer.warnings),
        findings=tuple(findings),
        sampled=sampled,
    )


def labels_of(metadata: str, how: Reading) -> tuple[str | None, str | None]:
    """Return agent and product as a job's metadata name them; what is no word or number is none."""
    given = json.loads(metadata)
    found = [given.get(name) if name else None for name in (how.agent_key, how.product_key)]
    names = [str(one).strip()[:_LONGEST] if type(one) in {str, int} else "" for one in found]
    return names[0] or None, names[1] or None


def _draw(case: str) -> float:
    """Return a number from 0 to 1 that is always the same for a case, and that nobody chooses."""
    return int(hashlib.sha256(case.encode()).hexdigest()[:12], 16) / 16**12


def _sample_rank(case: str) -> float:
    """Return where a sampled call comes: anywhere between the others, or it would never be seen."""
    least, most = min(_WEIGHT.values()), max(_WEIGHT.values()) + 1
    return round(least + _draw(f"rank {case}") * (most - least), 6)


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
