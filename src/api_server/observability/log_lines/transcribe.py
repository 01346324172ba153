"""The log lines of ``POST /transcribe`` and of health."""

from __future__ import annotations

import logging
from collections.abc import Callable

from api_server.observability.events import AGENT_PROBE, CANARY
from api_server.pii.names import mask_name
from api_server.pipeline.events import (
    CallGivenUp,
    CallStarted,
    CheckReady,
    CheckRequested,
    StorageAnswers,
    StorageHangs,
    TranscriptReady,
)
from stt_engine.events import Stage
from stt_engine.log import (
    E,
    Line,
    Table,
    Words,
    cause_of,
    named,
    on,
    on_answered,
    on_failed,
    on_settled,
)
from stt_engine.outcome import AttemptFailed, Refused, StageSettled, error_type_of

_LONGEST = 400
"""Characters of the reason of a refusal, which has what the caller sent in it."""

_CRASHES = {"WorkerDied"}


def _line(of: type[E], level: int, words: Words[E]) -> Line:
    return on(of, "Transcribe", level, words)


def _crashed(event: TranscriptReady) -> bool:
    cause = event.outcome.cause if event.outcome.is_dummy else None
    return cause is not None and (cause.unexpected or cause.error_type in _CRASHES)


def _recognised(event: TranscriptReady) -> str | None:
    return None if event.outcome.is_dummy else "STT 성공"


def _not_recognised(event: TranscriptReady) -> str | None:
    if not event.outcome.is_dummy or _crashed(event):
        return None
    return "STT 실패하였으나 Dummy 사용"


def _crash(event: TranscriptReady) -> str | None:
    return f"STT 크래시: {named(event.outcome.cause)}" if _crashed(event) else None


def _crash_dummy(event: TranscriptReady) -> str | None:
    return "Dummy STT 사용" if _crashed(event) else None


def _refused(event: Refused) -> str | None:
    if event.stage != Stage.TRANSCRIBE:
        return None
    return f"요청 거절: {error_type_of(event.error)}: {mask_name(str(event.error), _LONGEST)}"


def _broke(source: str, level: int, words: str | Callable[[AttemptFailed], str]) -> Line:
    """Return the line of a part of the pipeline that broke itself: a defect."""

    def say(event: AttemptFailed) -> str | None:
        if event.failure.source != source:
            return None
        return words if isinstance(words, str) else words(event)

    return on_failed(Stage.TRANSCRIBE, "Transcribe", level, say)


TRANSCRIBE_LINES: Table = (
    _line(CallStarted, logging.INFO, "STT 처리 시작"),
    _line(CallStarted, logging.INFO, lambda event: f"음성 파일 로드 시작 ({event.path})"),
    _line(TranscriptReady, logging.INFO, _recognised),
    _line(TranscriptReady, logging.WARNING, _not_recognised),
    _line(TranscriptReady, logging.ERROR, _crash),
    _line(TranscriptReady, logging.WARNING, _crash_dummy),
    _line(Refused, logging.WARNING, _refused),
    _line(
        StorageHangs,
        logging.ERROR,
        lambda event: f"파일 시스템이 응답하지 않음 ({event.place}): {event.reason}",
    ),
    _line(
        StorageAnswers,
        logging.INFO,
        lambda event: f"파일 시스템이 다시 응답함 ({event.place})",
    ),
    _line(CallGivenUp, logging.INFO, "호출자 연결 종료 - 처리 중단"),
    _line(CheckRequested, logging.INFO, "vLLM 불완전판매요소 검증 시작"),
    _line(CheckReady, logging.INFO, lambda event: "vLLM 검증 성공" if event.success else None),
    _line(
        CheckReady,
        logging.WARNING,
        lambda event: None if event.success else "vLLM 검증 실패하였으나 부분 결과 사용",
    ),
    _broke("stt", logging.ERROR, lambda event: f"STT 크래시: {cause_of(event)}"),
    _broke("stt", logging.WARNING, "Dummy STT 사용"),
    _broke(
        "redaction",
        logging.ERROR,
        lambda event: f"개인정보 가림 실패로 통화 기록을 내보내지 않음: {cause_of(event)}",
    ),
    _broke("check", logging.ERROR, lambda event: f"vLLM 크래시: {cause_of(event)}"),
    _broke("check", logging.WARNING, "vLLM 검증 생략 (Dummy 사용 안함 - 선택사항)"),
    on_settled(Stage.TRANSCRIBE, "Transcribe", logging.INFO, "최종 응답 생성 완료"),
)
"""``[Transcribe]``."""


def _well(source: str, words: Callable[[StageSettled], str]) -> Line:
    return on_answered(
        Stage.HEALTH,
        "HealthCheck",
        logging.INFO,
        lambda event: words(event) if event.outcome.source == source else None,
    )


def _not_ready(event: AttemptFailed) -> str | None:
    return f"준비 안 됨: {cause_of(event)}" if event.failure.source == CANARY else None


def _agent_failing(event: AttemptFailed) -> str | None:
    if event.failure.source == CANARY:
        return None
    return f"LLM 확인 실패 ({event.subject}): {cause_of(event)}"


HEALTH_LINES: Table = (
    _well(
        CANARY,
        lambda event: f"준비 완료 (확인 음성 인식 성공, {event.outcome.elapsed_sec:.1f}초)",
    ),
    _well(
        AGENT_PROBE,
        lambda event: f"LLM 정상 복구 ({event.subject}, {event.outcome.elapsed_sec:.1f}초)",
    ),
    on_failed(Stage.HEALTH, "HealthCheck", logging.ERROR, _not_ready),
    on_failed(Stage.HEALTH, "HealthCheck", logging.ERROR, _agent_failing),
)
"""``[HealthCheck]``."""
