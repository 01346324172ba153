"""How far jobs are: cases by state, why some were not done, how long the rest may take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from api_server.store.records import REVIEWED, CaseFailure
from api_server.store.schema import CASES

_RECENT_SEC, _RECENT_CASES = 3600.0, 64
"""The rate at which a job goes on is that of the cases that ended last."""
_CAUSES = 20


def count_states(connection: Connection, seqs: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """Return for each job its cases, their bytes and seconds of sound by state."""
    query = (
        select(
            CASES.c.job_seq,
            CASES.c.state,
            func.count().label("cases"),
            func.sum(CASES.c.bytes).label("bytes"),
            func.sum(CASES.c.audio_sec).label("audio_sec"),
        )
        .where(CASES.c.job_seq.in_(seqs))
        .group_by(CASES.c.job_seq, CASES.c.state)
    )
    found: dict[int, list[Row[Any]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.job_seq, []).append(row)
    return found


def estimate_remaining(
    connection: Connection, job_seq: int, bytes_open: int, now: float
) -> float | None:
    """Return after how many seconds ``bytes_open`` of a job will have ended, at its recent rate.

    ``None`` where none of its cases was heard within an hour: then nobody knows.
    """
    recent = (
        select(CASES.c.bytes, CASES.c.started_at)
        .where(
            CASES.c.job_seq == job_seq,
            CASES.c.state.in_(REVIEWED),
            CASES.c.ended_at > now - _RECENT_SEC,
        )
        .order_by(CASES.c.ended_at.desc())
        .limit(_RECENT_CASES)
        .subquery()
    )
    heard, since = connection.execute(
        select(func.sum(recent.c.bytes), func.min(recent.c.started_at))
    ).one()
    if not heard or since is None:
        return None
    return float(bytes_open / int(heard) * max(0.0, now - since))


def list_failures(connection: Connection, job_seq: int) -> tuple[CaseFailure, ...]:
    """Return why cases of a job were refused or failed, the most frequent cause first."""
    counted = connection.execute(
        select(
            CASES.c.state,
            CASES.c.error_type,
            func.count().label("cases"),
            func.min(CASES.c.seq).label("first"),
        )
        .where(CASES.c.job_seq == job_seq, CASES.c.state.in_(("refused", "failed")))
        .group_by(CASES.c.state, CASES.c.error_type)
        .order_by(func.count().desc(), CASES.c.state, CASES.c.error_type)
        .limit(_CAUSES)
    ).all()
    if not counted:
        return ()
    examples = {
        row.seq: row
        for row in connection.execute(
            select(CASES.c.seq, CASES.c.id, CASES.c.error).where(
                CASES.c.seq.in_([one.first for one in counted])
            )
        )
    }
    return tuple(
        CaseFailure(
            one.state, one.error_type, one.cases, examples[one.first].id, examples[one.first].error
        )
        for one in counted
    )
