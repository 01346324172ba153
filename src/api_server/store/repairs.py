"""Answers that lack a stage: kept, leased to whoever completes them, revised once, or given up.

A revision is one transaction with the end of its repair, and asks for the lease: it is made once,
whoever else works on the same case. The answers before it stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from sqlalchemy import Connection, Select, and_, delete, func, insert, select, update

from api_server.store.records import RECOGNISER, Ending, NewRepair, RepairStatus, ToRepair
from api_server.store.revisions import add_revision
from api_server.store.schema import CASES, JOBS, RECORDINGS, REPAIRS, REVISIONS

EXPIRED = "RepairExpired"
"""The ``error_type`` of a repair whose time was over."""


def open_repair(connection: Connection, case_seq: int, new: NewRepair, now: float) -> RepairStatus:
    """Insert what is to be completed of a case that has ended; return the status that it begins in.

    Where the recordings of repairs would be more than ``max_bytes``, this one is not kept; then
    recognition cannot be completed, and a check can.
    """
    found = connection.execute(
        select(CASES.c.recording, CASES.c.path, CASES.c.bytes).where(CASES.c.seq == case_seq)
    ).one()
    keeps = (
        found.recording is not None
        and held_bytes(connection, but=found.recording) + found.bytes <= new.max_bytes
    )
    lost = RECOGNISER in new.missing and not keeps and found.path is None
    status: RepairStatus = "off" if lost else "pending"
    connection.execute(delete(REPAIRS).where(REPAIRS.c.case_seq == case_seq))
    connection.execute(
        insert(REPAIRS).values(
            case_seq=case_seq,
            missing=",".join(new.missing),
            target=new.target,
            status=status,
            keeps_recording=keeps,
            expires_at=now + new.keep_sec,
            not_before=0.0,
            tries=0,
        )
    )
    return status


def held_bytes(connection: Connection, but: str | None = None) -> int:
    """Return the bytes of the recordings that repairs need, without that of the hash ``but``."""
    needed = (
        select(CASES.c.recording)
        .join(REPAIRS, REPAIRS.c.case_seq == CASES.c.seq)
        .where(REPAIRS.c.status == "pending", REPAIRS.c.keeps_recording)
    )
    counted = select(func.sum(RECORDINGS.c.bytes)).where(RECORDINGS.c.sha256.in_(needed))
    if but is not None:
        counted = counted.where(RECORDINGS.c.sha256 != but)
    return int(connection.execute(counted).scalar() or 0)


def waiting(connection: Connection) -> dict[str, int]:
    """Return how many repairs wait for which target."""
    query = (
        select(REPAIRS.c.target, func.count().label("repairs"))
        .where(REPAIRS.c.status == "pending")
        .group_by(REPAIRS.c.target)
    )
    return {row.target: row.repairs for row in connection.execute(query)}


def claim(
    connection: Connection, now: float, lease_sec: float, targets: Iterable[str], limit: int
) -> list[ToRepair]:
    """Lease up to ``limit`` repairs that wait for ``targets``.

    Those that were put back stand behind the others, and then the oldest cases come first.
    """
    free = (REPAIRS.c.lease_until.is_(None)) | (REPAIRS.c.lease_until < now)
    query = (
        _repairs()
        .where(
            REPAIRS.c.status == "pending",
            REPAIRS.c.target.in_(list(targets)),
            REPAIRS.c.not_before <= now,
            REPAIRS.c.expires_at > now,
            free,
        )
        .order_by(REPAIRS.c.not_before, REPAIRS.c.case_seq)
        .limit(limit)
        .with_for_update(of=REPAIRS, skip_locked=True)
    )
    claimed = [
        ToRepair(
            seq=row.seq,
            id=row.id,
            job=row.job,
            name=row.name,
            recording=row.recording if row.keeps_recording else None,
            path=row.path,
            options=row.options,
            missing=tuple(row.missing.split(",")),
            target=row.target,
            number=row.number,
            answer=row.answer,
            token=uuid4().hex,
            tries=row.repair_tries,
        )
        for row in connection.execute(query)
    ]
    for one in claimed:
        connection.execute(
            update(REPAIRS)
            .where(REPAIRS.c.case_seq == one.seq)
            .values(token=one.token, lease_until=now + lease_sec)
        )
    return claimed


def _repairs() -> Select[tuple[object, ...]]:
    every = REVISIONS.alias()
    latest = (
        select(func.max(every.c.number)).where(every.c.case_seq == CASES.c.seq).scalar_subquery()
    )
    return (
        select(
            CASES,
            JOBS.c.id.label("job"),
            JOBS.c.options,
            REPAIRS.c.missing,
            REPAIRS.c.target,
            REPAIRS.c.keeps_recording,
            REPAIRS.c.tries.label("repair_tries"),
            REVISIONS.c.number,
            REVISIONS.c.answer,
        )
        .join(REPAIRS, REPAIRS.c.case_seq == CASES.c.seq)
        .join(JOBS, JOBS.c.seq == CASES.c.job_seq)
        .join(REVISIONS, and_(REVISIONS.c.case_seq == CASES.c.seq, REVISIONS.c.number == latest))
    )


def renew(connection: Connection, tokens: Iterable[str], now: float, lease_sec: float) -> set[str]:
    """Prolong leases; return the tokens that still hold one."""
    wanted = list(tokens)
    held = REPAIRS.c.status == "pending"  # an index knows them
    connection.execute(
        update(REPAIRS).where(held, REPAIRS.c.token.in_(wanted)).values(lease_until=now + lease_sec)
    )
    found = select(REPAIRS.c.token).where(held, REPAIRS.c.token.in_(wanted))
    return {row.token for row in connection.execute(found)}


def revise(connection: Connection, claimed: ToRepair, ending: Ending, now: float) -> bool:
    """Store the next revision; false, and nothing is changed, where the lease is gone.

    ``ending.repair`` is what is still missing in it: the case waits for that, until the same time.
    """
    again = ending.repair
    ended = connection.execute(
        update(REPAIRS)
        .where(
            REPAIRS.c.case_seq == claimed.seq,
            REPAIRS.c.token == claimed.token,
            REPAIRS.c.status == "pending",
        )
        .values(
            status="done" if again is None else "pending",
            missing="" if again is None else ",".join(again.missing),
            target="" if again is None else again.target,
            token=None,
            lease_until=None,
            not_before=0.0,
            tries=0,
            error_type=None,
            error=None,
        )
    ).rowcount
    if not ended:
        return False
    if ending.answer is not None:
        add_revision(connection, claimed.seq, ending.answer, now)
    connection.execute(
        update(CASES)
        .where(CASES.c.seq == claimed.seq)
        .values(
            state=ending.state,
            audio_sec=ending.audio_sec,
            error_type=ending.error_type,
            error=ending.error,
        )
    )
    return True


def revise_by_hand(
    connection: Connection, case_seq: int, ending: Ending, now: float, actor: str
) -> int:
    """Store the next revision as a person asks for it, and return its number.

    What a repair has in hand was made of the answer before, and comes to nothing.
    """
    drop(connection, select(CASES.c.seq).where(CASES.c.seq == case_seq))
    number = add_revision(connection, case_seq, ending.answer or "", now, actor)
    connection.execute(
        update(CASES)
        .where(CASES.c.seq == case_seq)
        .values(state=ending.state, error_type=ending.error_type, error=ending.error)
    )
    if ending.repair is not None:
        open_repair(connection, case_seq, ending.repair, now)
    return number


def put_back(
    connection: Connection,
    claimed: ToRepair,
    not_before: float,
    *,
    counted: bool,
    error_type: str,
    error: str,
) -> bool:
    """Have a repair wait again; ``counted=False``: this was no try. False where it is held no more.

    ``not_before``: seconds since 1970.
    """
    back = connection.execute(
        update(REPAIRS)
        .where(REPAIRS.c.case_seq == claimed.seq, REPAIRS.c.token == claimed.token)
        .values(
            token=None,
            lease_until=None,
            not_before=not_before,
            tries=claimed.tries + counted,
            error_type=error_type,
            error=error,
        )
    ).rowcount
    return bool(back)


def give_up(connection: Connection, claimed: ToRepair, error_type: str, error: str) -> bool:
    """End a repair that would only fail again; false where it is held no more."""
    ended = connection.execute(
        update(REPAIRS)
        .where(REPAIRS.c.case_seq == claimed.seq, REPAIRS.c.token == claimed.token)
        .values(status="given_up", token=None, lease_until=None, error_type=error_type, error=error)
    ).rowcount
    return bool(ended)


def expire(connection: Connection, now: float) -> list[str]:
    """End the wait of what has waited too long and is not at work; return the ids of the cases."""
    idle = (REPAIRS.c.lease_until.is_(None)) | (REPAIRS.c.lease_until < now)
    over = (REPAIRS.c.status == "pending", REPAIRS.c.expires_at <= now, idle)
    query = select(CASES.c.id).join(REPAIRS, REPAIRS.c.case_seq == CASES.c.seq).where(*over)
    found = [row.id for row in connection.execute(query)]
    if found:
        values = {"status": "given_up", "token": None, "lease_until": None, "error_type": EXPIRED}
        connection.execute(update(REPAIRS).where(*over).values(values))
    return found


def drop(connection: Connection, case_seqs: Select[tuple[int]]) -> None:
    """Delete the repairs of cases that are tried again as a whole, or whose words are removed."""
    connection.execute(delete(REPAIRS).where(REPAIRS.c.case_seq.in_(case_seqs)))
