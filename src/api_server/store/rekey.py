"""Texts of the database written anew with the key for new ones, while others work on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Row,
    Table,
    Text,
    select,
    text,
    tuple_,
    type_coerce,
    update,
)

from api_server.store.database import Database
from api_server.store.errors import KeyMissing, StoreUnavailable
from api_server.store.review_tables import DECISIONS
from api_server.store.schema import JOBS, METADATA
from api_server.store.sealed_text import (
    is_current,
    keys_of,
    label_of,
    open_text,
    sealed_columns,
)

_ROWS_AT_ONCE = 200
_GUARDS = {DECISIONS.name: "decisions_update"}
"""Triggers that forbid to change a table's rows."""


def rekey(database: Database) -> int:
    """Write every text that is not as new ones are anew; return how many rows had one.

    A few hundred rows a transaction: one that is broken off goes on with the next call.

    Raises:
        StoreUnavailable: the database cannot be used, or holds what none of the keys opens.
    """
    done = 0
    for table in METADATA.sorted_tables:
        columns = sealed_columns(table)
        after: tuple[Any, ...] | None = None
        while columns:
            with database.write() as connection:
                rows = list(_page(connection, table, columns, after))
                if not rows:
                    break
                after = tuple(rows[-1][: len(table.primary_key)])
                done += _seal(connection, table, columns, rows)
    database.flush()
    return done


def check_readable(connection: Connection) -> None:
    """Return where the texts of the newest jobs can be opened, or those of one of them at least.

    Raises:
        KeyMissing: the keys are others.
        StoreUnavailable: the keys have their names, and open none of them.
    """
    stored = select(type_coerce(JOBS.c.options, Text)).order_by(JOBS.c.seq.desc()).limit(3)
    failure: StoreUnavailable | None = None
    for (options,) in connection.execute(stored):
        try:
            open_text(options, keys_of(connection.dialect), label_of(JOBS.c.options))
        except StoreUnavailable as exc:
            failure = exc
        else:
            return
    if failure is not None:
        raise failure


def unreadable(connection: Connection) -> list[str]:
    """Return what of the sealed texts cannot be opened, a line for each table and reason."""
    keys = keys_of(connection.dialect)
    found: dict[str, int] = {}
    for table in METADATA.sorted_tables:
        for column in sealed_columns(table):
            for (stored,) in connection.execute(select(type_coerce(column, Text))):
                try:
                    open_text(stored or "", keys, label_of(column))
                except (KeyMissing, StoreUnavailable) as exc:
                    found[str(exc)] = found.get(str(exc), 0) + 1
    return [f"{reason}: {rows} rows" for reason, rows in found.items()]


def _page(
    connection: Connection,
    table: Table,
    columns: list[Column[str]],
    after: tuple[Any, ...] | None,
) -> Iterator[Row[Any]]:
    """Yield the next rows: primary key, and the columns as they are stored."""
    key = list(table.primary_key)
    query = select(*key, *(type_coerce(one, Text) for one in columns)).order_by(*key)
    if after is not None:
        query = query.where(tuple_(*key) > after)
    yield from connection.execute(query.limit(_ROWS_AT_ONCE).with_for_update())


def _seal(
    connection: Connection, table: Table, columns: list[Column[str]], rows: list[Row[Any]]
) -> int:
    keys, width = keys_of(connection.dialect), len(table.primary_key)
    done = 0
    with _unguarded(connection, table):
        for row in rows:
            old = {
                column: stored
                for column, stored in zip(columns, row[width:], strict=True)
                if stored is not None and not is_current(stored, keys, label_of(column))
            }
            if old:
                fresh = {one.name: open_text(old[one], keys, label_of(one)) for one in old}
                at = [one == value for one, value in zip(table.primary_key, row, strict=False)]
                connection.execute(update(table).where(*at).values(fresh))
                done += 1
    return done


@contextmanager
def _unguarded(connection: Connection, table: Table) -> Iterator[None]:
    """Lift what forbids to change rows, within this transaction: their texts stay the same."""
    guard = _GUARDS.get(table.name)
    if guard is None:
        yield
        return
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f"ALTER TABLE {table.name} DISABLE TRIGGER {guard}")
        yield
        connection.exec_driver_sql(f"ALTER TABLE {table.name} ENABLE TRIGGER {guard}")
        return
    made = text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name")
    sql = connection.execute(made, {"name": guard}).scalar_one()
    connection.exec_driver_sql(f"DROP TRIGGER {guard}")
    yield
    connection.exec_driver_sql(sql)
