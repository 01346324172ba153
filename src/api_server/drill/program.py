"""What ``stt-engine drill`` does."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

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
    *,
    url: str | None,
    api_key: str | None,
    stack: containers.Options | None,
    only: Sequence[str],
    listed: bool,
    as_json: bool,
) -> NoReturn:
    """Carry out what :func:`api_server.drill.command.drill` was asked for.

    Raises:
        typer.Exit: always, with the exit code.
    """
    if url and stack:
        _refuse("give one of --url and --docker")
    chosen = _chosen(only)
    if listed:
        _list(chosen)
        raise typer.Exit
    out = sys.stderr if as_json else sys.stdout

    def show(one: Result) -> None:
        typer.echo(scorecard.line(one), file=out)

    with _ending_in_order():
        results = _run(chosen, url, api_key, stack, show)
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
