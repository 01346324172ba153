"""Accounts and sessions of the page: each method is one transaction, for any thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from api_server.store.database import Database
from api_server.store.errors import NoSuchUser, UserExists
from api_server.store.review_records import Attempt, Role, UserRecord, Visitor
from api_server.store.review_tables import SESSIONS, USERS

FREE_FAILURES = 5
"""Wrong passwords in a row after which an account rests, twice as long each time."""

_FIRST_REST_SEC = 2.0
_LONGEST_REST_SEC = 900.0
_SEEN_SEC = 20.0
"""A session that was seen within this time is not written again."""


class Accounts:
    """Who may log in, and who is.

    Args:
        database: the open database.
        clock: seconds since 1970, UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def add(self, name: str, role: Role, secret_hash: str) -> None:
        """Add an account.

        Raises:
            UserExists: there is one of this name.
        """
        with self._database.write() as connection:
            if connection.execute(select(USERS.c.name).where(USERS.c.name == name)).first():
                raise UserExists(f"there is an account '{name}' already")
            connection.execute(
                insert(USERS).values(
                    name=name,
                    role=role,
                    secret_hash=secret_hash,
                    created_at=self._clock(),
                    failures=0,
                    failed_at=0.0,
                )
            )

    def lock(self, name: str, *, locked: bool) -> None:
        """Lock an account, and end its sessions; or unlock it.

        Raises:
            NoSuchUser: there is none of this name.
        """
        at = self._clock() if locked else None
        with self._database.write() as connection:
            changed = connection.execute(
                update(USERS).where(USERS.c.name == name).values(locked_at=at, failures=0)
            ).rowcount
            if not changed:
                raise NoSuchUser(f"there is no account '{name}'")
            if locked:
                connection.execute(delete(SESSIONS).where(SESSIONS.c.user == name))

    def list(self) -> list[UserRecord]:
        """Return every account, by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(USERS).order_by(USERS.c.name))
            return [UserRecord(one.name, one.role, one.created_at, one.locked_at) for one in rows]

    def exist(self) -> bool:
        """Return whether there is an account at all."""
        with self._database.read() as connection:
            return bool(connection.execute(select(func.count()).select_from(USERS)).scalar())

    def attempt(self, name: str) -> Attempt:
        """Return what an attempt to log in has to be judged by."""
        with self._database.read() as connection:
            row = connection.execute(select(USERS).where(USERS.c.name == name)).first()
        if row is None:
            return Attempt(None, locked=False, wait_sec=0.0)
        over = row.failures - FREE_FAILURES
        rest = min(_FIRST_REST_SEC * 2.0 ** min(over, 20), _LONGEST_REST_SEC) if over >= 0 else 0.0
        wait = max(0.0, row.failed_at + rest - self._clock())
        return Attempt(row.secret_hash, row.locked_at is not None, wait)

    def failed(self, name: str) -> None:
        """Count a wrong password."""
        with self._database.write() as connection:
            connection.execute(
                update(USERS)
                .where(USERS.c.name == name)
                .values(failures=USERS.c.failures + 1, failed_at=self._clock())
            )

    def begin(self, token_sha256: str, user: str, demo_role: Role | None = None) -> None:
        """Begin a session."""
        now = self._clock()
        with self._database.write() as connection:
            connection.execute(update(USERS).where(USERS.c.name == user).values(failures=0))
            connection.execute(
                insert(SESSIONS).values(
                    token_sha256=token_sha256,
                    user=user,
                    demo_role=demo_role,
                    created_at=now,
                    seen_at=now,
                )
            )

    def visitor(self, token_sha256: str, idle_sec: float, longest_sec: float) -> Visitor | None:
        """Return who has this session, which is seen by that; ``None``: it is over."""
        now = self._clock()
        with self._database.read() as connection:
            found = connection.execute(
                select(SESSIONS, USERS.c.role, USERS.c.locked_at)
                .outerjoin(USERS, USERS.c.name == SESSIONS.c.user)
                .where(SESSIONS.c.token_sha256 == token_sha256)
            ).first()
        if found is None:
            return None
        if now - found.seen_at > idle_sec or now - found.created_at > longest_sec:
            self.end(token_sha256)
            return None
        visitor = _visitor(found)
        if visitor is not None and now - found.seen_at > _SEEN_SEC:
            with self._database.write() as connection:
                connection.execute(
                    update(SESSIONS)
                    .where(SESSIONS.c.token_sha256 == token_sha256)
                    .values(seen_at=now)
                )
        return visitor

    def end(self, token_sha256: str) -> None:
        """End a session."""
        with self._database.write() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.token_sha256 == token_sha256))

    def sweep(self, longest_sec: float) -> None:
        """Forget sessions that are over."""
        with self._database.write() as connection:
            over = SESSIONS.c.created_at < self._clock() - longest_sec
            connection.execute(delete(SESSIONS).where(over))


def _visitor(row: Row[Any]) -> Visitor | None:
    """Return whose session it is; an account that was locked or is gone has none."""
    if row.role is not None:
        return None if row.locked_at is not None else Visitor(row.user, row.role)
    return Visitor(row.user, row.demo_role, demo=True) if row.demo_role else None
