"""Who works on which case: leases with a token, so that a case ends once whoever works on it.

A worker that is gone lets its lease run out, and the case is queued again, behind those that were
tried less often: a recording that ends whole servers holds nobody up. One that stopped and comes
back finds another token, and its result is not taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from api_server.store import repairs
from api_server.store.erased import ERASED
from api_server.store.records import OPEN, RETRIED, Backlog, Claimed, Ending
from api_server.store.revisions import add_revisions
from api_server.store.schema import CASES, HOLDS, JOBS, RECORDINGS, REPAIRS

LOST = "WorkerLost"
"""The ``error_type`` of a case whose workers have all disappeared."""

AT_ONCE = 500
"""Recordings that are forgotten in one transaction."""

_HELD = CASES.c.state == "running"
"""Whatever has a token; there are few, and an index knows them."""

_LEASE = (
    update(CASES)
    .where(CASES.c.seq == bindparam("of"))
    .values(
        state="running",
        token=bindparam("by"),
        tries=CASES.c.tries + 1,
        lease_until=bindparam("until"),
        started_at=func.coalesce(CASES.c.started_at, bindparam("now")),
    )
)
_END = (
    update(CASES)
    .where(CASES.c.seq == bindparam("of"), CASES.c.token == bindparam("by"))
    .values(
        state=bindparam("end"),
        token=None,
        lease_until=None,
        ended_at=bindparam("now"),
        audio_sec=bindparam("seconds"),
        error_type=bindparam("kind"),
        error=bindparam("why", type_=CASES.c.error.type),
    )
)


def claim(connection: Connection, now: float, lease_sec: float, limit: int) -> list[Claimed]:
    """Lease up to ``limit`` cases to a worker, for ``lease_sec`` seconds.

    Smaller priorities come first, then what was tried least, then what came first.
    """
    query = (
        select(CASES, JOBS.c.id.label("job"), JOBS.c.options)
        .join(JOBS, JOBS.c.seq == CASES.c.job_seq)
        .where(CASES.c.state == "queued", CASES.c.not_before <= now)
        .order_by(CASES.c.priority, CASES.c.tries, CASES.c.seq)
        .limit(limit)
        .with_for_update(of=CASES, skip_locked=True)
    )
    claimed = [
        Claimed(
            seq=row.seq,
            id=row.id,
            job=row.job,
            name=row.name,
            recording=row.recording,
            path=row.path,
            options=row.options,
            token=uuid4().hex,
            tries=row.tries + 1,
            received_at=row.received_at,
        )
        for row in connection.execute(query)
    ]
    rows = [
        {"of": one.seq, "by": one.token, "until": now + lease_sec, "now": now} for one in claimed
    ]
    if rows:
        connection.execute(_LEASE, rows)
    return claimed


def renew(connection: Connection, tokens: Iterable[str], now: float, lease_sec: float) -> set[str]:
    """Prolong leases; return the tokens that still hold one."""
    wanted = set(tokens)
    connection.execute(
        update(CASES).where(_HELD, CASES.c.token.in_(wanted)).values(lease_until=now + lease_sec)
    )
    held = select(CASES.c.token).where(_HELD, CASES.c.token.in_(wanted))
    return {row.token for row in connection.execute(held)}


def finish_all(
    connection: Connection, results: Sequence[tuple[Claimed, Ending]], now: float
) -> list[bool]:
    """End cases with their results; false for each whose lease is gone: it stays as it is.

    A case that was tried again as a whole gets the revision after those it has.
    """
    seqs = [claimed.seq for claimed, _ in results]
    query = select(CASES.c.seq, CASES.c.token).where(CASES.c.seq.in_(seqs))
    tokens = {row.seq: row.token for row in connection.execute(query)}
    held = [tokens.get(claimed.seq) == claimed.token for claimed, _ in results]
    ended = [one for one, ends in zip(results, held, strict=True) if ends]
    rows = [
        {
            "of": claimed.seq,
            "by": claimed.token,
            "now": now,
            "end": ending.state,
            "seconds": ending.audio_sec,
            "kind": ending.error_type,
            "why": ending.error,
        }
        for claimed, ending in ended
    ]
    if rows:
        connection.execute(_END, rows)
    answers = {one.seq: ending.answer for one, ending in ended if ending.answer is not None}
    if answers:
        add_revisions(connection, answers, now)
    for claimed, ending in ended:
        if ending.answer is not None and ending.repair is not None:
            repairs.open_repair(connection, claimed.seq, ending.repair, now)
    return held


def put_back(
    connection: Connection,
    claimed: Claimed,
    not_before: float,
    *,
    counted: bool = True,
    error_type: str | None = None,
    error: str | None = None,
) -> bool:
    """Queue a case again; ``counted=False``: this was no try. False where its lease is gone."""
    back = connection.execute(
        update(CASES)
        .where(CASES.c.seq == claimed.seq, CASES.c.token == claimed.token)
        .values(
            state="queued",
            token=None,
            lease_until=None,
            not_before=not_before,
            tries=claimed.tries if counted else claimed.tries - 1,
            error_type=error_type,
            error=error,
        )
    ).rowcount
    return bool(back)


def reap(connection: Connection, now: float, max_tries: int) -> tuple[list[str], list[str]]:
    """Take back cases whose lease is over; return the ids of those queued, and of those failed.

    One that has had ``max_tries`` is tried no more: it may be what ends the workers.
    """
    over = (CASES.c.state == "running", CASES.c.lease_until < now)
    query = select(CASES.c.id, CASES.c.seq, CASES.c.tries).where(*over)
    rows = list(connection.execute(query.with_for_update(skip_locked=True)))
    failed = [row for row in rows if row.tries >= max_tries]
    queued = [row for row in rows if row.tries < max_tries]
    if queued:
        connection.execute(
            update(CASES)
            .where(*over, CASES.c.seq.in_([row.seq for row in queued]))
            .values(state="queued", token=None, lease_until=None, not_before=0.0)
        )
    if failed:
        words = f"whoever worked on this recording disappeared, {max_tries} times"
        connection.execute(
            update(CASES)
            .where(*over, CASES.c.seq.in_([row.seq for row in failed]))
            .values(
                state="failed",
                token=None,
                lease_until=None,
                ended_at=now,
                error_type=LOST,
                error=words,
            )
        )
    return [row.id for row in queued], [row.id for row in failed]


def backlog(connection: Connection, now: float) -> Backlog:
    """Return what waits and what is at work."""
    over = case((CASES.c.lease_until < now, 1), else_=0)
    counted = {
        row.state: row
        for row in connection.execute(
            select(
                CASES.c.state,
                func.count().label("cases"),
                func.min(CASES.c.received_at).label("oldest_at"),
                func.sum(over).label("lost"),
            )
            .where(CASES.c.state.in_(OPEN))
            .group_by(CASES.c.state)
        )
    }
    queued, running = counted.get("queued"), counted.get("running")
    return Backlog(
        queued.cases if queued else 0,
        running.cases if running else 0,
        queued.oldest_at if queued else None,
        int(running.lost) if running else 0,
    )


def find_unneeded(
    connection: Connection,
    retried_since: float,
    kept_since: ColumnElement[float],
    after: str,
    sha256s: Collection[str] | None = None,
) -> list[str]:
    """Return recordings (of ``sha256s``, or of all) that no case needs, at most a few hundred.

    They are those behind ``after``, in the order of their hashes.

    What failed or was cancelled needs its recording where it ended after ``retried_since``, what
    ended otherwise where it did after ``kept_since`` (of its job), a repair for as long as it
    waits, and what is held always.
    """
    repaired = (
        select(REPAIRS.c.case_seq)
        .where(
            REPAIRS.c.case_seq == CASES.c.seq,
            REPAIRS.c.status == "pending",
            REPAIRS.c.keeps_recording,
        )
        .exists()
    )
    of_job = select(CASES.c.recording).join(JOBS, JOBS.c.seq == CASES.c.job_seq)
    needed = of_job.where(
        CASES.c.recording == RECORDINGS.c.sha256,
        ~ERASED,
        or_(
            CASES.c.state.in_(OPEN),
            and_(CASES.c.state.in_(RETRIED), CASES.c.ended_at > retried_since),
            repaired,
            and_(CASES.c.state.not_in(RETRIED), CASES.c.ended_at > kept_since),
            CASES.c.seq.in_(select(HOLDS.c.case_seq)),
        ),
    )
    query = select(RECORDINGS.c.sha256).where(RECORDINGS.c.sha256 > after, ~needed.exists())
    if sha256s is not None:
        query = query.where(RECORDINGS.c.sha256.in_(sha256s))
    found = connection.execute(query.order_by(RECORDINGS.c.sha256).limit(AT_ONCE))
    return [row.sha256 for row in found]


def forget(connection: Connection, sha256s: Collection[str]) -> list[str]:
    """Delete the records of recordings that are removed; return the erased cases that had one."""
    if not sha256s:
        return []
    had = CASES.c.recording.in_(sha256s)
    erased = [row.id for row in connection.execute(select(CASES.c.id).where(had, ERASED))]
    connection.execute(update(CASES).where(had).values(recording=None))
    connection.execute(delete(RECORDINGS).where(RECORDINGS.c.sha256.in_(sha256s)))
    return erased
