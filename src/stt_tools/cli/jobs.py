"""``stt-engine jobs``: send recordings to be worked on by the server, and ask after them.

Works on the store itself: a job is taken although no server runs, and one that runs finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import anyio
import typer
from rich.markup import escape

from api_server.jobs.options import JobOptions
from api_server.jobs.request import digest, read_metadata
from api_server.models import JobResponse
from api_server.pipeline.analysis import AgentConfig
from api_server.pipeline.model_names import ModelNames
from api_server.pipeline.records import recordings_of
from api_server.pipeline.render import cases as render
from api_server.settings import Settings
from api_server.store.errors import NoSuchJob
from api_server.store.recordings import Received
from api_server.store.records import JobRecord, NewCase, NewJob
from stt_engine.errors import EngineError, InvalidRequest
from stt_tools.cli.given import given_recordings
from stt_tools.cli.keeping import (
    Cursor,
    Limit,
    made_store_of,
    print_page,
    store_of,
)
from stt_tools.cli.options import (
    Json,
    Keywords,
    Prompt,
    Temperature,
    hints_of,
    load_settings,
    understood_language,
)
from stt_tools.cli.output import err, out, print_json
from stt_tools.exits import refuse

if TYPE_CHECKING:
    from api_server.store.store import Store

app = typer.Typer(
    help="Send recordings to be worked on by the server, and ask after them.", no_args_is_help=True
)

T = TypeVar("T")

Identity = Annotated[str, typer.Argument(help="A job's id.")]


@app.command()
def submit(
    files: Annotated[list[Path], typer.Argument(help="Recordings, and folders of them.")],
    language: Annotated[
        str, typer.Option("--language", "-l", help="Code or name (ko, English), or 'auto'.")
    ] = "ko",
    pattern: Annotated[
        str, typer.Option(help="Which files of a folder; **/*.wav: of folders in it, too.")
    ] = "*",
    words: Annotated[bool, typer.Option(help="Give times of words.")] = False,
    translate: Annotated[bool, typer.Option(help="Give the text in English too.")] = False,
    prompt: Prompt = None,
    keyword: Keywords = None,
    temperature: Temperature = 0.0,
    model: Annotated[
        str | None, typer.Option(help="Another model than the server's, by its name.")
    ] = None,
    check: Annotated[bool, typer.Option(help="Check for elements of an incomplete sale.")] = False,
    priority: Annotated[int, typer.Option(help="Smaller ones come first.", min=0, max=9)] = 5,
    metadata: Annotated[str, typer.Option(help="A JSON object, returned as it is.")] = "{}",
    key: Annotated[
        str | None, typer.Option("--idempotency-key", help="The same key is the same job.")
    ] = None,
    webhook_url: Annotated[
        str | None, typer.Option(help="Told of the ends of its cases, and of its own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take recordings: copies are kept until each has ended."""
    settings = load_settings()
    agent = AgentConfig(settings.agent_url, timeout_sec=settings.agent_timeout_sec)
    options = JobOptions(
        understood_language(language),
        words,
        agent if check else None,
        translate,
        hints_of(prompt, keyword),
        temperature,
        _named(settings, model),
    )
    described = _metadata(metadata)
    if webhook_url and not settings.allows_webhook(webhook_url):
        refuse("--webhook-url: no address of WEBHOOK_ALLOWED_URLS")
    paths = _files(files, pattern, settings.jobs_max_cases)
    folder, received = recordings_of(settings), list[Received]()
    try:
        for path in paths:
            with path.open("rb") as content:
                received.append(folder.receive(content, path.stat().st_size))
        cases = tuple(NewCase(str(path), one) for path, one in zip(paths, received, strict=True))
        asked = digest(options, described, priority, cases, webhook_url)
        new = NewJob("", options.to_json(), described, priority, cases, asked, key, webhook_url)
        job = _submitted(settings, new)
    finally:
        for one in received:
            one.drop()
    _tell(job, as_json=as_json)


def _named(settings: Settings, model: str | None) -> str | None:
    """Return another model's whole name; one that is not installed is refused."""
    try:
        return anyio.run(ModelNames.of(settings).find, model).other
    except EngineError as exc:
        refuse(f"--model: {exc}")


def _submitted(settings: Settings, new: NewJob) -> JobRecord:
    with made_store_of(settings) as store:
        identity, _ = store.submit(new)
        return store.get_job(identity, None)


@app.command("list")
def list_(limit: Limit = 20, cursor: Cursor = None, as_json: Json = False) -> None:
    """List jobs, the newest first."""
    with store_of(load_settings()) as store:
        found = store.list_jobs(None, limit + 1, cursor) if store else []
    page = render.job_list(found, limit)
    print_page(page, map(_line, page.jobs), as_json=as_json)


@app.command()
def show(job: Identity, as_json: Json = False) -> None:
    """Show a job: how many of its cases are in which state, and why some were not done."""
    found = _of_job(job, lambda store: store.get_job(job, None))
    _tell(found, as_json=as_json)
    if as_json or not found.failures:
        return
    for one in found.failures:
        why = f"{one.error_type}: {one.error}"
        out.print(escape(f"  {one.cases} {one.state}, first {one.case}  {why}"))
    if any(one.cases > 1 for one in found.failures):
        err.print(f"each of them: stt-engine cases list --job {job} --state failed (or refused)")


@app.command()
def cancel(job: Identity, as_json: Json = False) -> None:
    """End every case that has not ended."""
    _tell(_of_job(job, lambda store: store.cancel_job(job, None)), as_json=as_json)


@app.command()
def retry(job: Identity, as_json: Json = False) -> None:
    """Queue the cases again that failed or were cancelled."""
    _tell(_of_job(job, lambda store: store.retry_job(job, None)), as_json=as_json)


def _of_job(job: str, work: Callable[[Store], T]) -> T:
    with store_of(load_settings()) as store:
        if store is None:
            raise NoSuchJob(f"there is no job {job}")
        return work(store)


def _files(given: list[Path], pattern: str, most: int) -> list[Path]:
    """Return every recording that was meant."""
    found = [path for path, _ in given_recordings(given, pattern)]
    if len(found) > most:
        refuse(f"these are {len(found)} recordings; a job has at most {most} (JOBS_MAX_CASES)")
    return found


def _metadata(given: str) -> str:
    try:
        return read_metadata(given)
    except InvalidRequest as exc:
        refuse(f"--{exc}")


def _tell(found: JobRecord, *, as_json: bool) -> None:
    job = render.job_response(found)
    if as_json:
        print_json(job.model_dump(mode="json"))
    else:
        out.print(_line(job))


def _line(job: JobResponse) -> str:
    counts = ", ".join(f"{number} {state}" for state, number in job.counts.items() if number)
    made = job.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    line = f"{job.id}  {made}  {job.state}  {job.share_done:.0%}  {counts or 'no cases'}"
    return escape(line if job.remaining_sec is None else f"{line}  {_left(job.remaining_sec)}")


def _left(seconds: float) -> str:
    for unit, name, digits in ((3600.0, "h", 1), (60.0, "min", 0)):
        if seconds > 1.5 * unit:
            return f"about {seconds / unit:.{digits}f} {name} left"
    return f"about {seconds:.0f} s left"
