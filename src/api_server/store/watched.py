"""The ledger of watched folders: each content is taken once, whatever its name."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from api_server.store.records import FoundFile
from api_server.store.schema import CASES, JOBS, WATCHED
from stt_engine.errors import AudioNotFound

NOT_THERE = AudioNotFound.error_type
"""The ``error_type`` of a case whose file was not there."""

SOURCE = "watch"
"""The source of jobs that watched folders brought."""

_AT_ONCE = 1000


def as_noted(connection: Connection, paths: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return bytes and time of change of those ``paths`` that are noted."""
    query = select(WATCHED).where(WATCHED.c.path.in_(list(paths)))
    return {row.path: (row.bytes, row.modified_ns) for row in connection.execute(query)}


def taken_as(connection: Connection, path: str, job: str) -> tuple[FoundFile, str] | None:
    """Return what is noted of the file of a job, and the job of its content now.

    ``None`` where no watched folder brought it: somebody named the file, whatever is in it.
    """
    source = connection.execute(select(JOBS.c.source).where(JOBS.c.id == job)).scalar()
    row = connection.execute(select(WATCHED).where(WATCHED.c.path == path)).one_or_none()
    if row is None or source != SOURCE:
        return None
    return FoundFile(row.path, row.bytes, row.modified_ns, row.sha256), row.job


def vanished(connection: Connection) -> dict[str, str]:
    """Return the jobs whose file was not there when its turn came, by its path."""
    query = (
        select(CASES.c.path, JOBS.c.id)
        .join(JOBS, JOBS.c.seq == CASES.c.job_seq)
        .where(
            CASES.c.state == "refused",
            CASES.c.error_type == NOT_THERE,
            CASES.c.erased_at.is_(None),
            JOBS.c.source == SOURCE,
        )
        .limit(_AT_ONCE)
    )
    return {row.path: row.id for row in connection.execute(query) if row.path is not None}


def job_of_content(connection: Connection, sha256: str) -> str | None:
    """Return the job that came of this content, if there is one."""
    query = select(WATCHED.c.job).where(WATCHED.c.sha256 == sha256).limit(1)
    found = connection.execute(query).scalar()
    return None if found is None else str(found)


def note(connection: Connection, found: FoundFile, job: str, now: float) -> None:
    """Note a file, in place of what was noted of its path."""
    connection.execute(delete(WATCHED).where(WATCHED.c.path == found.path))
    connection.execute(
        insert(WATCHED).values(
            path=found.path,
            bytes=found.bytes,
            modified_ns=found.modified_ns,
            sha256=found.sha256,
            job=job,
            noted_at=now,
        )
    )
