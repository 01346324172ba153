"""The log lines of a model fetch."""

from __future__ import annotations

import logging

from stt_engine.events import Stage
from stt_engine.log import Table, cause_of, on, on_answered, on_dummy, on_failed
from stt_engine.model_store.events import ELSEWHERE, FetchStarted, FetchWaiting
from stt_engine.outcome import AttemptFailed, StageSettled


def _source_failed(event: AttemptFailed) -> str | None:
    if event.failure.skipped:
        return None
    return f"모델 다운로드 소스 실패 ({event.failure.source}): {cause_of(event)}"


def _source_skipped(event: AttemptFailed) -> str | None:
    if not event.failure.skipped:
        return None
    return f"모델 다운로드 소스 제외 ({event.failure.source}): {event.failure.message}"


def _done(event: StageSettled) -> str:
    return "모델 다운로드 완료" + (" (다른 프로세스)" if event.outcome.source == ELSEWHERE else "")


def _gave_up(event: StageSettled) -> str:
    reasons = "; ".join(f"{one.source}: {one.message}" for one in event.outcome.failures)
    return f"모델 다운로드 실패: {event.subject} ({reasons})"


FETCH_LINES: Table = (
    on(FetchStarted, "STT", logging.INFO, lambda event: f"모델 자동 다운로드 시작: {event.model}"),
    on(
        FetchWaiting,
        "STT",
        logging.INFO,
        lambda event: f"다른 프로세스가 모델 다운로드 중, 완료 대기: {event.model}",
    ),
    on_failed(Stage.FETCH, "STT", logging.WARNING, _source_failed),
    on_failed(Stage.FETCH, "STT", logging.INFO, _source_skipped),
    on_answered(Stage.FETCH, "STT", logging.INFO, _done),
    on_dummy(Stage.FETCH, "STT", logging.ERROR, _gave_up),
)
"""For :class:`stt_engine.log.LogObserver`."""
