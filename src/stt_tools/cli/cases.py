"""``stt-engine cases``: what became of each recording of a job."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from api_server.models import CaseResponse, CaseSummary
from api_server.pipeline.render import cases as render
from api_server.store.errors import NoSuchCase
from api_server.store.records import CaseState
from stt_tools.cli.keeping import Cursor, Limit, print_page, store_of
from stt_tools.cli.options import Json, load_settings
from stt_tools.cli.output import err, out, print_json
from stt_tools.exits import DEGRADED, DONE

app = typer.Typer(help="Show what became of each recording of a job.", no_args_is_help=True)


@app.command("list")
def list_(
    job: Annotated[str | None, typer.Option(help="Of this job alone.")] = None,
    state: Annotated[CaseState | None, typer.Option(help="In this state alone.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """List cases, the newest first."""
    with store_of(load_settings()) as store:
        found = store.list_cases(None, limit + 1, cursor, job, state) if store else []
    page = render.case_list(found, limit)
    print_page(page, map(_line, page.cases), as_json=as_json)


@app.command()
def show(
    case: Annotated[str, typer.Argument(help="A case's id.")],
    revision: Annotated[
        int | None, typer.Option(help="Which answer; by default the latest.", min=1)
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a case and its transcript; exit code 1 where it has none."""
    with store_of(load_settings()) as store:
        if store is None:
            raise NoSuchCase(f"there is no case {case}")
        found = render.case_response(*store.get_case(case, None, revision))
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _show(found)
    raise typer.Exit(DEGRADED if found.answer is None else DONE)


def _show(case: CaseResponse) -> None:
    err.print(_line(case))
    if case.answer is None:
        return
    for one in case.answer.warnings:
        err.print(f"[yellow]{escape(one.message)}[/yellow] ({one.code}: {escape(one.detail)})")
    for segment in case.answer.segments:
        who = f" {segment['speaker']}:" if segment["speaker"] else ""
        times = f"{segment['start']:7.1f}–{segment['end']:.1f}{who}"
        out.print(f"[dim]{times}[/dim] {escape(segment['text'])}")


def _line(case: CaseSummary) -> str:
    cause = f"  {case.error_type}: {case.error}" if case.error_type else ""
    return escape(f"{case.id}  {case.state}  {case.name}{cause}")
