"""The log lines of ``POST /transcribe`` and of health."""

from __future__ import annotations

import logging
from collections.abc import Callable

from api_server import analysis
from api_server.services.admission import GIVEN_UP
from stt_engine.log import Line, Table, cause_of
from stt_engine.outcome import REJECTED, Event, Stage


def _at(source: str, words: str | Callable[[Event], str]) -> Callable[[Event], str | None]:
    def line(event: Event) -> str | None:
        if event.source != source:
            return None
        return words if isinstance(words, str) else words(event)

    return line


def _transcribe(level: int, source: str, words: str | Callable[[Event], str]) -> Line:
    return Line("Transcribe", level, _at(source, words))


TRANSCRIBE_LINES: Table = {
    (Stage.TRANSCRIBE, "started"): (
        _transcribe(logging.INFO, analysis.STT_STARTED, "STT 처리 시작"),
        _transcribe(
            logging.INFO,
            analysis.STT_STARTED,
            lambda event: f"음성 파일 로드 시작 ({event.detail['path']})",
        ),
    ),
    (Stage.TRANSCRIBE, "noted"): (
        _transcribe(logging.INFO, analysis.STT_OK, "STT 성공"),
        _transcribe(logging.WARNING, analysis.STT_FAILED, "STT 실패하였으나 Dummy 사용"),
        _transcribe(
            logging.ERROR, analysis.STT_CRASHED, lambda event: f"STT 크래시: {cause_of(event)}"
        ),
        _transcribe(logging.WARNING, analysis.STT_CRASHED, "Dummy STT 사용"),
        _transcribe(
            logging.WARNING,
            REJECTED,
            lambda event: f"요청 거절: {event.detail['error_type']}: {event.detail['error']}",
        ),
        _transcribe(logging.INFO, GIVEN_UP, "호출자 연결 종료 - 처리 중단"),
        _transcribe(logging.INFO, analysis.CHECK_STARTED, "vLLM 불완전판매요소 검증 시작"),
        _transcribe(logging.INFO, analysis.CHECK_OK, "vLLM 검증 성공"),
        _transcribe(
            logging.WARNING, analysis.CHECK_FAILED, "vLLM 검증 실패하였으나 부분 결과 사용"
        ),
    ),
    (Stage.TRANSCRIBE, "failed"): (
        _transcribe(logging.ERROR, "stt", lambda event: f"STT 크래시: {cause_of(event)}"),
        _transcribe(logging.WARNING, "stt", "Dummy STT 사용"),
        _transcribe(
            logging.ERROR,
            "redaction",
            lambda event: f"개인정보 가림 실패로 통화 기록을 내보내지 않음: {cause_of(event)}",
        ),
        _transcribe(logging.ERROR, "check", lambda event: f"vLLM 크래시: {cause_of(event)}"),
        _transcribe(logging.WARNING, "check", "vLLM 검증 생략 (Dummy 사용 안함 - 선택사항)"),
    ),
    (Stage.TRANSCRIBE, "settled"): (
        Line("Transcribe", logging.INFO, lambda _event: "최종 응답 생성 완료"),
    ),
}
"""``[Transcribe]``."""


CANARY = "canary"
"""``source`` of the events of recognising the built-in clip."""

AGENT_PROOF = "agent"
"""``source`` of the events of asking the LLM server for one token."""


def _ready(event: Event) -> str:
    return f"준비 완료 (확인 음성 인식 성공, {event.elapsed_sec:.1f}초)"


def _agent_failing(event: Event) -> str:
    return f"LLM 확인 실패 ({event.detail['url']}): {cause_of(event)}"


def _agent_well(event: Event) -> str:
    return f"LLM 정상 복구 ({event.detail['url']}, {event.elapsed_sec:.1f}초)"


def _health(level: int, source: str, words: Callable[[Event], str]) -> Line:
    return Line("HealthCheck", level, _at(source, words))


HEALTH_LINES: Table = {
    (Stage.HEALTH, "settled"): (
        _health(logging.INFO, CANARY, _ready),
        _health(logging.INFO, AGENT_PROOF, _agent_well),
    ),
    (Stage.HEALTH, "failed"): (
        _health(logging.ERROR, CANARY, lambda event: f"준비 안 됨: {cause_of(event)}"),
        _health(logging.ERROR, AGENT_PROOF, _agent_failing),
    ),
}
"""``[HealthCheck]``."""
