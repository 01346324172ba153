"""``stt-engine drill``: the options of the command.

Its implementation is imported on use: ``stt-engine serve`` should not wait for those imports.
"""

from __future__ import annotations

from typing import Annotated

import typer

AUDIO = "/app/audio/sample_call.wav"
"""Path of the sample recording in the containers."""


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
    ] = AUDIO,
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
    from stt_tools.drill import containers, program  # noqa: PLC0415 - see above

    program.drill(
        url=url,
        api_key=api_key,
        stack=containers.Options(audio, language, timeout) if docker else None,
        only=only or [],
        listed=listed,
        as_json=as_json,
    )
