"""Webhooks: written with what they tell of, sent until they have arrived, under one id each.

Their bodies name cases and states, and never what was said.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from api_server.store.errors import NoSuchWebhook
from api_server.store.records import ENDS, OPEN, Ending, WebhookRecord, WebhookStatus
from api_server.store.schema import CASES, JOBS, REVISIONS, WEBHOOKS

TRIED_SEC = 86400.0
"""How long delivery is tried, from when it was asked for."""

_KEPT_SEC = 30 * 86400.0
_EVENTS = {
    "done": "case.done",
    "partial": "case.done",
    "failed": "case.failed",
    "refused": "case.failed",
}
"""What is told of a case, by how it ended; whoever cancels knows that."""


def tell_cases(connection: Connection, case_ids: Collection[str], now: float) -> None:
    """Write what is to be told of cases that have ended, and of jobs that have with them."""
    latest = (
        select(func.max(REVISIONS.c.number))
        .where(REVISIONS.c.case_seq == CASES.c.seq)
        .scalar_subquery()
    )
    query = (
        select(
            CASES.c.id,
            CASES.c.state,
            CASES.c.error_type,
            CASES.c.job_seq,
            JOBS.c.webhook_url,
            JOBS.c.id.label("job"),
            latest.label("revision"),
        )
        .join(JOBS, JOBS.c.seq == CASES.c.job_seq)
        .where(CASES.c.id.in_(case_ids), JOBS.c.webhook_url.is_not(None))
        .order_by(CASES.c.seq)
    )
    rows = list(connection.execute(query)) if case_ids else []
    for row in rows:
        told = {
            "case": row.id,
            "job": row.job,
            "state": row.state,
            "revision": row.revision,
            "error_type": row.error_type,
        }
        _write(connection, row.job_seq, row.webhook_url, _EVENTS[row.state], told, now)
    for job in dict.fromkeys(row.job for row in rows):
        tell_job(connection, job, now)


def tell_revision(
    connection: Connection, case: str, job: str, number: int, ending: Ending, now: float
) -> None:
    """Write what is to be told of a case with another answer, its revision ``number``."""
    row = connection.execute(select(JOBS).where(JOBS.c.id == job)).one()
    if row.webhook_url is not None:
        told = {
            "case": case,
            "job": job,
            "state": ending.state,
            "revision": number,
            "missing": list(ending.repair.missing) if ending.repair else [],
        }
        _write(connection, row.seq, row.webhook_url, "case.revised", told, now)


def tell_job(connection: Connection, job: str, now: float) -> None:
    """Write what is to be told of a job, where every case of it has ended."""
    row = connection.execute(select(JOBS).where(JOBS.c.id == job)).one()
    if row.webhook_url is None:
        return
    query = (
        select(CASES.c.state, func.count().label("cases"))
        .where(CASES.c.job_seq == row.seq)
        .group_by(CASES.c.state)
    )
    counts = {one.state: one.cases for one in connection.execute(query)}
    if not any(state in counts for state in OPEN):
        told = {
            "job": job,
            "state": "done" if row.cancelled_at is None else "cancelled",
            "cases": row.cases,
            "counts": {state: counts.get(state, 0) for state in ENDS},
        }
        _write(connection, row.seq, row.webhook_url, "job.done", told, now)


def _write(
    connection: Connection, job_seq: int, url: str, event: str, told: Mapping[str, Any], now: float
) -> None:
    when = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    body = {"type": event, "timestamp": when.replace("+00:00", "Z"), "data": told}
    connection.execute(
        insert(WEBHOOKS).values(
            id=f"msg_{uuid4().hex}",
            job_seq=job_seq,
            url=url,
            event=event,
            body=json.dumps(body, separators=(",", ":")),
            status="pending",
            made_at=now,
            not_before=0.0,
            expires_at=now + TRIED_SEC,
            tries=0,
        )
    )


def claim(connection: Connection, now: float, lease_sec: float, limit: int) -> list[WebhookRecord]:
    """Return webhooks whose turn it is; nobody else gets them for ``lease_sec`` seconds.

    One whose sender disappears is sent again after that.
    """
    query = (
        select(WEBHOOKS)
        .where(WEBHOOKS.c.status == "pending", WEBHOOKS.c.not_before <= now)
        .order_by(WEBHOOKS.c.not_before, WEBHOOKS.c.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = list(connection.execute(query))
    if rows:
        connection.execute(
            update(WEBHOOKS)
            .where(WEBHOOKS.c.seq.in_([row.seq for row in rows]))
            .values(not_before=now + lease_sec, tries=WEBHOOKS.c.tries + 1)
        )
    return [_record(row, tries=row.tries + 1) for row in rows]


def note_delivered(connection: Connection, sent: WebhookRecord, now: float) -> None:
    """Note that a webhook has arrived."""
    connection.execute(
        update(WEBHOOKS)
        .where(WEBHOOKS.c.seq == sent.seq)
        .values(status="delivered", ended_at=now, error=None)
    )


def note_undelivered(
    connection: Connection, sent: WebhookRecord, error: str, after_sec: float | None, now: float
) -> WebhookStatus:
    """Note that a webhook has not arrived; return what becomes of it.

    It is tried again after ``after_sec`` seconds, where its time is not over by then; ``None``:
    never. What else waits for the same address waits as long.
    """
    dead = after_sec is None or now + after_sec > sent.expires_at
    at = now + (after_sec or 0.0)
    connection.execute(
        update(WEBHOOKS)
        .where(WEBHOOKS.c.seq == sent.seq, WEBHOOKS.c.status == "pending")
        .values(
            status="dead" if dead else "pending",
            not_before=at,
            ended_at=now if dead else None,
            error=error,
        )
    )
    if not dead:
        connection.execute(
            update(WEBHOOKS)
            .where(
                WEBHOOKS.c.url == sent.url,
                WEBHOOKS.c.status == "pending",
                WEBHOOKS.c.not_before < at,
                WEBHOOKS.c.expires_at > at,
            )
            .values(not_before=at)
        )
    return "dead" if dead else "pending"


def count(connection: Connection, status: WebhookStatus) -> int:
    """Return how many webhooks have a status."""
    query = select(func.count()).where(WEBHOOKS.c.status == status)
    return int(connection.execute(query).scalar() or 0)


def list_webhooks(
    connection: Connection, limit: int, before: int | None, status: WebhookStatus | None
) -> list[WebhookRecord]:
    """Return the newest webhooks with a number below ``before``, of one status or of all."""
    query = select(WEBHOOKS).order_by(WEBHOOKS.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(WEBHOOKS.c.seq < before)
    if status is not None:
        query = query.where(WEBHOOKS.c.status == status)
    return [_record(row, row.tries) for row in connection.execute(query)]


def resend(connection: Connection, identity: str | None, now: float) -> int:
    """Queue a webhook again, under the id it has; ``None``: all dead ones. Return how many.

    Raises:
        NoSuchWebhook: there is none of this id.
    """
    chosen = WEBHOOKS.c.status == "dead" if identity is None else WEBHOOKS.c.id == identity
    queued = connection.execute(
        update(WEBHOOKS)
        .where(chosen)
        .values(
            status="pending", not_before=0.0, tries=0, expires_at=now + TRIED_SEC, ended_at=None
        )
    ).rowcount
    if identity is not None and not queued:
        raise NoSuchWebhook(f"there is no webhook {identity}")
    return queued


def forget_old(connection: Connection, now: float) -> None:
    """Delete what ended long ago."""
    connection.execute(
        delete(WEBHOOKS).where(
            WEBHOOKS.c.status != "pending", WEBHOOKS.c.ended_at < now - _KEPT_SEC
        )
    )


def _record(row: Row[Any], tries: int) -> WebhookRecord:
    return WebhookRecord(
        seq=row.seq,
        id=row.id,
        url=row.url,
        event=row.event,
        body=row.body,
        status=cast("WebhookStatus", row.status),
        made_at=row.made_at,
        expires_at=row.expires_at,
        tries=tries,
        error=row.error,
    )
