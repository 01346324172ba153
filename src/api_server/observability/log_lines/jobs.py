"""The log lines of jobs."""

from __future__ import annotations

import logging

from api_server.jobs.events import (
    CaseEnded,
    CasePutBack,
    CasesTakenUp,
    JobTaken,
    LeaseLost,
    StoreAnswers,
    StoreFailing,
)
from api_server.pii.names import mask_name
from stt_engine.events import Stage
from stt_engine.log import Table, cause_of, on, on_failed

_LONGEST = 400
"""Characters of a cause."""

_WELL = "done"


def _ended(event: CaseEnded) -> str | None:
    if event.state != _WELL:
        return None
    return f"건 완료 ({event.case}, 접수 후 {event.seconds:.1f}초)"


def _ended_otherwise(event: CaseEnded) -> str | None:
    if event.state == _WELL:
        return None
    cause = mask_name(f"{event.error_type}: {event.error}", _LONGEST)
    return f"건 종료 ({event.case}, {event.state}): {cause}"


def _put_back(event: CasePutBack) -> str:
    cause = mask_name(f"{event.error_type}: {event.error}", _LONGEST)
    tried = f"{event.tries}번째 시도"
    return f"건 다시 대기 ({event.case}, {tried}, {event.after_sec:.0f}초 후): {cause}"


def _taken_up(event: CasesTakenUp) -> str:
    return (
        f"처리하던 서버가 사라진 건 회수 (다시 대기 {len(event.queued)}, 포기 {len(event.failed)})"
    )


JOB_LINES: Table = (
    on(
        JobTaken,
        "Jobs",
        logging.INFO,
        lambda event: f"작업 접수 ({event.job}, 녹취 {event.cases}건)",
    ),
    on(CaseEnded, "Jobs", logging.INFO, _ended),
    on(CaseEnded, "Jobs", logging.WARNING, _ended_otherwise),
    on(CasePutBack, "Jobs", logging.WARNING, _put_back),
    on(CasesTakenUp, "Jobs", logging.WARNING, _taken_up),
    on(
        LeaseLost,
        "Jobs",
        logging.INFO,
        lambda event: f"결과를 버림: 취소되었거나 다른 서버가 맡은 건 ({event.case})",
    ),
    on(
        StoreFailing,
        "Jobs",
        logging.ERROR,
        lambda event: f"작업 저장소를 쓸 수 없음 (전사 요청에는 영향 없음): {event.reason}",
    ),
    on(StoreAnswers, "Jobs", logging.INFO, "작업 저장소를 다시 쓸 수 있음"),
    on_failed(
        Stage.JOB, "Jobs", logging.ERROR, lambda event: f"건을 처리할 수 없음: {cause_of(event)}"
    ),
)
"""``[Jobs]``."""
