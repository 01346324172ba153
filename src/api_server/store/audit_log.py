"""The log's rows: an entry is written in the transaction of what it records.

There is one writer at a time (the database's own lock), so entries are numbered without gaps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select

from api_server.audit.entry import Entry, Kind, answer_content, commit, new_salt
from api_server.audit.log_check import KeptEntry, revision_of
from api_server.store.schema import AUDIT_ENTRIES, AUDIT_SALTS, CASES, REVISIONS

SERVER = "server"
"""The actor of what nobody asked for."""

_ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be written; see :func:`record`."""

    kind: Kind
    subject: str = ""
    actor: str = SERVER
    facts: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None


def record(
    connection: Connection,
    now: float,
    kind: Kind,
    subject: str = "",
    *,
    actor: str = SERVER,
    facts: Mapping[str, Any] | None = None,
    content: bytes | None = None,
) -> int:
    """Write an entry and return its number; whoever calls is in a transaction that writes.

    Args:
        connection: of the transaction that does what is recorded.
        now: seconds since 1970, UTC.
        kind: what happened.
        subject: the id of the case that it happened to, if any.
        actor: the name of a key, or who ran a command.
        facts: what the log says openly: nothing that was said, no name, no number.
        content: what is committed to, under a salt of its own.
    """
    return record_all(connection, now, [NewEntry(kind, subject, actor, facts or {}, content)])


def record_all(connection: Connection, now: float, new: Sequence[NewEntry]) -> int:
    """Write entries, one at least, and return the number of the first; see :func:`record`."""
    seq = size(connection)
    _insert(connection, [_kept_of(number, now, one) for number, one in enumerate(new, seq)])
    return seq


def _kept_of(seq: int, now: float, new: NewEntry) -> KeptEntry:
    salt = new_salt() if new.content is not None else None
    entry = Entry(
        seq,
        now,
        new.kind,
        new.subject,
        new.actor,
        json.dumps(dict(new.facts), ensure_ascii=False, sort_keys=True),
        commit(salt, new.content) if salt is not None and new.content is not None else None,
    )
    return KeptEntry(entry, entry.leaf().hex(), salt)


def _insert(connection: Connection, found: Sequence[KeptEntry]) -> None:
    rows = [{**asdict(one.entry), "leaf": one.leaf} for one in found]
    salts = [{"seq": one.entry.seq, "salt": one.salt} for one in found if one.salt is not None]
    connection.execute(insert(AUDIT_ENTRIES), rows)
    if salts:
        connection.execute(insert(AUDIT_SALTS), salts)


def size(connection: Connection) -> int:
    """Return how many entries there are."""
    last = connection.execute(select(func.max(AUDIT_ENTRIES.c.seq))).scalar()
    return 0 if last is None else int(last) + 1


def leaves(connection: Connection) -> Iterator[bytes]:
    """Yield the hash of each entry, in order."""
    query = select(AUDIT_ENTRIES.c.leaf).order_by(AUDIT_ENTRIES.c.seq)
    for row in connection.execute(query):
        yield bytes.fromhex(row.leaf)


def entries(connection: Connection, subject: str | None = None) -> Iterator[KeptEntry]:
    """Yield the entries in order: those about one subject, or all."""
    query = _entries() if subject is None else _entries().where(AUDIT_ENTRIES.c.subject == subject)
    for row in connection.execute(query):
        yield _kept(row)


def latest(connection: Connection, kind: Kind) -> Entry | None:
    """Return the latest entry of a kind."""
    query = select(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.kind == kind)
    row = connection.execute(query.order_by(AUDIT_ENTRIES.c.seq.desc()).limit(1)).first()
    return _entry(row) if row is not None else None


def drop_salts(connection: Connection, subject: str) -> None:
    """Delete the salts of a subject: nobody can try any more what its commitments stand for."""
    of_subject = select(AUDIT_ENTRIES.c.seq).where(AUDIT_ENTRIES.c.subject == subject)
    connection.execute(delete(AUDIT_SALTS).where(AUDIT_SALTS.c.seq.in_(of_subject)))


def adopt(connection: Connection, now: float) -> None:
    """Record the answers that were there before the log; it begins with them."""
    query = select(REVISIONS, CASES.c.id.label("case")).join(
        CASES, CASES.c.seq == REVISIONS.c.case_seq
    )
    rows = connection.execute(query.order_by(REVISIONS.c.case_seq, REVISIONS.c.number))
    for page in rows.partitions(_ROWS_AT_ONCE):
        found = [
            NewEntry("adopted", row.case, SERVER, {"revision": row.number}, _content(row))
            for row in page
        ]
        record_all(connection, now, found)


def contents(connection: Connection) -> Callable[[Entry], bytes | None]:
    """Return a function to what an entry about an answer commits to, as it is stored now."""
    query = select(REVISIONS, CASES.c.id.label("case")).join(
        CASES, CASES.c.seq == REVISIONS.c.case_seq
    )
    found = {
        (row.case, row.number): _content(row) for row in connection.execute(query) if row.answer
    }

    def content_of(entry: Entry) -> bytes | None:
        return found.get((entry.subject, revision_of(entry) or 0))

    return content_of


def unrecorded(connection: Connection) -> list[tuple[str, int]]:
    """Return the revisions that no entry is about: a case's id, and the number."""
    known = {
        (one.entry.subject, revision_of(one.entry))
        for one in entries(connection)
        if one.entry.kind in {"answer", "adopted"}
    }
    query = select(REVISIONS.c.number, CASES.c.id).join(CASES, CASES.c.seq == REVISIONS.c.case_seq)
    return [(r.id, r.number) for r in connection.execute(query) if (r.id, r.number) not in known]


def _content(row: Row[Any]) -> bytes:
    return answer_content(str(row.answer).encode(), row.number, row.recording)


def _entries() -> Select[Any]:
    joined = AUDIT_ENTRIES.outerjoin(AUDIT_SALTS, AUDIT_SALTS.c.seq == AUDIT_ENTRIES.c.seq)
    query = select(AUDIT_ENTRIES, AUDIT_SALTS.c.salt).select_from(joined)
    return query.order_by(AUDIT_ENTRIES.c.seq)


def _kept(row: Row[Any]) -> KeptEntry:
    return KeptEntry(_entry(row), row.leaf, row.salt)


def _entry(row: Row[Any]) -> Entry:
    return Entry(row.seq, row.at, row.kind, row.subject, row.actor, row.facts, row.commitment)
