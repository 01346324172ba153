"""The database: opened, brought up to date, and used in transactions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from filelock import FileLock
from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.pool import QueuePool

from api_server.store.errors import KeyMissing, StoreUnavailable
from api_server.store.migrate import bring_up_to_date
from api_server.store.sealed import SealingKeys
from api_server.store.sealed_text import use_keys

LOCKED_SEC = 5.0
"""How long a transaction waits for another process's."""

_OPENING_SEC = 30.0
_CONNECTIONS = 8
_WRITES = "stt_writes"


class Database:
    """One SQLite database in a file, shared by threads and by processes of this machine.

    Args:
        path: the file; it is made where there is none.
        keys: what its texts are encrypted with; without, they are not.

    Raises:
        StoreUnavailable: it cannot be opened, or a newer version has made it.
    """

    def __init__(self, path: Path, keys: SealingKeys | None = None) -> None:
        self._path = path
        self._engine = _engine(path)
        use_keys(self._engine, keys)
        with self._translated():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(f"{path}.lock", timeout=_OPENING_SEC):
                path.touch(mode=0o600)
                self._file = _identity(path)
                with self.write() as connection:
                    bring_up_to_date(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that changes nothing.

        Raises:
            StoreUnavailable: the database cannot be used.
        """
        with self._translated(), self._same_file(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may change things; there is one at a time.

        Raises:
            StoreUnavailable: the database cannot be used, or another writes for too long.
        """
        with (
            self._translated(),
            self._same_file(),
            self._engine.connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection

    @property
    def replaced(self) -> bool:
        """True where the file that was opened is not there any more."""
        try:
            return _identity(self._path) != self._file
        except OSError:
            return True

    def flush(self) -> None:
        """Have the log of writes overwritten, which holds what was removed a while longer.

        While another transaction runs it stays for now.

        Raises:
            StoreUnavailable: the database cannot be used.
        """
        with self._raw() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def examine(self) -> list[str]:
        """Return what is wrong with the file and its references: nothing, where all is well.

        Raises:
            StoreUnavailable: the database cannot be used.
        """
        with self._raw() as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
            lost = connection.execute("PRAGMA foreign_key_check").fetchall()
        told = [f"{row[0]}, row {row[1]}: refers to what is not there ({row[2]})" for row in lost]
        return [one for one in found if one != "ok"] + told

    def copy_to(self, target: Path) -> None:
        """Copy the whole database into a new file, as it is at one moment.

        Raises:
            StoreUnavailable: that cannot be done.
        """
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
        with self._translated(), self._same_file():
            held = self._engine.raw_connection()
            try:
                yield cast("sqlite3.Connection", held.driver_connection)
            except sqlite3.Error as error:
                raise StoreUnavailable(f"the database {self._path}: {error}") from error
            finally:
                held.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _same_file(self) -> Iterator[None]:
        """Refuse to work on a file that was removed: what is written there is lost.

        Looked at afterwards too, before anybody is told that something was kept.
        """
        self._check_file()
        yield
        self._check_file()

    def _check_file(self) -> None:
        if _identity(self._path) != self._file:
            self._engine.dispose()
            raise StoreUnavailable(f"the database {self._path} was replaced while it was in use")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except KeyMissing as error:
            raise StoreUnavailable(f"the database {self._path}: {error}") from error
        except (exc.IntegrityError, exc.ProgrammingError):
            raise  # a defect of ours
        except exc.DBAPIError as error:
            raise StoreUnavailable(f"the database {self._path}: {error.orig}") from error
        except exc.TimeoutError as error:
            raise StoreUnavailable(f"the database {self._path}: no connection is free") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreUnavailable(f"the database {self._path}: {reason}") from error


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
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
