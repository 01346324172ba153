"""Outcomes to wire types. Pure."""

from __future__ import annotations

from typing import Any, cast

from api_server.analysis import Analysis
from api_server.models import AnalyzeResponse, RecognitionResponse, TranscribeResponse
from api_server.services import validator
from api_server.services.validator import Findings
from stt_engine import engine
from stt_engine.outcome import Failure, Outcome


def transcribe_response(analysis: Analysis, request_id: str) -> TranscribeResponse:
    """Give the answer of ``POST /transcribe``."""
    heard = engine.render(analysis.heard)
    partial = analysis.check_degraded and heard["success"]
    return TranscribeResponse(
        success=heard["success"],
        text=heard["text"],
        duration=heard["duration"],
        language=heard["language"],
        error=heard["error"],
        error_type=heard["error_type"],
        backend=heard["backend"],
        is_dummy=heard["is_dummy"],
        dummy_reason=heard["dummy_reason"],
        **_agent_fields(analysis.checked, analysis.check_failure),
        is_partial_failure=partial,
        partial_failure_reason=_partial_reason(analysis) if partial else None,
        request_id=request_id,
        outcome=cast("Any", heard["outcome"]),
        segments=heard["segments"],
        attempts=heard["attempts"],
        provenance=heard["provenance"],
        timings=heard["timings"],
        processing_time_sec=analysis.elapsed_sec,
        repair=_missing(analysis),
    )


def recognition_response(analysis: Analysis, request_id: str) -> RecognitionResponse:
    """Give the answer of ``POST /transcribe`` where recognition is served alone."""
    return RecognitionResponse.model_validate(
        {
            **engine.render(analysis.heard),
            "request_id": request_id,
            "processing_time_sec": analysis.elapsed_sec,
        }
    )


def analyze_response(checked: Outcome[Findings], request_id: str) -> AnalyzeResponse:
    """Give the answer of ``POST /analyze``."""
    result = validator.render(checked)
    return AnalyzeResponse(
        success=result["success"],
        **_agent_fields(checked, None),
        error=result["error"],
        error_type=result["error_type"],
        request_id=request_id,
        processing_time_sec=result["processing_time_sec"],
    )


def degraded_stages(analysis: Analysis) -> str:
    """Give the value of ``X-STT-Degraded``: ``stt``, ``agent``, ``stt,agent``, or empty."""
    stages = [
        name
        for name, degraded in (
            ("stt", analysis.heard.is_dummy),
            ("agent", analysis.check_degraded),
        )
        if degraded
    ]
    return ",".join(stages)


def _agent_fields(checked: Outcome[Findings] | None, failure: Failure | None) -> dict[str, Any]:
    if checked is None:
        if failure is None:
            return {}
        reason = f"{failure.error_type}: {failure.message}"
        return {"agent_type": "dummy", "is_agent_dummy": True, "agent_dummy_reason": reason}
    result = validator.render(checked)
    return {
        "incomplete_elements": validator.shown(result),
        "agent_analysis": result["agent_analysis"],
        "agent_type": result["agent_type"],
        "is_agent_dummy": result["is_agent_dummy"],
        "agent_dummy_reason": result["agent_dummy_reason"],
    }


def _check_cause(analysis: Analysis) -> Failure | None:
    if analysis.check_failure is not None:
        return analysis.check_failure
    return analysis.checked.value.agent.cause if analysis.checked else None


def _partial_reason(analysis: Analysis) -> str:
    cause = _check_cause(analysis)
    told = f"{cause.error_type}: {cause.message}" if cause else "원인 미상"
    return f"불완전판매요소 검증 실패 ({told})"


def _missing(analysis: Analysis) -> dict[str, Any] | None:
    missing = degraded_stages(analysis)
    return {"missing": missing.split(","), "revision": 1} if missing else None
