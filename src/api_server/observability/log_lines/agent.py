"""The log lines of calls to agents, and of circuit breakers."""

from __future__ import annotations

import logging

from api_server.clients.agent.errors import CONNECTION_FAILED, AgentConnectionError, AgentTimeout
from api_server.clients.errors import CircuitOpen, format_seconds
from api_server.clients.events import (
    AgentAnswerRepaired,
    AgentCallRetried,
    AgentCallStarted,
    CircuitChanged,
)
from stt_engine.events import Stage
from stt_engine.log import Line, Table, cause_of, on, on_answered, on_dummy, on_failed
from stt_engine.outcome import AttemptFailed, StageSettled


def _started(event: AgentCallStarted) -> str:
    return f"호출 시작 (url={event.url}, format={event.request_format})"


def _failed(event: AttemptFailed) -> str | None:
    error = event.error
    if isinstance(error, CircuitOpen):
        return None  # said by the circuit itself
    if isinstance(error, AgentTimeout):
        return f"타임아웃 발생 (timeout={format_seconds(error.timeout_sec)}s)"
    if isinstance(error, AgentConnectionError):
        return f"연결 실패: {str(error).removeprefix(CONNECTION_FAILED + ': ')}"
    return f"예기치 않은 오류: {cause_of(event)}"


def _answered(event: StageSettled) -> str:
    return f"응답 수신 완료 ({event.outcome.elapsed_sec:.1f}초)"


def _dummy(event: StageSettled) -> str:
    cause = event.outcome.cause
    return f"Dummy 응답: is_dummy=True, reason={cause.message if cause else '알 수 없음'}"


AGENT_LINES: Table = (
    on(AgentCallStarted, "AgentBackend", logging.INFO, _started),
    on(
        AgentCallRetried,
        "AgentBackend",
        logging.DEBUG,
        lambda event: f"재시도 {event.retry}회: {event.error}",
    ),
    on(
        AgentAnswerRepaired,
        "AgentBackend",
        logging.WARNING,
        lambda event: f"응답 형식 오류로 한 번 더 요청: {event.refused}",
    ),
    on_failed(Stage.AGENT, "AgentBackend", logging.ERROR, _failed),
    on_answered(Stage.AGENT, "AgentBackend", logging.INFO, _answered),
    on_dummy(Stage.AGENT, "AgentBackend", logging.WARNING, "Dummy 응답으로 fallback (로깅됨)"),
    on_dummy(Stage.AGENT, "AgentBackend", logging.INFO, _dummy),
)
"""Calls to agents."""


def _opened(event: CircuitChanged) -> str:
    failures = f"느린 호출 {event.slow}회" if event.slow else f"실패 {event.failures}회"
    return f"Circuit 열림 ({'강제' if event.cause == 'forced' else failures})"


def _closed(event: CircuitChanged) -> str:
    return "Circuit 닫힘 (강제)" if event.cause == "forced" else "Circuit 닫힘 - 정상 복구"


def _detail(event: CircuitChanged) -> str:
    wait = event.retry_after
    then = "무기한" if wait is None else f"{format_seconds(wait)}초"
    return f"대상={event.target}, 상태 변화={event.what}, 대기={then}"


_CIRCUIT_WORDS = {
    "opened": _opened,
    "refused": lambda _event: "Circuit 열림 - Dummy 사용",
    "half_open": lambda _event: "Circuit 반열림 - 시험 호출 허용",
    "closed": _closed,
}


def _circuit(what: str, level: int) -> Line:
    words = _CIRCUIT_WORDS[what]
    return on(
        CircuitChanged,
        "CircuitBreaker",
        level,
        lambda event: words(event) if event.what == what else None,
    )


CIRCUIT_LINES: Table = (
    _circuit("opened", logging.ERROR),
    _circuit("refused", logging.WARNING),
    _circuit("half_open", logging.INFO),
    _circuit("closed", logging.INFO),
    on(CircuitChanged, "CircuitBreaker", logging.DEBUG, _detail),
)
"""Transitions and refusals of circuit breakers."""
