"""Every command under one name: ``stt-engine``."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from stt_engine import __version__
from stt_tools.cli import (
    analyze,
    audit,
    cases,
    db,
    doctor,
    jobs,
    models,
    serve,
    transcribe,
    user,
    voices,
    webhooks,
    work,
)
from stt_tools.cli.ending import exit_code_of
from stt_tools.cli.output import out
from stt_tools.drill.command import drill

app = typer.Typer(
    help="Speech-to-text call analysis that says what failed instead of inventing.",
    epilog="Exit codes: 0 done; 1 degraded, or not what was asked for; 2 wrong usage, setting or "
    "input; 70 a defect of the program; 130 ended by Ctrl-C; 143 ended by SIGTERM.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(drill)
app.command()(serve.serve)
app.command()(work.work)
app.command()(transcribe.transcribe)
app.command()(analyze.analyze)
app.command()(doctor.doctor)
app.add_typer(models.app, name="model")
app.add_typer(jobs.app, name="jobs")
app.add_typer(cases.app, name="cases")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(audit.app, name="audit")
app.add_typer(db.app, name="db")
app.add_typer(user.app, name="user")
app.add_typer(voices.app, name="voices")


def run() -> int:
    """Run the command line and return its exit code."""
    given = sys.argv[1:]
    command = partial(app, prog_name="stt-engine", standalone_mode=False)
    return exit_code_of(
        command, as_json="--json" in given, verbose=not {"-v", "--verbose"}.isdisjoint(given)
    )


def _version(value: bool) -> None:
    if value:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _common(
    _version_flag: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
