"""The log lines of a model fetch."""

from __future__ import annotations

import logging
from types import MappingProxyType

from stt_engine.log import Line, Table, cause_of
from stt_engine.outcome import Event, Stage

LOCK = "lock"
"""Source of the event that tells that another process is fetching the same model."""

ELSEWHERE = "other process"
"""Source of the outcome where another process had fetched the model in the meantime."""


def _waiting(event: Event) -> str | None:
    if event.source != LOCK:
        return None
    return f"다른 프로세스가 모델 다운로드 중, 완료 대기: {event.detail.get('model')}"


def _source_failed(event: Event) -> str | None:
    if event.failure is None or event.failure.skipped:
        return None
    return f"모델 다운로드 소스 실패 ({event.source}): {cause_of(event)}"


def _source_skipped(event: Event) -> str | None:
    if event.failure is None or not event.failure.skipped:
        return None
    return f"모델 다운로드 소스 제외 ({event.source}): {event.failure.message}"


def _done(event: Event) -> str | None:
    if event.outcome is None or event.outcome.is_dummy:
        return None
    return "모델 다운로드 완료" + (" (다른 프로세스)" if event.source == ELSEWHERE else "")


def _gave_up(event: Event) -> str | None:
    if event.outcome is None or not event.outcome.is_dummy:
        return None
    reasons = "; ".join(f"{one.source}: {one.message}" for one in event.outcome.failures)
    return f"모델 다운로드 실패: {event.detail.get('model')} ({reasons})"


FETCH_LINES: Table = MappingProxyType(
    {
        (Stage.FETCH, "started"): (
            Line("STT", logging.INFO, lambda e: f"모델 자동 다운로드 시작: {e.source}"),
        ),
        (Stage.FETCH, "noted"): (Line("STT", logging.INFO, _waiting),),
        (Stage.FETCH, "failed"): (
            Line("STT", logging.WARNING, _source_failed),
            Line("STT", logging.INFO, _source_skipped),
        ),
        (Stage.FETCH, "settled"): (
            Line("STT", logging.INFO, _done),
            Line("STT", logging.ERROR, _gave_up),
        ),
    }
)
"""For :class:`stt_engine.log.LogObserver`."""
