"""The database as a file of this machine: SQLite, without any server beside it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import cast

from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from api_server.store.errors import StoreUnavailable

LOCKED_SEC = 5.0
"""How long a transaction waits for another process's."""

_OPENING_SEC = 30.0
_CONNECTIONS = 8
WRITES = "stt_writes"
"""The option of a connection whose transactions may write."""


class SqliteFile:
    """One SQLite database in a file, shared by threads and by processes of this machine.

    Args:
        path: the file; it is made where there is none.
    """

    reading: Mapping[str, object] = MappingProxyType({})
    touching = "PRAGMA user_version = 0"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.shown = str(path)
        self.copier = None
        self.engine = _engine(path)
        self._file: tuple[int, int] | None = None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Keep other processes from opening it too, and make the file where there is none.

        Raises:
            OSError: that cannot be done.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{self._path}.lock", timeout=_OPENING_SEC):
            self._path.touch(mode=0o600)
            self._file = _identity(self._path)
            yield

    @property
    def replaced(self) -> bool:
        """True where the file that was opened is not there any more."""
        try:
            return _identity(self._path) != self._file
        except OSError:
            return True

    def check(self) -> None:
        """Refuse to work on a file that was removed: what is written there is lost.

        Raises:
            StoreUnavailable: it was replaced.
            OSError: it is gone.
        """
        if _identity(self._path) != self._file:
            self.engine.dispose()
            raise StoreUnavailable(f"the database {self._path} was replaced while it was in use")

    def begin(self, _connection: Connection, *, alone: bool) -> None:
        """Do nothing: a transaction that writes is the only one from its beginning."""

    def now(self, _connection: Connection) -> float:
        """Return the time of this machine, on which every process of this database is."""
        return time.time()

    def flush(self) -> None:
        """Have the log of writes overwritten, which holds what was removed a while longer.

        While another transaction runs it stays for now.
        """
        with self._raw() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def examine(self) -> list[str]:
        """Return what is wrong with the file and its references: nothing, where all is well."""
        with self._raw() as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            lost = connection.execute("PRAGMA foreign_key_check").fetchall()
        told = [f"{row[0]}, row {row[1]}: refers to what is not there ({row[2]})" for row in lost]
        return [one for one in found if one != "ok"] + told

    def copy_to(self, target: Path) -> None:
        """Copy the whole database into a new file, as it is at one moment."""
        with self._raw() as connection:
            target.touch(mode=0o600, exist_ok=False)
            copy = sqlite3.connect(target)
            try:
                connection.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, for a tape
            finally:
                copy.close()

    @contextmanager
    def _raw(self) -> Iterator[sqlite3.Connection]:
        held = self.engine.raw_connection()
        try:
            yield cast("sqlite3.Connection", held.driver_connection)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the database {self._path}: {error}") from error
        finally:
            held.close()


def _identity(path: Path) -> tuple[int, int]:
    """Return what tells this file from another one that takes its place.

    Raises:
        OSError: it is gone.
    """
    told = path.stat()
    return told.st_dev, told.st_ino


def _engine(path: Path) -> Engine:
    where = f"{Path(os.path.abspath(path)).as_uri()}?mode=rw"  # noqa: PTH100 - follows no link

    def connect() -> sqlite3.Connection:
        # In this mode a file that is gone is an error, and no new and empty database.
        connection = sqlite3.connect(
            where, LOCKED_SEC, isolation_level=None, check_same_thread=False, uri=True
        )
        # FULL: what was answered with 202 survives a power cut.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA secure_delete=ON")  # what is removed is overwritten
        return connection

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=_CONNECTIONS, pool_timeout=5
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that began as a reader cannot always become a writer.
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
