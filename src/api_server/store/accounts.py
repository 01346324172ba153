"""Accounts and sessions of the page: each method is one transaction, for any thread."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from api_server.store.database import StorePart
from api_server.store.errors import NoSuchUser, UserExists
from api_server.store.review_records import EXTERNAL, Attempt, Denied, Role, UserRecord, Visitor
from api_server.store.review_tables import SESSIONS, USERS

FREE_FAILURES = 5
"""Wrong passwords in a row after which an account rests, twice as long each time."""

_FIRST_REST_SEC = 2.0
_LONGEST_REST_SEC = 900.0
_SEEN_SEC = 20.0
"""A session that was seen within this time is not written again."""


class Accounts(StorePart):
    """Who may log in, and who is."""

    def add(self, name: str, role: Role, secret_hash: str) -> None:
        """Add an account.

        Raises:
            UserExists: there is one of this name.
        """
        with self._database.write() as connection:
            if connection.execute(select(USERS.c.name).where(USERS.c.name == name)).first():
                raise UserExists(f"there is an account '{name}' already")
            connection.execute(insert(USERS).values(**self._new(name, role, secret_hash)))

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
            return [
                UserRecord(
                    one.name,
                    one.role,
                    one.created_at,
                    one.locked_at,
                    not _has_password(one.secret_hash),
                )
                for one in rows
            ]

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
        secret_hash = row.secret_hash if _has_password(row.secret_hash) else None
        return Attempt(secret_hash, row.locked_at is not None, wait)

    def failed(self, name: str) -> None:
        """Count a wrong password."""
        with self._database.write() as connection:
            connection.execute(
                update(USERS)
                .where(USERS.c.name == name)
                .values(failures=USERS.c.failures + 1, failed_at=self._clock())
            )

    def make_external(self, name: str) -> None:
        """Have an account belong to whom somebody else vouches for next by its name; no password.

        Raises:
            NoSuchUser: there is none of this name.
        """
        with self._database.write() as connection:
            changed = connection.execute(
                update(USERS).where(USERS.c.name == name).values(secret_hash=EXTERNAL)
            ).rowcount
            if not changed:
                raise NoSuchUser(f"there is no account '{name}'")

    def enter(self, name: str, origin: str, role: Role | None) -> Visitor | Denied:
        """Return the account of whom ``origin`` vouches for by this name, or why they have none.

        An account is of one origin: who comes by another way, or as another person of it, does not
        get a name that is taken. ``role=None``: only who has an account gets in.
        """
        mine = select(USERS).where(USERS.c.name == name)
        with self._database.read() as connection:
            found = _entry(connection.execute(mine).first(), origin, role)
        if found is not None:
            return found
        with self._database.write() as connection:
            row = connection.execute(mine).first()
            found = _entry(row, origin, role)
            if found is not None:
                return found
            given = role or row.role  # type: ignore[union-attr] # one of them is there
            if row is None:
                connection.execute(insert(USERS).values(**self._new(name, given, origin)))
            else:
                values = {"secret_hash": origin, "role": given}
                connection.execute(update(USERS).where(USERS.c.name == name).values(**values))
            return Visitor(name, given)

    def _new(self, name: str, role: Role, secret_hash: str) -> dict[str, Any]:
        return {
            "name": name,
            "role": role,
            "secret_hash": secret_hash,
            "created_at": self._clock(),
            "failures": 0,
            "failed_at": 0.0,
        }

    def begin(
        self,
        token_sha256: str,
        user: str,
        demo_role: Role | None = None,
        once_sha256: str | None = None,
    ) -> bool:
        """Begin a session; false where ``once_sha256``, what it is begun with, was used before."""
        now = self._clock()
        with self._database.write() as connection:
            if once_sha256 is not None:
                used = select(SESSIONS).where(SESSIONS.c.token_sha256 == once_sha256)
                if connection.execute(used).first():
                    return False
                # A session of nobody: it is forgotten with those of its day.
                connection.execute(insert(SESSIONS).values(**_session(once_sha256, "", now)))
            connection.execute(update(USERS).where(USERS.c.name == user).values(failures=0))
            begun = _session(token_sha256, user, now) | {"demo_role": demo_role}
            connection.execute(insert(SESSIONS).values(**begun))
            return True

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


def _session(token_sha256: str, user: str, now: float) -> dict[str, Any]:
    return {"token_sha256": token_sha256, "user": user, "created_at": now, "seen_at": now}


def _has_password(secret_hash: str) -> bool:
    return secret_hash.startswith("$")


def _entry(row: Row[Any] | None, origin: str, role: Role | None) -> Visitor | Denied | None:
    """Return what :meth:`Accounts.enter` does; ``None``: something has to be written before."""
    if row is None:
        return "unknown" if role is None else None
    if row.locked_at is not None:
        return "locked"
    if row.secret_hash not in {origin, EXTERNAL}:
        return "taken"
    same = row.secret_hash == origin and role in {None, row.role}
    return Visitor(row.name, row.role) if same else None


def _visitor(row: Row[Any]) -> Visitor | None:
    """Return whose session it is; an account that was locked or is gone has none."""
    if row.role is not None:
        return None if row.locked_at is not None else Visitor(row.user, row.role)
    return Visitor(row.user, row.demo_role, demo=True) if row.demo_role else None
