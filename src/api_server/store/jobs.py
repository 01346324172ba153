"""Jobs and cases: taken, shown page by page, cancelled, tried again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, Select, func, insert, or_, select, update

from api_server.store import job_progress, repairs
from api_server.store.erased import is_erased
from api_server.store.errors import KeyReused, NoSuchCase, NoSuchJob
from api_server.store.records import (
    ENDS,
    OPEN,
    RETRIED,
    STATES,
    AnsweredCall,
    CaseRecord,
    CaseState,
    JobRecord,
    NewJob,
    RepairState,
    Revision,
)
from api_server.store.revisions import add_revision
from api_server.store.schema import CASES, JOBS, RECORDINGS, REPAIRS, REVISIONS
from api_server.store.tags import tags_of

_ROWS_AT_ONCE = 500
_REQUEST, _CALL = "request", "call"
"""Where a job's cases came from."""


def find_replayed(connection: Connection, new: NewJob) -> str | None:
    """Return the id of the job that this caller's idempotency key stands for, if there is one.

    Raises:
        KeyReused: it stands for another request.
    """
    if new.idempotency_key is None:
        return None
    found = connection.execute(
        select(JOBS.c.id, JOBS.c.request_sha256).where(
            JOBS.c.owner == new.owner, JOBS.c.idempotency_key == new.idempotency_key
        )
    ).first()
    if found is None:
        return None
    if found.request_sha256 != new.request_sha256:
        raise KeyReused(f"the idempotency key stands for another request already (job {found.id})")
    return str(found.id)


def missing_recordings(connection: Connection, sha256s: Iterable[str]) -> set[str]:
    """Return those of ``sha256s`` that no record is there of."""
    wanted = sorted(set(sha256s))
    kept = set[str]()
    for begin in range(0, len(wanted), _ROWS_AT_ONCE):
        some = wanted[begin : begin + _ROWS_AT_ONCE]
        query = select(RECORDINGS.c.sha256).where(RECORDINGS.c.sha256.in_(some))
        kept |= {row.sha256 for row in connection.execute(query)}
    return set(wanted) - kept


def all_recordings(connection: Connection) -> set[str]:
    """Return the hashes of all recordings that there are records of."""
    return {row.sha256 for row in connection.execute(select(RECORDINGS.c.sha256))}


def kept_bytes(connection: Connection) -> int:
    """Return the bytes of all recordings that are kept."""
    return int(connection.execute(select(func.sum(RECORDINGS.c.bytes))).scalar() or 0)


def insert_call(connection: Connection, call: AnsweredCall, now: float) -> str:
    """Insert a call that was answered, with its answer and its repair; return its case's id."""
    new = NewJob(call.owner, call.options, "{}", 0, (call.case,), "")
    job = insert_job(connection, new, now, source=_CALL)
    case = connection.execute(
        select(CASES.c.seq, CASES.c.id)
        .join(JOBS, JOBS.c.seq == CASES.c.job_seq)
        .where(JOBS.c.id == job)
    ).one()
    ending = call.ending
    connection.execute(
        update(CASES)
        .where(CASES.c.seq == case.seq)
        .values(
            state=ending.state,
            tries=1,
            started_at=now,
            ended_at=now,
            audio_sec=ending.audio_sec,
            error_type=ending.error_type,
            error=ending.error,
        )
    )
    if ending.answer is not None:
        add_revision(connection, case.seq, ending.answer, now)
    repairs.open_repair(connection, case.seq, call.repair, now)
    return str(case.id)


def insert_job(connection: Connection, new: NewJob, now: float, *, source: str = _REQUEST) -> str:
    """Insert a job with its cases and the records of their recordings; return its id."""
    identity = f"job-{uuid4().hex}"
    received = {one.received.sha256: one.received for one in new.cases if one.received}
    missing = missing_recordings(connection, received)
    rows = [
        {"sha256": one, "bytes": received[one].bytes, "stored_at": now} for one in sorted(missing)
    ]
    if rows:
        connection.execute(insert(RECORDINGS), rows)
    inserted = connection.execute(
        insert(JOBS).values(
            id=identity,
            owner=new.owner,
            idempotency_key=new.idempotency_key,
            request_sha256=new.request_sha256,
            options=new.options,
            metadata=new.metadata,
            priority=new.priority,
            created_at=now,
            cases=len(new.cases),
            source=source,
            webhook_url=new.webhook_url,
            **tags_of(new.metadata),
        )
    )
    (seq,) = inserted.inserted_primary_key or (None,)
    cases = [
        {
            "id": f"case-{uuid4().hex}",
            "job_seq": seq,
            "name": one.name,
            "path": one.path,
            "recording": one.received.sha256 if one.received else None,
            "bytes": one.received.bytes if one.received else one.bytes,
            "state": "queued",
            "priority": new.priority,
            "tries": 0,
            "not_before": 0.0,
            "received_at": now,
        }
        for one in new.cases
    ]
    for begin in range(0, len(cases), _ROWS_AT_ONCE):
        connection.execute(insert(CASES), cases[begin : begin + _ROWS_AT_ONCE])
    return identity


def list_jobs(
    connection: Connection, owner: str | None, limit: int, before: int | None, now: float
) -> list[JobRecord]:
    """Return the newest jobs with a number below ``before``; ``owner=None``: everybody's.

    Calls that wait for their repair are no jobs that anybody has sent.
    """
    query = select(JOBS).where(JOBS.c.source != _CALL).order_by(JOBS.c.seq.desc()).limit(limit)
    if owner is not None:
        query = query.where(JOBS.c.owner == owner)
    if before is not None:
        query = query.where(JOBS.c.seq < before)
    rows = list(connection.execute(query))
    counted = job_progress.count_states(connection, [row.seq for row in rows])
    jobs = [_job(row, counted.get(row.seq, [])) for row in rows]
    return [_with_remaining(connection, job, now) for job in jobs]


def get_job(connection: Connection, identity: str, owner: str | None, now: float) -> JobRecord:
    """Return one job, with the causes of its failures.

    Raises:
        NoSuchJob: there is none, or it is another caller's.
    """
    row = _job_row(connection, identity, owner)
    counted = job_progress.count_states(connection, [row.seq])
    job = _with_remaining(connection, _job(row, counted.get(row.seq, [])), now)
    return replace(job, failures=job_progress.list_failures(connection, job.seq))


def _with_remaining(connection: Connection, job: JobRecord, now: float) -> JobRecord:
    if job.state != "running":
        return job
    left = job_progress.estimate_remaining(connection, job.seq, job.bytes - job.bytes_ended, now)
    return replace(job, remaining_sec=left)


def _job_row(connection: Connection, identity: str, owner: str | None) -> Row[Any]:
    row = connection.execute(select(JOBS).where(JOBS.c.id == identity)).first()
    if row is None or owner not in {None, row.owner}:
        raise NoSuchJob(f"there is no job {identity}")
    return row


def _job(row: Row[Any], counted: list[Row[Any]]) -> JobRecord:
    counts: dict[str, int] = dict.fromkeys(STATES, 0)
    counts.update({one.state: one.cases for one in counted})
    return JobRecord(
        seq=row.seq,
        id=row.id,
        options=row.options,
        metadata=row.metadata,
        priority=row.priority,
        created_at=row.created_at,
        cancelled_at=row.cancelled_at,
        cases=row.cases,
        counts=counts,
        bytes=sum(int(one.bytes) for one in counted),
        bytes_ended=sum(int(one.bytes) for one in counted if one.state in ENDS),
        audio_sec=sum(one.audio_sec or 0.0 for one in counted),
        webhook_url=row.webhook_url,
    )


def list_cases(
    connection: Connection,
    owner: str | None,
    limit: int,
    before: int | None,
    job: str | None = None,
    state: CaseState | None = None,
) -> list[CaseRecord]:
    """Return the newest cases with a number below ``before``, of one job and state or of all.

    Raises:
        NoSuchJob: there is no job ``job``, or it is another caller's.
    """
    query = CASE_ROWS.order_by(CASES.c.seq.desc()).limit(limit)
    if job is not None:
        query = query.where(CASES.c.job_seq == _job_row(connection, job, owner).seq)
    elif owner is not None:
        query = query.where(JOBS.c.owner == owner)
    if state is not None:
        query = query.where(CASES.c.state == state)
    if before is not None:
        query = query.where(CASES.c.seq < before)
    return [case_of_row(row) for row in connection.execute(query)]


def get_case(
    connection: Connection, identity: str, owner: str | None, number: int | None = None
) -> tuple[CaseRecord, Revision | None]:
    """Return one case, and its latest revision (or that ``number``) if it has one.

    Raises:
        NoSuchCase: there is none, it is another caller's, or it has no such revision.
    """
    row = connection.execute(CASE_ROWS.where(CASES.c.id == identity)).first()
    if row is None or owner not in {None, row.owner}:
        raise NoSuchCase(f"there is no case {identity}")
    query = select(REVISIONS).where(REVISIONS.c.case_seq == row.seq, REVISIONS.c.answer != "")
    if number is not None:
        query = query.where(REVISIONS.c.number == number)
    found = connection.execute(query.order_by(REVISIONS.c.number.desc()).limit(1)).first()
    if found is None and number is not None:
        raise NoSuchCase(f"the case {identity} has no revision {number}")
    return case_of_row(row), Revision(found.number, found.made_at, found.answer) if found else None


CASE_ROWS: Select[Any] = (
    select(
        CASES,
        JOBS.c.id.label("job"),
        JOBS.c.owner,
        JOBS.c.metadata,
        JOBS.c.options,
        REPAIRS.c.status.label("repair_status"),
        REPAIRS.c.missing.label("repair_missing"),
        REPAIRS.c.expires_at.label("repair_expires_at"),
        REPAIRS.c.tries.label("repair_tries"),
        REPAIRS.c.error_type.label("repair_error_type"),
        REPAIRS.c.error.label("repair_error"),
    )
    .join(JOBS, JOBS.c.seq == CASES.c.job_seq)
    .join(REPAIRS, REPAIRS.c.case_seq == CASES.c.seq, isouter=True)
)
"""Cases as :func:`case_of_row` takes them."""


def case_of_row(row: Row[Any]) -> CaseRecord:
    """Return a case; nobody gets the recording of one that was erased."""
    return CaseRecord(
        seq=row.seq,
        id=row.id,
        job=row.job,
        name=row.name,
        recording=None if is_erased(row) else row.recording,
        bytes=row.bytes,
        state=row.state,
        tries=row.tries,
        received_at=row.received_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        audio_sec=row.audio_sec,
        error_type=row.error_type,
        error=row.error,
        erased_at=row.erased_at,
        repair=_repair(row),
    )


def _repair(row: Row[Any]) -> RepairState | None:
    if row.repair_status is None:
        return None
    return RepairState(
        missing=tuple(filter(None, row.repair_missing.split(","))),
        status=row.repair_status,
        expires_at=row.repair_expires_at,
        tries=row.repair_tries,
        error_type=row.repair_error_type,
        error=row.repair_error,
    )


def cancel_job(connection: Connection, identity: str, owner: str | None, now: float) -> int:
    """End every case of a job that has not ended; return how many that were.

    Whoever works on one finds its lease gone, and its result is not taken.

    Raises:
        NoSuchJob: there is none, or it is another caller's.
    """
    row = _job_row(connection, identity, owner)
    ended = connection.execute(
        update(CASES)
        .where(CASES.c.job_seq == row.seq, CASES.c.state.in_(OPEN))
        .values(state="cancelled", ended_at=now, token=None, lease_until=None)
    ).rowcount
    if ended:
        connection.execute(update(JOBS).where(JOBS.c.seq == row.seq).values(cancelled_at=now))
    return ended


def retry_job(connection: Connection, identity: str, owner: str | None) -> int:
    """Queue the cases of a job that failed or were cancelled; return how many they are.

    Those whose recordings are not kept any more stay as they are.

    Raises:
        NoSuchJob: there is none, or it is another caller's.
    """
    row = _job_row(connection, identity, owner)
    queued = _queue_again(connection, CASES.c.job_seq == row.seq, CASES.c.state.in_(RETRIED))
    if queued:
        connection.execute(update(JOBS).where(JOBS.c.seq == row.seq).values(cancelled_at=None))
    return queued


def retry_vanished(connection: Connection, identity: str, error_type: str) -> int:
    """Queue the cases of a job again whose file was not there, and is now; return how many."""
    of_job = select(JOBS.c.seq).where(JOBS.c.id == identity).scalar_subquery()
    return _queue_again(
        connection,
        CASES.c.job_seq == of_job,
        CASES.c.state == "refused",
        CASES.c.error_type == error_type,
    )


def _queue_again(connection: Connection, *which: ColumnElement[bool]) -> int:
    again = (
        *which,
        or_(CASES.c.recording.is_not(None), CASES.c.path.is_not(None)),
        CASES.c.erased_at.is_(None),
    )
    repairs.drop(connection, select(CASES.c.seq).where(*again))
    return connection.execute(
        update(CASES)
        .where(*again)
        .values(
            state="queued",
            tries=0,
            not_before=0.0,
            started_at=None,
            ended_at=None,
            error_type=None,
            error=None,
        )
    ).rowcount


def count_open_cases(connection: Connection) -> int:
    """Return how many cases have not ended."""
    counted = select(func.count()).where(CASES.c.state.in_(OPEN))
    return int(connection.execute(counted).scalar() or 0)
