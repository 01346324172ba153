"""The log lines of loading and recognising."""

from __future__ import annotations

import logging
from typing import cast

from stt_engine.errors import EngineError
from stt_engine.log import DUMMY_REASON, Line, Table, cause_of, shown_text
from stt_engine.outcome import Event, Stage
from stt_engine.speech import Transcript


def stt_lines(*, reveal_text: bool = False) -> Table:
    """Give the table; ``reveal_text`` allows the transcript in the log."""

    def heard(event: Event) -> str | None:
        if event.outcome is None or event.outcome.is_dummy:
            return None
        text = cast("Transcript", event.outcome.value).text
        shown = shown_text(text, reveal=reveal_text)
        return f'음성 변환 완료 ({event.elapsed_sec:.1f}초, text="{shown}")'

    return {
        (Stage.LOAD, "started"): (
            Line("STT", logging.INFO, lambda event: f"모델 로드 시작 ({event.detail['path']})"),
        ),
        (Stage.LOAD, "settled"): (
            Line(
                "STT",
                logging.INFO,
                lambda event: f"모델 로드 완료 ({event.source}, {event.elapsed_sec:.1f}초)",
            ),
        ),
        (Stage.LOAD, "failed"): (
            Line("STT", logging.ERROR, _load_failed),
            Line("STT", logging.DEBUG, _skipped),
        ),
        (Stage.STT, "started"): (
            Line(
                "STT",
                logging.INFO,
                lambda event: f"음성 변환 시작 (language={event.detail['language']})",
            ),
        ),
        (Stage.STT, "failed"): (Line("STT", logging.WARNING, _backend_failed),),
        (Stage.STT, "settled"): (
            Line("STT", logging.INFO, heard),
            Line("STT", logging.ERROR, _all_failed),
            Line("STT", logging.WARNING, _fallback),
            Line("STT", logging.INFO, _dummy),
        ),
        (Stage.WORKER, "noted"): (Line("Worker", logging.INFO, _worker),),
    }


def _load_failed(event: Event) -> str | None:
    if event.failure is None or event.failure.skipped:
        return None
    return f"모델 로드 실패: {cause_of(event)}"


def _skipped(event: Event) -> str | None:
    if event.failure is None or not event.failure.skipped:
        return None
    return f"백엔드 제외 ({event.source}): {cause_of(event)}"


def _backend_failed(event: Event) -> str | None:
    if event.failure is None or event.failure.skipped:
        return None
    if isinstance(event.failure.error, EngineError) and event.failure.error.told:
        return None
    return f"시도 실패 ({event.source}): {cause_of(event)}"


def _all_failed(event: Event) -> str | None:
    return f"모든 백엔드 실패: {cause_of(event)}" if _is_dummy(event) else None


def _fallback(event: Event) -> str | None:
    return "Dummy 응답으로 fallback (로깅됨)" if _is_dummy(event) else None


def _dummy(event: Event) -> str | None:
    return f"Dummy 응답: is_dummy=True, reason={DUMMY_REASON}" if _is_dummy(event) else None


def _is_dummy(event: Event) -> bool:
    return event.outcome is not None and event.outcome.is_dummy


def _worker(event: Event) -> str:
    word = {"started": "시작", "ended": "종료", "recycled": "교체"}[str(event.detail["what"])]
    return f"작업 프로세스 {word} ({event.source}, pid={event.detail['pid']})"
