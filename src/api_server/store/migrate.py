"""Bring the tables up to date, forwards only, within one transaction."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from api_server.store import migrations
from api_server.store.errors import StoreUnavailable
from api_server.store.schema import HEAD

_FOLDER = Path(migrations.__file__).parent
_ONE_OF_ALL = threading.Lock()
"""Alembic's operations belong to the process: two databases would get each other's."""


def bring_up_to_date(connection: Connection) -> None:
    """Run the steps that this database has not seen; whoever calls holds the lock.

    Raises:
        StoreUnavailable: a newer version of this program has made it.
    """
    found = version_of(connection)
    if found != HEAD:
        with _ONE_OF_ALL:
            _upgrade(connection, found)


def version_of(connection: Connection) -> str | None:
    """Return the last step that the database has seen; ``None`` before the first."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, found: str | None) -> None:
    from alembic import command  # noqa: PLC0415 - takes 0.4 s, and is needed once
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells its own parts one by one
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreUnavailable(
            f"the database was made by a newer version (its schema is {found}, this one's {HEAD})"
        )
    command.upgrade(config, "head")
