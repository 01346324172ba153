"""``stt-engine drill``: the command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from api_server.drill import containers, run, scorecard
from api_server.drill.asking import DrillError, Target
from api_server.drill.bench import Drill
from api_server.drill.registry import drills
from api_server.drill.scorecard import Result
from api_server.settings import Settings

USAGE = 2


def drill(
    url: Annotated[
        str | None, typer.Option(help="A running server; drills what can be done from outside.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(help="Its API key.", envvar="DRILL_API_KEY")
    ] = None,
    docker: Annotated[bool, typer.Option("--docker", help="The local containers.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="This fault alone (repeatable); see --list.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the faults and do nothing.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")
    ] = False,
    audio: Annotated[
        str, typer.Option(help="With --docker: the recording's path in the containers.")
    ] = containers.AUDIO,
    language: Annotated[str, typer.Option(help="With --docker: its language.")] = "en",
    timeout: Annotated[float, typer.Option(help="With --docker: seconds for the LLM.")] = 120.0,
) -> None:
    """Break every fallback of this deployment; hold each answer to its promise.

    Without options the real server is started in a folder of its own, with a
    copy of the configured model and with this deployment's settings, and
    broken there: files, processes, limits, sockets. Nothing of the deployment
    is touched. --url breaks from outside what can be broken so; --docker
    breaks the running local containers one by one, and puts them right again.

    Verdicts: pass, as promised and in time; partial, honest with less than
    promised; safe, honest and nothing usable; fail, late, without an answer,
    or untrue; skipped, cannot be done here (counts as nothing).

    Exit code 0 where all that ran passed, 1 where not, 2 for wrong usage.
    """
    if url and docker:
        _refuse("give one of --url and --docker")
    chosen = _chosen(only or [])
    if listed:
        _list(chosen)
        return
    options = containers.Options(audio, language, timeout)
    out = sys.stderr if as_json else sys.stdout

    def show(one: Result) -> None:
        typer.echo(scorecard.line(one), file=out)

    with _ending_in_order():
        results = _run(chosen, url, api_key, options if docker else None, show)
    if as_json:
        typer.echo(scorecard.as_json(results))
    typer.echo(f"\n{scorecard.summary(results)}", file=out)
    raise typer.Exit(scorecard.exit_code(results))


def _run(
    chosen: Sequence[Drill],
    url: str | None,
    api_key: str | None,
    stack: containers.Options | None,
    show: Callable[[Result], None],
) -> list[Result]:
    try:
        if stack is not None:
            return containers.run(stack, show)
        settings = Settings()
        if url is not None:
            return run.run_there(chosen, Target(url.rstrip("/"), api_key), settings, show)
        return run.run_here(chosen, settings, show)
    except (DrillError, ValidationError) as exc:
        _refuse(str(exc))


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Have SIGTERM end the drill as Ctrl-C does: with all that it started."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _chosen(names: Sequence[str]) -> list[Drill]:
    known = {one.name: one for one in drills()}
    unknown = [name for name in names if name not in known]
    if unknown:
        _refuse(f"no such fault: {', '.join(unknown)}; see stt-engine drill --list")
    return [one for name, one in known.items() if not names or name in names]


def _list(chosen: Sequence[Drill]) -> None:
    for one in chosen:
        where = "here, --url" if one.outside else "here"
        typer.echo(f"{one.name:36} {where:12} {one.promised}")


def _refuse(words: str) -> NoReturn:
    typer.echo(words, err=True)
    raise typer.Exit(USAGE)
