"""Whole answers of cases: added, and never changed; each is recorded as it is added."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select

from api_server.audit.entry import answer_content
from api_server.store import audit_log
from api_server.store.errors import NoSuchCase
from api_server.store.records import Revision
from api_server.store.schema import CASES, REVISIONS


def add_revision(
    connection: Connection, case_seq: int, answer: str, now: float, actor: str = audit_log.SERVER
) -> int:
    """Add the next revision of a case, with its entry in the log; return its number.

    Raises:
        NoSuchCase: it was erased meanwhile.
    """
    case = connection.execute(
        select(CASES.c.id, CASES.c.recording, CASES.c.erased_at).where(CASES.c.seq == case_seq)
    ).one()
    if case.erased_at is not None:
        raise NoSuchCase(f"{case.id} was erased")
    last = select(func.max(REVISIONS.c.number)).where(REVISIONS.c.case_seq == case_seq)
    number = int(connection.execute(last).scalar() or 0) + 1
    connection.execute(
        insert(REVISIONS).values(
            case_seq=case_seq,
            number=number,
            made_at=now,
            answer=answer,
            recording=case.recording,
        )
    )
    audit_log.record(
        connection,
        now,
        "answer",
        case.id,
        actor=actor,
        facts={"revision": number},
        content=answer_content(answer.encode(), number, case.recording),
    )
    return number


def list_revisions(connection: Connection, case_seq: int) -> list[Revision]:
    """Return every revision of a case that is still there, the first one first."""
    query = select(REVISIONS).where(REVISIONS.c.case_seq == case_seq, REVISIONS.c.answer != "")
    return [
        Revision(row.number, row.made_at, row.answer)
        for row in connection.execute(query.order_by(REVISIONS.c.number))
    ]


def recording_of(connection: Connection, case_seq: int) -> str | None:
    """Return the hash of the recording that a case's answers were made from, where it had one."""
    query = select(REVISIONS.c.recording).where(
        REVISIONS.c.case_seq == case_seq, REVISIONS.c.recording.is_not(None)
    )
    return connection.execute(query.order_by(REVISIONS.c.number.desc()).limit(1)).scalar()
