"""The lines of the log, as tables of (stage, kind) for :class:`stt_engine.log.LogObserver`."""

from __future__ import annotations

import logging

from api_server.services.agent_errors import (
    CONNECTION_FAILED,
    AgentConnectionError,
    AgentTimeout,
    CircuitOpen,
    shown_seconds,
)
from stt_engine.log import Line, Table, cause_of
from stt_engine.outcome import Event, Stage


def _seconds(value: object) -> str:
    return shown_seconds(value) if isinstance(value, int | float) else str(value)


def _agent_started(event: Event) -> str:
    return f"호출 시작 (url={event.detail['url']}, format={event.detail['format']})"


def _agent_retried(event: Event) -> str | None:
    retry, error = event.detail.get("retry"), event.detail.get("error")
    return f"재시도 {retry}회: {error}" if retry else None


def _agent_failed(event: Event) -> str | None:
    error = event.failure.error if event.failure else None
    if isinstance(error, CircuitOpen):
        return None  # said by the circuit itself
    if isinstance(error, AgentTimeout):
        return f"타임아웃 발생 (timeout={shown_seconds(error.timeout_sec)}s)"
    if isinstance(error, AgentConnectionError):
        return f"연결 실패: {str(error).removeprefix(CONNECTION_FAILED + ': ')}"
    return f"예기치 않은 오류: {cause_of(event)}"


def _agent_repaired(event: Event) -> str | None:
    refused = event.detail.get("repair")
    return f"응답 형식 오류로 한 번 더 요청: {refused}" if refused else None


def _agent_answered(event: Event) -> str | None:
    if event.outcome is None or event.outcome.is_dummy:
        return None
    return f"응답 수신 완료 ({event.elapsed_sec:.1f}초)"


def _fell_back(event: Event) -> str | None:
    dummy = event.outcome is not None and event.outcome.is_dummy
    return "Dummy 응답으로 fallback (로깅됨)" if dummy else None


def _agent_dummy(event: Event) -> str | None:
    if event.outcome is None or not event.outcome.is_dummy:
        return None
    cause = event.outcome.cause
    return f"Dummy 응답: is_dummy=True, reason={cause.message if cause else '알 수 없음'}"


AGENT_LINES: Table = {
    (Stage.AGENT, "started"): (Line("AgentBackend", logging.INFO, _agent_started),),
    (Stage.AGENT, "noted"): (
        Line("AgentBackend", logging.DEBUG, _agent_retried),
        Line("AgentBackend", logging.WARNING, _agent_repaired),
    ),
    (Stage.AGENT, "failed"): (Line("AgentBackend", logging.ERROR, _agent_failed),),
    (Stage.AGENT, "settled"): (
        Line("AgentBackend", logging.INFO, _agent_answered),
        Line("AgentBackend", logging.WARNING, _fell_back),
        Line("AgentBackend", logging.INFO, _agent_dummy),
    ),
}
"""Calls to agents."""


def _transition(event: Event, *wanted: str) -> bool:
    return event.detail.get("transition") in wanted


def _circuit_opened(event: Event) -> str | None:
    if not _transition(event, "opened"):
        return None
    slow, forced = event.detail.get("slow"), event.detail.get("cause") == "forced"
    failures = f"느린 호출 {slow}회" if slow else f"실패 {event.detail['failures']}회"
    return f"Circuit 열림 ({'강제' if forced else failures})"


def _circuit_refused(event: Event) -> str | None:
    return "Circuit 열림 - Dummy 사용" if _transition(event, "refused") else None


def _circuit_half_open(event: Event) -> str | None:
    return "Circuit 반열림 - 시험 호출 허용" if _transition(event, "half_open") else None


def _circuit_closed(event: Event) -> str | None:
    if not _transition(event, "closed"):
        return None
    forced = event.detail.get("cause") == "forced"
    return "Circuit 닫힘 (강제)" if forced else "Circuit 닫힘 - 정상 복구"


def _circuit_detail(event: Event) -> str:
    wait = event.detail.get("retry_after")
    then = "무기한" if wait is None else f"{_seconds(wait)}초"
    return f"대상={event.source}, 상태 변화={event.detail['transition']}, 대기={then}"


CIRCUIT_LINES: Table = {
    (Stage.CIRCUIT, "noted"): (
        Line("CircuitBreaker", logging.ERROR, _circuit_opened),
        Line("CircuitBreaker", logging.WARNING, _circuit_refused),
        Line("CircuitBreaker", logging.INFO, _circuit_half_open),
        Line("CircuitBreaker", logging.INFO, _circuit_closed),
        Line("CircuitBreaker", logging.DEBUG, _circuit_detail),
    ),
}
"""Transitions and refusals of circuit breakers."""
