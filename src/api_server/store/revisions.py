"""Whole answers of cases: added, and never changed; each is recorded as it is added."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, insert, select

from api_server.audit.entry import answer_content
from api_server.store import audit_log
from api_server.store.errors import NoSuchCase
from api_server.store.records import Revision
from api_server.store.schema import CASES, REVISIONS


def add_revision(
    connection: Connection, case_seq: int, answer: str, now: float, actor: str = audit_log.SERVER
) -> int:
    """Add the next revision of a case and return its number; raises as :func:`add_revisions`."""
    return add_revisions(connection, {case_seq: answer}, now, actor)[case_seq]


def add_revisions(
    connection: Connection,
    answers: Mapping[int, str],
    now: float,
    actor: str = audit_log.SERVER,
) -> dict[int, int]:
    """Add the next revision of each case, with its entry in the log; return their numbers.

    ``answers`` are those of one case at least, by its number.

    Raises:
        NoSuchCase: one was erased meanwhile.
    """
    last = (
        select(func.max(REVISIONS.c.number))
        .where(REVISIONS.c.case_seq == CASES.c.seq)
        .scalar_subquery()
    )
    query = select(
        CASES.c.seq, CASES.c.id, CASES.c.recording, CASES.c.erased_at, last.label("last")
    )
    cases = list(connection.execute(query.where(CASES.c.seq.in_(answers)).order_by(CASES.c.seq)))
    for case in cases:
        if case.erased_at is not None:
            raise NoSuchCase(f"{case.id} was erased")
    numbers = {case.seq: (case.last or 0) + 1 for case in cases}
    rows = [
        {
            "case_seq": case.seq,
            "number": numbers[case.seq],
            "made_at": now,
            "answer": answers[case.seq],
            "recording": case.recording,
        }
        for case in cases
    ]
    connection.execute(insert(REVISIONS), rows)
    entries = [
        audit_log.NewEntry(
            "answer",
            case.id,
            actor,
            facts={"revision": numbers[case.seq]},
            content=answer_content(answers[case.seq].encode(), numbers[case.seq], case.recording),
        )
        for case in cases
    ]
    audit_log.record_all(connection, now, entries)
    return numbers


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
