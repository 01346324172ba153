"""The log lines of jobs."""

from __future__ import annotations

import logging

from api_server.jobs.events import (
    CallKept,
    CallNotKept,
    CaseEnded,
    CasePutBack,
    CaseRevised,
    CasesTakenUp,
    CheckpointSent,
    CheckpointUnsent,
    CheckpointUnsigned,
    ClockJumped,
    FileTaken,
    FileUnreadable,
    FolderAnswers,
    FolderFailing,
    JobTaken,
    LeaseLost,
    RecordingsAnswer,
    RecordingsFailing,
    RepairPutBack,
    RepairsGivenUp,
    SidecarUnusable,
    StoreAnswers,
    StoreFailing,
    WebhookDead,
    WebhookDelivered,
    WebhookPutBack,
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


def _revised(event: CaseRevised) -> str:
    what = "완전한 결과" if not event.missing else f"아직 빠진 단계: {', '.join(event.missing)}"
    done = ", ".join(event.completed)
    return f"빠진 단계 보완 ({event.case}, {done}, 개정 {event.revision}): {what}"


def _repair_put_back(event: RepairPutBack) -> str:
    cause = mask_name(f"{event.error_type}: {event.error}", _LONGEST)
    return f"보완 다시 대기 ({event.case}, {event.after_sec:.0f}초 후): {cause}"


def _given_up(event: RepairsGivenUp) -> str:
    cause = mask_name(f"{event.error_type}: {event.error}", _LONGEST)
    return f"보완 포기 ({len(event.cases)}건, {', '.join(event.cases[:5])}): {cause}"


def _file_taken(event: FileTaken) -> str:
    what = "이미 접수된 내용" if event.known else "접수"
    return f"감시 폴더 파일 {what} ({event.job}): {event.name}"


JOB_LINES: Table = (
    on(FileTaken, "Jobs", logging.INFO, _file_taken),
    on(
        FileUnreadable,
        "Jobs",
        logging.WARNING,
        lambda event: f"감시 폴더 파일을 읽을 수 없음 ({event.reason}): {event.name}",
    ),
    on(
        FolderFailing,
        "Jobs",
        logging.ERROR,
        lambda event: f"감시 폴더를 읽을 수 없음 ({event.folder}): {event.reason}",
    ),
    on(
        FolderAnswers,
        "Jobs",
        logging.INFO,
        lambda event: f"감시 폴더를 다시 읽을 수 있음 ({event.folder})",
    ),
    on(
        CheckpointUnsigned,
        "Jobs",
        logging.ERROR,
        lambda event: f"감사 기록에 서명하지 못함: {event.reason}",
    ),
    on(
        CheckpointSent,
        "Jobs",
        logging.INFO,
        lambda event: f"감사 기록의 체크포인트를 밖에 남김 ({event.checkpoint})",
    ),
    on(
        CheckpointUnsent,
        "Jobs",
        logging.ERROR,
        lambda event: (
            f"감사 기록의 체크포인트를 밖에 남기지 못함 "
            f"({event.after_sec:.0f}초 후 다시): {event.reason}"
        ),
    ),
    on(
        SidecarUnusable,
        "Jobs",
        logging.WARNING,
        lambda event: f"녹취 옆의 메타데이터를 쓸 수 없음 ({event.reason}): {event.name}",
    ),
    on(
        CallKept,
        "Jobs",
        logging.INFO,
        lambda event: (
            f"일부만 답한 통화 보관 ({event.case}, {', '.join(event.missing)}, {event.status})"
        ),
    ),
    on(
        CallNotKept,
        "Jobs",
        logging.WARNING,
        lambda event: f"일부만 답한 통화를 보관하지 못함: {event.reason}",
    ),
    on(CaseRevised, "Jobs", logging.INFO, _revised),
    on(RepairPutBack, "Jobs", logging.INFO, _repair_put_back),
    on(RepairsGivenUp, "Jobs", logging.WARNING, _given_up),
    on(
        WebhookDelivered,
        "Jobs",
        logging.DEBUG,
        lambda event: f"웹훅 전달 ({event.webhook}, {event.what})",
    ),
    on(
        WebhookPutBack,
        "Jobs",
        logging.WARNING,
        lambda event: (
            f"웹훅 전달 실패 ({event.webhook}, {event.what}, "
            f"{event.after_sec:.0f}초 후 다시): {event.error}"
        ),
    ),
    on(
        WebhookDead,
        "Jobs",
        logging.ERROR,
        lambda event: f"웹훅 전달 포기 ({event.webhook}, {event.what}): {event.error}",
    ),
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
    on(
        ClockJumped,
        "Jobs",
        logging.WARNING,
        lambda event: f"이 기기의 시계가 바뀜 ({event.seconds:+.0f}초)",
    ),
    on(
        RecordingsFailing,
        "Jobs",
        logging.ERROR,
        lambda event: f"녹취 저장소를 쓸 수 없음 (전사 요청에는 영향 없음): {event.reason}",
    ),
    on(RecordingsAnswer, "Jobs", logging.INFO, "녹취 저장소를 다시 쓸 수 있음"),
    on(StoreAnswers, "Jobs", logging.INFO, "작업 저장소를 다시 쓸 수 있음"),
    on_failed(
        Stage.JOB, "Jobs", logging.ERROR, lambda event: f"건을 처리할 수 없음: {cause_of(event)}"
    ),
)
"""``[Jobs]``."""
