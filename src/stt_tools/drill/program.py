"""The implementation of ``stt-engine drill``."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import typer

from api_server.settings import read_settings
from stt_tools.drill import containers, runner, scorecard
from stt_tools.drill.client import DrillError, Target
from stt_tools.drill.registry import scenarios
from stt_tools.drill.scenario import Scenario
from stt_tools.drill.scorecard import Result
from stt_tools.exits import refuse


def drill(
    *,
    url: str | None,
    api_key: str | None,
    stack: containers.Options | None,
    only: Sequence[str],
    listed: bool,
    as_json: bool,
) -> NoReturn:
    """Run the command with the options of :func:`stt_tools.drill.command.drill`.

    Raises:
        typer.Exit: with the exit code.
        CommandFailed: it cannot be run as asked.
        SettingsInvalid: a setting is wrong.
    """
    if url and stack:
        refuse("give one of --url and --docker")
    chosen = _selected(only)
    if listed:
        _list(chosen, as_json=as_json)
        raise typer.Exit
    out = sys.stderr if as_json else sys.stdout

    def show(one: Result) -> None:
        typer.echo(scorecard.line(one), file=out)

    with _sigterm_as_interrupt():
        results = _run(chosen, url, api_key, stack, show)
    if as_json:
        typer.echo(scorecard.as_json(results))
    typer.echo(f"\n{scorecard.summary(results)}", file=out)
    raise typer.Exit(scorecard.exit_code(results))


def _run(
    chosen: Sequence[Scenario],
    url: str | None,
    api_key: str | None,
    stack: containers.Options | None,
    show: Callable[[Result], None],
) -> list[Result]:
    try:
        if stack is not None:
            return containers.run(stack, show)
        settings = read_settings()
        if url is not None:
            return runner.run_external(chosen, Target(url.rstrip("/"), api_key), settings, show)
        return runner.run_local(chosen, settings, show)
    except DrillError as exc:
        refuse(str(exc), "DrillError")


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Make SIGTERM end the drill as Ctrl-C does, with every process that it started."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _selected(names: Sequence[str]) -> list[Scenario]:
    known = {one.name: one for one in scenarios()}
    strange = [name for name in names if name not in known]
    if strange:
        refuse(f"no such fault: {', '.join(strange)}; see stt-engine drill --list")
    return [one for name, one in known.items() if not names or name in names]


def _list(chosen: Sequence[Scenario], *, as_json: bool) -> None:
    if as_json:
        told = [
            {"fault": one.name, "from_outside": one.external, "promised": one.expected}
            for one in chosen
        ]
        typer.echo(json.dumps(told, ensure_ascii=False, indent=1))
        return
    for one in chosen:
        where = "here, --url" if one.external else "here"
        typer.echo(f"{one.name:36} {where:12} {one.expected}")
