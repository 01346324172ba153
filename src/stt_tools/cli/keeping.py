"""The store of this machine, as the commands about jobs and cases use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from api_server.settings import Settings
from api_server.store.errors import KeyReused, NoSuchCase, NoSuchJob
from api_server.store.recordings import DAY_SEC, RecordingFolder
from api_server.store.store import Store
from stt_engine.model_store.places import data_home
from stt_tools.exits import refuse

Limit = Annotated[int, typer.Option(help="Entries of a page.", min=1, max=500)]
Cursor = Annotated[int | None, typer.Option(help="Where the page before ended.")]


def recordings_of(settings: Settings) -> RecordingFolder:
    """Return the folder of recordings that the settings name."""
    return RecordingFolder(
        settings.recordings_folder(data_home(settings.stt_home)),
        settings.recordings_max_bytes,
        settings.recordings_reserve_bytes,
        settings.recordings_keep_days * DAY_SEC,
    )


@contextmanager
def store_of(settings: Settings) -> Iterator[Store | None]:
    """Open the store that the settings name, without a server; ``None`` where there is none.

    Raises as :func:`made_store_of` does.
    """
    if settings.database_file(data_home(settings.stt_home)).exists():
        with made_store_of(settings) as store:
            yield store
    else:
        yield None


@contextmanager
def made_store_of(settings: Settings) -> Iterator[Store]:
    """Open the store that the settings name, without a server; it is made where there is none.

    Raises:
        CommandFailed: what was asked for is not there.
        StoreUnavailable: it cannot be opened.
    """
    store = Store(settings.database_file(data_home(settings.stt_home)), recordings_of(settings))
    try:
        yield store
    except (NoSuchJob, NoSuchCase, KeyReused) as exc:
        refuse(str(exc), exc.error_type)
    finally:
        store.close()
