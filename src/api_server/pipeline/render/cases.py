"""Jobs and cases to wire types. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from api_server.models import (
    CaseList,
    CaseResponse,
    CaseSummary,
    JobFailure,
    JobList,
    JobResponse,
)
from api_server.pipeline.render import answers
from api_server.pipeline.result import CallResult
from api_server.store.records import CaseFailure, CaseRecord, JobRecord, Revision
from stt_engine.speech import Transcript


def job_response(job: JobRecord) -> JobResponse:
    """Return a job as callers see it."""
    ended = 1.0 if job.state in {"done", "cancelled"} else job.bytes_ended / max(1, job.bytes)
    return JobResponse(
        id=job.id,
        state=cast("Any", job.state),
        created_at=_time(job.created_at),
        priority=job.priority,
        metadata=json.loads(job.metadata),
        options=json.loads(job.options),
        cases=job.cases,
        counts=job.counts,
        share_done=round(ended, 4),
        audio_sec=job.audio_sec,
        remaining_sec=None if job.remaining_sec is None else float(f"{job.remaining_sec:.2g}"),
        failures=None if job.failures is None else [_failure(one) for one in job.failures],
        webhook_url=job.webhook_url,
    )


def _failure(one: CaseFailure) -> JobFailure:
    return JobFailure(
        state=cast("Any", one.state),
        error_type=one.error_type,
        cases=one.cases,
        case=one.case,
        error=one.error,
    )


def job_list(jobs: Sequence[JobRecord], limit: int) -> JobList:
    """Return a page of at most ``limit`` of ``jobs``, which has one more where there are more."""
    page = jobs[:limit]
    return JobList(
        jobs=[job_response(one) for one in page],
        next_cursor=str(page[-1].seq) if len(jobs) > limit else None,
    )


def case_summary(case: CaseRecord) -> CaseSummary:
    """Return a case without its answer."""
    return CaseSummary(**_fields(case))


def case_list(cases: Sequence[CaseRecord], limit: int) -> CaseList:
    """Return a page of at most ``limit`` of ``cases``, which has one more where there are more."""
    page = cases[:limit]
    return CaseList(
        cases=[case_summary(one) for one in page],
        next_cursor=str(page[-1].seq) if len(cases) > limit else None,
    )


def case_response(case: CaseRecord, revision: Revision | None) -> CaseResponse:
    """Return a case with its answer."""
    if revision is None:
        return CaseResponse(**_fields(case))
    result = replace(CallResult.from_json(revision.answer), revision=revision.number)
    return CaseResponse(
        **_fields(case),
        revision=revision.number,
        answer=answers.transcribe_response(result, case.id, case),
    )


def case_transcript(revision: Revision | None) -> Transcript | None:
    """Return the transcript of an answer that was stored, where a real backend gave it."""
    if revision is None:
        return None
    recognition = CallResult.from_json(revision.answer).recognition
    return None if recognition.is_dummy else recognition.value


def _fields(case: CaseRecord) -> dict[str, Any]:
    return {
        "id": case.id,
        "job": case.job,
        "name": case.name,
        "state": case.state,
        "tries": case.tries,
        "received_at": _time(case.received_at),
        "started_at": _time(case.started_at) if case.started_at is not None else None,
        "ended_at": _time(case.ended_at) if case.ended_at is not None else None,
        "audio_sec": case.audio_sec,
        "error_type": case.error_type,
        "error": case.error,
        "repair": case.repair.status if case.repair else None,
        "erased_at": _time(case.erased_at) if case.erased_at is not None else None,
    }


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def wordless_findings(stored: str) -> str:
    """Return what an answer has found, as JSON without a word that was said; see ``Retention``."""
    check = CallResult.from_json(stored).check
    if check is None or check.report is None:
        return "[]"
    report = check.report.value
    found = [
        {
            "id": one.element.id,
            "title": one.element.title,
            "kind": one.element.kind,
            "status": one.status,
            "reason": str(one.reason),
            "source": one.source,
            "confidence": one.confidence,
            "rubric_version": report.rubric_version,
        }
        for one in report.elements
    ]
    return json.dumps(found, ensure_ascii=False)
