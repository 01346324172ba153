"""The ledger of watched folders: each content is taken once, whatever its name."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from api_server.store.records import FoundFile
from api_server.store.schema import WATCHED


def as_noted(connection: Connection, paths: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return bytes and time of change of those ``paths`` that are noted."""
    query = select(WATCHED).where(WATCHED.c.path.in_(list(paths)))
    return {row.path: (row.bytes, row.modified_ns) for row in connection.execute(query)}


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
