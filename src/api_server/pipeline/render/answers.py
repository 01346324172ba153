"""Outcomes to wire types. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from api_server.compliance.result import (
    ComplianceReport,
    ValidationResult,
    build_client_view,
    build_validation_result,
)
from api_server.models import AnalyzeResponse, RecognitionResponse, TranscribeResponse
from api_server.pipeline.result import CallResult, CheckResult
from api_server.store.records import CaseRecord
from stt_engine.log import named
from stt_engine.outcome import Outcome
from stt_engine.result import transcribe_result
from stt_engine.speech import Transcript
from stt_engine.warnings import AnswerWarning

_STAGES = ("stt", "translation", "agent")


def transcribe_response(
    result: CallResult, request_id: str, case: CaseRecord | None = None
) -> TranscribeResponse:
    """Return the answer of ``POST /transcribe``; ``case``: as what it is kept, if it is."""
    recognised = transcribe_result(result.recognition)
    partial = not recognised["is_dummy"] and bool(_partial_reason(result))
    return TranscribeResponse(
        success=recognised["success"],
        text=recognised["text"],
        duration=recognised["duration"],
        language=recognised["language"],
        error=recognised["error"],
        error_type=recognised["error_type"],
        backend=recognised["backend"],
        is_dummy=recognised["is_dummy"],
        dummy_reason=recognised["dummy_reason"],
        **_agent_fields(result.check),
        is_partial_failure=partial,
        partial_failure_reason=_partial_reason(result) if partial else None,
        request_id=request_id,
        outcome=cast("Any", recognised["outcome"]),
        segments=recognised["segments"],
        text_en=recognised["text_en"],
        segments_en=recognised["segments_en"],
        attempts=recognised["attempts"],
        provenance=recognised["provenance"],
        coverage=result.recognition.value.coverage,
        warnings=[*result.recognition.value.warnings, *_check_warnings(result.check)],
        timings=recognised["timings"],
        processing_time_sec=result.elapsed_sec,
        repair=_repair(result, case),
    )


def recognition_response(result: CallResult, request_id: str) -> RecognitionResponse:
    """Return the answer of ``POST /transcribe`` where recognition is served alone."""
    return RecognitionResponse.model_validate(
        {
            **transcribe_result(result.recognition),
            "request_id": request_id,
            "processing_time_sec": result.elapsed_sec,
        }
    )


def analyze_response(checked: Outcome[ComplianceReport], request_id: str) -> AnalyzeResponse:
    """Return the answer of ``POST /analyze``."""
    result = build_validation_result(checked)
    return AnalyzeResponse(
        success=result["success"],
        **_fields_of(result),
        warnings=list(checked.value.warnings),
        error=result["error"],
        error_type=result["error_type"],
        request_id=request_id,
        processing_time_sec=result["processing_time_sec"],
    )


def is_answered(recognition: Outcome[Transcript]) -> bool:
    """Return whether all text that was asked of a recording is there."""
    return not recognition.is_dummy and not recognition.value.untranslated


def degraded_stages(result: CallResult) -> str:
    """Return the value of ``X-STT-Degraded``: of ``stt``, ``translation``, ``agent`` those missing.

    They are joined by commas; nothing is missing where it is empty.
    """
    untranslated = ("translation",) if result.recognition.value.untranslated else ()
    return ",".join(sorted({*result.missing, *untranslated}, key=_STAGES.index))


def _agent_fields(check: CheckResult | None) -> dict[str, Any]:
    if check is None:
        return {}
    if check.report is None:
        reason = named(check.failure)
        return {"agent_type": "dummy", "is_agent_dummy": True, "agent_dummy_reason": reason}
    return _fields_of(build_validation_result(check.report))


def _fields_of(checked: ValidationResult) -> dict[str, Any]:
    return {
        "incomplete_elements": build_client_view(checked),
        "agent_analysis": checked["agent_analysis"],
        "agent_type": checked["agent_type"],
        "is_agent_dummy": checked["is_agent_dummy"],
        "agent_dummy_reason": checked["agent_dummy_reason"],
    }


def _check_warnings(check: CheckResult | None) -> tuple[AnswerWarning, ...]:
    return check.report.value.warnings if check and check.report else ()


def _partial_reason(result: CallResult) -> str:
    """Return which stages behind recognition failed, and why; empty where none did."""
    failed = []
    if untranslated := result.recognition.value.untranslated:
        failed.append(f"영어 번역 실패 ({untranslated})")
    if result.check_degraded:
        cause = result.check_cause
        failed.append(f"불완전판매요소 검증 실패 ({named(cause) if cause else '원인 미상'})")
    return "; ".join(failed)


def _repair(result: CallResult, case: CaseRecord | None) -> dict[str, Any] | None:
    """Return what is missing in ``result``, and whether it is completed later."""
    kept = case.repair if case else None
    if not result.missing and kept is None:
        return None
    waits = kept is not None and kept.status == "pending"
    return {
        "case": case.id if case and kept else None,
        "missing": list(result.missing),
        "status": kept.status if kept else "off",
        "revision": result.revision,
        "expires_at": shown_time(kept.expires_at) if kept and waits else None,
    }


def shown_time(seconds: float) -> str:
    """Return seconds since 1970 as callers see a time: ISO 8601 in UTC."""
    told = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    return told.replace("+00:00", "Z")
