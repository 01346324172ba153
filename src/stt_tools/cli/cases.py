"""``stt-engine cases``: what became of each recording, and what is done with the record of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.markup import escape

from api_server.models import CaseResponse, CaseSummary
from api_server.pipeline.records import recordings_of
from api_server.pipeline.render import cases as render
from api_server.pipeline.render.formats import TEXT_FORMATS, english_of, transcript_text
from api_server.store.errors import NoSuchCase
from api_server.store.records import CaseState
from stt_engine.recognition.decoder import AudioDecoder
from stt_engine.shown import unknown
from stt_engine.speech import Transcript
from stt_tools.cli.keeping import Cursor, Limit, actor, print_page, store_of
from stt_tools.cli.options import Json, load_settings
from stt_tools.cli.output import err, out, print_json
from stt_tools.exits import DEGRADED, DONE, refuse

if TYPE_CHECKING:
    from api_server.store.store import Store

app = typer.Typer(
    help="Show what became of each recording; export, hold and erase its record.",
    no_args_is_help=True,
)

Case = Annotated[str, typer.Argument(help="A case's id.")]


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
    case: Case,
    form: Annotated[
        str | None,
        typer.Option("--format", help=f"Print {', '.join(TEXT_FORMATS)} instead, for programs."),
    ] = None,
    english: Annotated[bool, typer.Option(help="Print the translation (with --format).")] = False,
    revision: Annotated[
        int | None, typer.Option(help="Which answer; by default the latest.", min=1)
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a case and its transcript; exit code 1 where it has none."""
    if form is not None and form not in TEXT_FORMATS:
        refuse(unknown("format", form, TEXT_FORMATS))
    if as_json and form is not None:
        refuse("give one of --json and --format")
    if english and form is None:
        refuse("--english needs --format")
    with _open_store(case) as store:
        record, found_revision = store.get_case(case, None, revision)
    if form is not None:
        _print_text(render.case_transcript(found_revision), form, english=english)
    found = render.case_response(record, found_revision)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _show(found)
    raise typer.Exit(DEGRADED if found.answer is None else DONE)


def _print_text(transcript: Transcript | None, form: str, *, english: bool) -> NoReturn:
    """Print the text of a case alone; exit code 1 where there is none."""
    if transcript is None or (english and transcript.text and not transcript.text_en):
        err.print(f"no {'translation' if transcript else 'transcript'}")
        raise typer.Exit(DEGRADED)
    shown = english_of(transcript) if english else transcript
    typer.echo(transcript_text(form, shown), nl=False)
    raise typer.Exit(DONE)


@app.command()
def export(
    case: Case,
    target: Annotated[
        Path | None, typer.Option("--output", "-o", help="The archive.", show_default="CASE.zip")
    ] = None,
    masked: Annotated[
        bool, typer.Option("--masked", help="Hide personal data: mask texts, beep the recording.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write everything about a case, and the proof of it, into one archive."""
    # numpy and the database, for which a server would wait at its start
    from api_server.export.case_archive import CaseArchive  # noqa: PLC0415

    settings = load_settings()
    path = target or Path(f"{case}.zip")
    if path.exists():
        refuse(f"{path} is there already")
    decoder = AudioDecoder(settings.limits())
    try:
        with _open_store(case) as store:
            archive = CaseArchive(store, recordings_of(settings), decoder.opened)
            found = archive.write(case, path, actor(), masked=masked)
    finally:
        decoder.worker.close()
    if as_json:
        told = {"archive": str(path), "recording": found.recording, "missing": found.missing}
        print_json(told)
        return
    out.print(escape(str(path)))
    if found.missing:
        err.print(f"without a recording: {escape(found.missing)}")


@app.command()
def erase(
    case: Case,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove what was said, names, metadata and recording; that there was a case stays proved.

    Exit code 1 where the recording cannot be removed yet.
    """
    if not yes:
        typer.confirm(f"Remove the content of {case} for good?", abort=True, err=True)
    with _open_store(case) as store:
        left = store.erase(case, actor())
    if left is not None:
        out.print(escape(f"{case}  erased but for its recording"))
        err.print(escape(f"{left}; it is removed once that can be done (looked at every hour)"))
        raise typer.Exit(DEGRADED)
    out.print(escape(f"{case}  erased"))


@app.command()
def hold(
    case: Case, reason: Annotated[str, typer.Option(help="Why; kept until it is released.")]
) -> None:
    """Keep a case whole, whatever its days are, until it is released."""
    with _open_store(case) as store:
        changed = store.ledger.hold(case, reason, actor())
    out.print(escape(f"{case}  {'held' if changed else 'is held already'}"))


@app.command()
def release(case: Case) -> None:
    """End a hold."""
    with _open_store(case) as store:
        changed = store.ledger.release(case, actor())
    out.print(escape(f"{case}  {'released' if changed else 'was not held'}"))


@contextmanager
def _open_store(case: str) -> Iterator[Store]:
    with store_of(load_settings()) as store:
        if store is None:
            raise NoSuchCase(f"there is no case {case}")
        yield store


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
    erased = f"  erased {case.erased_at:%Y-%m-%d}" if case.erased_at else ""
    return escape(f"{case.id}  {case.state}  {case.name}{cause}{erased}")
