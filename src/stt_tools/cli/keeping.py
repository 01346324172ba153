"""The store of this machine, as the commands about jobs and cases use it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from api_server.models import CaseList, JobList
from api_server.pipeline.records import proof_of, recordings_of, retention_of
from api_server.settings import Settings
from api_server.store.errors import (
    CaseHeld,
    KeyMissing,
    KeyReused,
    LogBroken,
    NoSuchCase,
    NoSuchJob,
    NoSuchWebhook,
)
from stt_engine.model_store.places import data_home
from stt_tools.cli.output import err, out, print_json
from stt_tools.exits import refuse

if TYPE_CHECKING:
    from api_server.store.store import Store

Limit = Annotated[int, typer.Option(help="Entries of a page.", min=1, max=500)]
Cursor = Annotated[int | None, typer.Option(help="Where the page before ended.")]


def actor() -> str:
    """Return who runs this command, as the log has it."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:uid {os.getuid()}"


@contextmanager
def store_of(settings: Settings) -> Iterator[Store | None]:
    """Open the store that the settings name, without a server; ``None`` where there is none.

    Raises as :func:`made_store_of` does.
    """
    where = settings.database(data_home(settings.stt_home))
    if isinstance(where, str) or where.exists():
        with made_store_of(settings) as store:
            yield store
    else:
        with _refusing():
            yield None


@contextmanager
def made_store_of(settings: Settings) -> Iterator[Store]:
    """Open the store that the settings name, without a server; it is made where there is none.

    Raises:
        CommandFailed: what was asked for is not there.
        StoreUnavailable: it cannot be opened.
    """
    from api_server.store.store import Store  # noqa: PLC0415 - takes 0.4 s of a server's start

    store = Store(
        settings.database(data_home(settings.stt_home)),
        recordings_of(settings),
        retention=retention_of(settings),
        proof=proof_of(settings),
    )
    try:
        with _refusing():
            yield store
    finally:
        store.close()


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (
        NoSuchJob,
        NoSuchCase,
        NoSuchWebhook,
        KeyReused,
        CaseHeld,
        KeyMissing,
        LogBroken,
    ) as exc:
        refuse(str(exc), exc.error_type)


def print_page(page: JobList | CaseList, lines: Iterable[str], *, as_json: bool) -> None:
    """Print a page of a list, and where the next one begins."""
    if as_json:
        print_json(page.model_dump(mode="json"))
        return
    for line in lines:
        out.print(line)
    if page.next_cursor:
        err.print(f"more: --cursor {page.next_cursor}")
