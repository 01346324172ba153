"""The database: opened, brought up to date, and used in transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, exc

from api_server.store.errors import KeyMissing, StoreUnavailable
from api_server.store.migrate import bring_up_to_date
from api_server.store.sealed import SealingKeys
from api_server.store.sealed_text import use_keys
from api_server.store.sqlite_file import WRITES, SqliteFile

Where = Path | str
"""Where a database is: the file of an SQLite one, or the URL of a PostgreSQL one."""

_NOT_OURS = frozenset({"42501", "42P01", "3F000"})
"""What PostgreSQL calls missing rights, tables and schemas: somebody has taken them."""


class Backend(Protocol):
    """What SQLite and PostgreSQL do each in their own way."""

    engine: Engine
    shown: str
    """Where it is, without a password."""

    touching: str
    """A statement whose transaction is written, and changes nothing."""

    reading: Mapping[str, object]
    """The options of a connection that only reads."""

    @property
    def copier(self) -> str | None:
        """The command that makes a copy, where this program makes none."""

    @property
    def replaced(self) -> bool:
        """True where it is not the one that was opened."""

    def opening(self) -> AbstractContextManager[None]:
        """Keep others from opening it meanwhile."""

    def check(self) -> None:
        """Raise where it is not the one that was opened."""

    def begin(self, connection: Connection, *, alone: bool) -> None:
        """Begin a transaction that writes; ``alone``: no other one does meanwhile."""

    def now(self, connection: Connection) -> float:
        """Return the time, in seconds since 1970."""

    def flush(self) -> None:
        """Have what was removed overwritten."""

    def examine(self) -> list[str]:
        """Return what is damaged."""

    def copy_to(self, target: Path) -> None:
        """Copy it into a new file."""


class Database:
    """One database, shared by threads, by processes, and with PostgreSQL by machines.

    Args:
        where: an SQLite file, which is made where there is none, or PostgreSQL's URL.
        clock: seconds since 1970; by default the database's own time, which all machines share.
        keys: what its texts are encrypted with; without, they are not.

    Raises:
        StoreUnavailable: it cannot be opened, or a newer version has made it.
    """

    def __init__(
        self,
        where: Where,
        keys: SealingKeys | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._backend = _backend(where)
        use_keys(self._backend.engine, keys)
        self._given_clock = clock
        self._open = threading.local()
        self.writes = 0
        """Transactions that have written; of many threads, one may not be counted."""
        with (
            self._translated(),
            self._backend.opening(),
            self.write() as connection,
        ):
            bring_up_to_date(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that changes nothing, and sees all of one moment.

        Raises:
            StoreUnavailable: the database cannot be used.
        """
        with (
            self._translated(),
            self._same(),
            self._connected(**self._backend.reading) as connection,
            self._noted(connection),
        ):
            yield connection

    def _connected(self, **options: object) -> Connection:
        return self._backend.engine.connect().execution_options(**options)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may change things; there is one at a time, on all machines.

        Raises:
            StoreUnavailable: the database cannot be used, or another writes for too long.
        """
        with self._writing(alone=True) as connection:
            yield connection

    @contextmanager
    def claim(self) -> Iterator[Connection]:
        """Open a transaction that changes only rows which it has locked, beside others.

        Raises:
            StoreUnavailable: the database cannot be used.
        """
        with self._writing(alone=False) as connection:
            yield connection

    @contextmanager
    def _writing(self, *, alone: bool) -> Iterator[Connection]:
        try:
            with self._written(alone=alone) as connection:
                yield connection
        except StoreUnavailable as error:
            error.writing = True
            raise
        self.writes += 1

    @contextmanager
    def _written(self, *, alone: bool) -> Iterator[Connection]:
        with (
            self._translated(),
            self._same(),
            self._connected(**{WRITES: True}) as connection,
            connection.begin(),
            self._noted(connection),
        ):
            self._backend.begin(connection, alone=alone)
            yield connection

    def now(self) -> float:
        """Return the time in seconds since 1970; in a transaction of this thread, that of it.

        Raises:
            StoreUnavailable: the database cannot be asked.
        """
        if self._given_clock is not None:
            return self._given_clock()
        connection = getattr(self._open, "connection", None)
        if connection is None:
            with self.read():
                return self.now()
        if self._open.time is None:
            self._open.time = self._backend.now(connection)
        return float(self._open.time)

    @contextmanager
    def _noted(self, connection: Connection) -> Iterator[None]:
        """Have :meth:`now` ask in this transaction."""
        before = getattr(self._open, "connection", None)
        self._open.connection, self._open.time = connection, None
        try:
            yield
        finally:
            self._open.connection, self._open.time = before, None

    @property
    def replaced(self) -> bool:
        """True where the file that was opened is not there any more."""
        return self._backend.replaced

    @property
    def copier(self) -> str | None:
        """The command that copies this database, where :meth:`copy_to` does not."""
        return self._backend.copier

    def touch(self) -> None:
        """Have something written that changes nothing.

        Raises:
            StoreUnavailable: that cannot be done.
        """
        with self.write() as connection:
            connection.exec_driver_sql(self._backend.touching)

    def flush(self) -> None:
        """Have what was removed overwritten, where the database keeps it a while longer.

        Raises:
            StoreUnavailable: the database cannot be used.
        """
        with self._translated(), self._same():
            self._backend.flush()

    def examine(self) -> list[str]:
        """Return what is wrong with the database: nothing, where all is well.

        Raises:
            StoreUnavailable: the database cannot be used.
        """
        with self._translated(), self._same():
            return self._backend.examine()

    def copy_to(self, target: Path) -> None:
        """Copy the whole database into a new file, as it is at one moment.

        Raises:
            StoreUnavailable: that cannot be done.
        """
        with self._translated(), self._same():
            self._backend.copy_to(target)

    def close(self) -> None:
        """Close every connection."""
        self._backend.engine.dispose()

    @contextmanager
    def _same(self) -> Iterator[None]:
        """Look whether it is the database that was opened, before and after.

        Afterwards too: before anybody is told that something was kept.
        """
        self._backend.check()
        yield
        self._backend.check()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        shown = f"the database {self._backend.shown}"
        try:
            yield
        except KeyMissing as error:
            raise StoreUnavailable(f"{shown}: {error}") from error
        except (exc.IntegrityError, exc.ProgrammingError, exc.DataError) as error:
            if getattr(error.orig, "sqlstate", None) not in _NOT_OURS:
                raise  # a defect of ours
            raise StoreUnavailable(f"{shown}: {_words(error)}") from error
        except exc.DBAPIError as error:
            raise StoreUnavailable(f"{shown}: {_words(error)}") from error
        except exc.TimeoutError as error:
            raise StoreUnavailable(f"{shown}: no connection is free") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreUnavailable(f"{shown}: {reason}") from error


def _words(error: exc.DBAPIError) -> str:
    return " ".join(str(error.orig).split())


def _backend(where: Where) -> Backend:
    if isinstance(where, Path):
        return SqliteFile(where)
    from api_server.store.postgres import PostgresServer  # noqa: PLC0415 - only who has one

    return PostgresServer(where)


class StorePart:
    """What belongs together among the transactions of a store.

    Args:
        database: the open database.
        clock: seconds since 1970, UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
