"""The log lines of loading and recognising."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import cast

from stt_engine.errors import EngineError
from stt_engine.events import (
    AnswerWarned,
    LoadStarted,
    ModelUnloaded,
    RecognitionStarted,
    Stage,
    UnloadReason,
    WorkerChange,
    WorkerChanged,
)
from stt_engine.log import (
    DUMMY_REASON,
    Table,
    cause_of,
    on,
    on_answered,
    on_dummy,
    on_failed,
    on_settled,
    shown_text,
    warned,
)
from stt_engine.outcome import AttemptFailed, StageSettled
from stt_engine.speech import Transcript

_WORKER_WORDS: Mapping[WorkerChange, str] = {
    "started": "시작",
    "ended": "종료",
    "closed": "닫음",
    "recycled": "교체",
}
_UNLOAD_WORDS: Mapping[UnloadReason, str] = {
    "idle": "오래 쓰이지 않음",
    "room": "다른 모델의 메모리",
}


def stt_lines(*, reveal_text: bool = False) -> Table:
    """Return the table; ``reveal_text`` allows the transcript in the log."""

    def recognised(event: StageSettled) -> str:
        text = cast("Transcript", event.outcome.value).text
        shown = shown_text(text, reveal=reveal_text)
        return f'음성 변환 완료 ({event.outcome.elapsed_sec:.1f}초, text="{shown}")'

    return (
        on(LoadStarted, "STT", logging.INFO, lambda event: f"모델 로드 시작 ({event.path})"),
        on_settled(Stage.LOAD, "STT", logging.INFO, _loaded),
        on_failed(Stage.LOAD, "STT", logging.ERROR, _load_failed),
        on_failed(Stage.LOAD, "STT", logging.DEBUG, _skipped),
        on(
            RecognitionStarted,
            "STT",
            logging.INFO,
            lambda event: f"음성 변환 시작 (language={event.language})",
        ),
        on_failed(Stage.STT, "STT", logging.WARNING, _backend_failed),
        on_answered(Stage.STT, "STT", logging.INFO, recognised),
        on_dummy(
            Stage.STT, "STT", logging.ERROR, lambda event: f"모든 백엔드 실패: {cause_of(event)}"
        ),
        on_dummy(Stage.STT, "STT", logging.WARNING, "Dummy 응답으로 fallback (로깅됨)"),
        on_dummy(
            Stage.STT, "STT", logging.INFO, f"Dummy 응답: is_dummy=True, reason={DUMMY_REASON}"
        ),
        on_failed(Stage.SPEAKERS, "STT", logging.WARNING, _voices_failed),
        on_answered(Stage.SPEAKERS, "STT", logging.DEBUG, _voices_told),
        on(AnswerWarned, "STT", logging.WARNING, partial(warned, Stage.STT)),
        on(ModelUnloaded, "STT", logging.INFO, _unloaded),
        on(WorkerChanged, "Worker", logging.INFO, _worker),
    )


def _loaded(event: StageSettled) -> str:
    return f"모델 로드 완료 ({event.outcome.source}, {event.outcome.elapsed_sec:.1f}초)"


def _load_failed(event: AttemptFailed) -> str | None:
    return None if event.failure.skipped else f"모델 로드 실패: {cause_of(event)}"


def _skipped(event: AttemptFailed) -> str | None:
    if not event.failure.skipped:
        return None
    return f"백엔드 제외 ({event.failure.source}): {cause_of(event)}"


def _backend_failed(event: AttemptFailed) -> str | None:
    logged = isinstance(event.error, EngineError) and event.error.logged
    if event.failure.skipped or logged:
        return None
    return f"시도 실패 ({event.failure.source}): {cause_of(event)}"


def _voices_failed(event: AttemptFailed) -> str | None:
    return None if event.failure.skipped else f"화자 구분 실패: {cause_of(event)}"


def _voices_told(event: StageSettled) -> str:
    facts = cast("Transcript", event.outcome.value).provenance["speakers"]
    voices = cast("dict[str, object]", facts).get("voices")
    told = "목소리 수를 알 수 없음" if voices is None else f"목소리 {voices}명"
    return f"화자 구분 완료 ({told}, {event.outcome.elapsed_sec:.1f}초)"


def _unloaded(event: ModelUnloaded) -> str:
    return f"모델 내림 ({event.model}, {_UNLOAD_WORDS[event.reason]})"


def _worker(event: WorkerChanged) -> str:
    return f"작업 프로세스 {_WORKER_WORDS[event.what]} ({event.role}, pid={event.pid})"
