"""``stt-engine db``: check the store, copy it, and change the key of its recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from api_server.pipeline.records import recordings_of
from stt_tools.cli.keeping import made_store_of, store_of
from stt_tools.cli.options import Json, load_settings
from stt_tools.cli.output import out, print_json
from stt_tools.exits import DEGRADED, DONE, refuse

app = typer.Typer(help="Check and copy the store of jobs and cases.", no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Make the tables, or bring them up to date; a server does the same as it opens the store."""
    from api_server.store.schema import HEAD  # noqa: PLC0415 - takes 0.2 s of every command's start

    with made_store_of(load_settings()):
        out.print(f"schema {HEAD}")


@app.command()
def check(as_json: Json = False) -> None:
    """Find damage of the database and recordings that are not there; exit code 1 where there is."""
    with store_of(load_settings()) as store:
        if store is None:
            refuse("there is no store here")
        faults = store.examine()
    if as_json:
        print_json({"faults": faults})
    else:
        for one in faults:
            out.print(escape(one))
        out.print("damaged" if faults else "sound")
    raise typer.Exit(DEGRADED if faults else DONE)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
) -> None:
    """Copy database, recordings, checkpoints and the public key, as they are at one moment.

    The keys that sign and that encrypt are not copied: keep them elsewhere. A PostgreSQL database
    is copied by its own pg_dump: this names the command, and copies nothing.
    """
    if target.exists():
        refuse(f"{target} is there already")
    with store_of(load_settings()) as store:
        if store is None:
            refuse("there is no store here")
        if store.copier is not None:
            refuse(
                f"the database is a server's: copy it with {store.copier}, then RECORDINGS_DIR and "
                "the files of the audit log"
            )
        count = store.backup(target)
    out.print(escape(f"{target}  {count} recordings"))


@app.command()
def rekey() -> None:
    """Encrypt recordings and texts with the first key of RECORDINGS_KEY_FILE.

    Servers need a restart with the new file before it, and may run meanwhile.
    """
    settings = load_settings()
    folder, done = recordings_of(settings), 0
    with store_of(settings) as store:
        texts = store.rekey() if store is not None else 0
        for sha256 in sorted(folder.on_disk()):
            if not folder.is_current(sha256):
                folder.rewrite(sha256)
                done += 1
    out.print(f"{done} recordings and {texts} rows of the database written anew")
