"""The database as a server: PostgreSQL, for any number of machines.

A transaction that writes holds one lock of the database: there is one at a time, as with SQLite, so
the same code is right on both. Claims lock the rows that they take, and nobody waits for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from psycopg.types.string import StrDumper
from sqlalchemy import Connection, Engine, create_engine, event, exc, inspect, text
from sqlalchemy.engine import make_url

from api_server.store.errors import StoreUnavailable

IDLE_SEC = 10
"""How long a writer may be silent within its transaction: a stopped machine holds others up so
long, and then the server ends its transaction."""

_LOCKED_SEC = IDLE_SEC + 2
_STATEMENT_SEC = 15
_READER_SEC = 600
_CONNECT_SEC = 5
_CONNECTIONS = 8
_LOCK = 0x5354_5445_4E47_494E
"""The number of the lock; any would do that nobody else uses."""

_NOW = text("SELECT extract(epoch FROM clock_timestamp())::float8")
_SESSION = (
    f"-c lock_timeout={_LOCKED_SEC}s -c idle_in_transaction_session_timeout={_READER_SEC}s"
    " -c synchronous_commit=on"  # what was answered with 202 survives a power cut
)
_TALK: dict[str, Any] = {
    "connect_timeout": _CONNECT_SEC,
    "application_name": "stt-engine",
    "client_encoding": "utf8",
    # A machine or a cable that is gone is missed in this time.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}


class PostgresServer:
    """A database of a PostgreSQL server.

    Args:
        url: ``postgresql://USER:PASSWORD@HOST:PORT/NAME``, with libpq's parameters.
    """

    replaced = False
    touching = "SELECT pg_current_xact_id()"
    reading: Mapping[str, object] = MappingProxyType(
        {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    )

    def __init__(self, url: str) -> None:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
        named = parsed.set(drivername="postgresql", username=None, password=None, query={})
        self.shown = named.render_as_string()
        self.copier = f"pg_dump --format=custom --file=FILE --dbname={self.shown}"
        bounds = (
            f"SELECT set_config('idle_in_transaction_session_timeout', '{IDLE_SEC}s', true), "
            f"set_config('statement_timeout', '{_STATEMENT_SEC}s', true)"
        )
        self._bounded, self._alone = text(bounds), text(f"{bounds}, pg_advisory_xact_lock({_LOCK})")
        own = {key: value for key, value in _TALK.items() if key not in parsed.query}
        options = f"{_SESSION} {parsed.query.get('options', '')}"
        self.engine = _engine(
            create_engine(
                parsed,
                pool_size=_CONNECTIONS,
                pool_timeout=5,
                pool_pre_ping=True,  # the server may have been restarted
                connect_args={**own, "options": options.strip()},
            ),
            self.shown,
        )

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Do nothing: whoever brings the tables up to date holds the lock of writers."""
        yield

    def check(self) -> None:
        """Do nothing: there is no file that another one could replace."""

    def begin(self, connection: Connection, *, alone: bool) -> None:
        """Bound a transaction that writes; ``alone``: wait until no other one does, anywhere."""
        connection.execute(self._alone if alone else self._bounded)

    def now(self, connection: Connection) -> float:
        """Return the server's time: those of the machines may differ."""
        return float(connection.execute(_NOW).scalar_one())

    def flush(self) -> None:
        """Do nothing: what was removed leaves the server's files by its own vacuum."""

    def examine(self) -> list[str]:
        """Return what the server says when every row of every table is read."""
        found = []
        with self.engine.connect() as connection:
            for name in inspect(connection).get_table_names():
                quoted = connection.dialect.identifier_preparer.quote(name)
                try:
                    connection.exec_driver_sql(f"SELECT sum(length(t::text)) FROM {quoted} t")  # noqa: S608 - a name of ours
                except exc.InternalError as error:
                    found.append(f"{name}: {error.orig}")
                connection.rollback()
        return found

    def copy_to(self, _target: Path) -> NoReturn:
        """Refuse; see :attr:`copier`.

        Raises:
            StoreUnavailable: always.
        """
        raise StoreUnavailable(f"the database {self.shown} is copied by {self.copier}")


class _Text(StrDumper):
    """Text without what PostgreSQL cannot keep; a name that somebody gave may hold it."""

    def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
        return super().dump(obj.replace("\0", "\ufffd"))


def _engine(engine: Engine, shown: str) -> Engine:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - of SQLAlchemy
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            connection.close()
            raise StoreUnavailable(
                f"the database {shown} keeps text as {encoding}, which cannot hold every call; "
                "make it with createdb --encoding=UTF8 --template=template0"
            )
        connection.adapters.register_dumper(str, _Text)

    return engine
