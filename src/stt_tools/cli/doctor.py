"""``stt-engine doctor``: shows what ``stt_tools.doctor`` found."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.markup import escape

from api_server.settings import examine_settings
from stt_tools.cli.options import Json, log_to_stderr
from stt_tools.cli.output import out, print_json
from stt_tools.doctor import Check, can_transcribe, examine, start_problems
from stt_tools.exits import DEGRADED, DONE, USAGE, refuse_on_error


def doctor(as_json: Json = False) -> None:
    """Show what works on this machine, what does not, and what to do."""
    settings, problems = examine_settings()
    log_to_stderr(verbose=False)
    wrong = [
        Check("setting", "fail", one, "see docs/configuration.md")
        for one in start_problems(settings, problems)
    ]
    checks = []
    with refuse_on_error():
        for check in wrong or examine(settings):
            checks.append(check)
            if not as_json:
                _show(check)
    well = can_transcribe(checks)
    if as_json:
        print_json({"can_transcribe": well, "checks": [asdict(check) for check in checks]})
    else:
        words = "calls can be transcribed here" if well else "calls cannot be transcribed here"
        out.print(f"\n[bold]{words}[/bold]")
    raise typer.Exit(USAGE if wrong else DONE if well else DEGRADED)


def _show(check: Check) -> None:
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.verdict]
    out.print(f"[{colour}]{check.verdict:<5}[/{colour}] {check.name:<24} {escape(check.found)}")
    if check.advice:
        out.print(f"      {'':<24} → {escape(check.advice)}")
