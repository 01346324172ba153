"""``stt-engine audit``: check the log of what was done, or one exported case; sign it now."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from api_server.audit.__main__ import key_of, lines_of
from api_server.audit.archive import ArchiveInvalid, check_archive
from api_server.audit.note import NoteInvalid, VerifierKey
from stt_tools.cli.keeping import store_of
from stt_tools.cli.options import Json, load_settings
from stt_tools.cli.output import err, out, print_json
from stt_tools.exits import DEGRADED, DONE, refuse

app = typer.Typer(help="Check and sign the log of what was done.", no_args_is_help=True)

Key = Annotated[
    str | None, typer.Option(help="The log's public key, or a file of it.", show_default=False)
]


@app.command()
def verify(
    archive: Annotated[
        Path | None, typer.Argument(help="An exported case; without it, the whole log.")
    ] = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Find any change, cut or reorder, and say where; exit code 1 where there is one."""
    try:
        trusted = key_of(key) if key is not None else None
    except NoteInvalid as exc:
        refuse(f"--key: {exc}")
    if archive is not None:
        _verify_archive(archive, trusted, as_json=as_json)
    else:
        _verify_log(trusted, as_json=as_json)


def _verify_archive(archive: Path, trusted: VerifierKey | None, *, as_json: bool) -> None:
    try:
        report = check_archive(archive, trusted)
    except (ArchiveInvalid, OSError) as exc:
        refuse(f"{archive}: {exc}")
    if as_json:
        told = {
            "case": report.case,
            "key": str(report.key),
            "key_trusted": trusted is not None,
            "signed_at": report.checkpoint.time,
            "entries": [one.to_data() for one in report.entries],
            "withheld": list(report.withheld),
            "faults": [asdict(one) for one in report.faults],
        }
        print_json(told)
    else:
        for line in lines_of(report, trusted=trusted is not None):
            out.print(escape(line))
    raise typer.Exit(DEGRADED if report.faults else DONE)


def _verify_log(trusted: VerifierKey | None, *, as_json: bool) -> None:
    with store_of(load_settings()) as store:
        if store is None:
            refuse("there is no store here")
        report = store.ledger.verify(trusted)
    if as_json:
        print_json(asdict(report))
    else:
        out.print(f"{report.entries} entries, {report.signed} of them signed")
        for one in report.faults:
            out.print(escape(f"CHANGED {one.where}: {one.what}"))
        out.print("NOT as it was written" if report.faults else "as it was written")
        if report.signed < report.entries:
            err.print("the entries behind the last checkpoint can still be cut off unseen")
    raise typer.Exit(DEGRADED if report.faults else DONE)


@app.command()
def checkpoint() -> None:
    """Sign the log as it is, append that to AUDIT_CHECKPOINTS_FILE, and print it."""
    with store_of(load_settings()) as store:
        if store is None:
            refuse("there is no store here")
        note = store.ledger.checkpoint()
    typer.echo(note, nl=False)
