"""Options that several commands have, and the settings beneath them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api_server.settings import Settings, examine_settings, read_settings
from stt_engine import log
from stt_engine.errors import InvalidRequest
from stt_engine.hints import Hints
from stt_engine.languages import language_code, unknown_language
from stt_engine.model_store.places import models_folder
from stt_tools.cli.output import err
from stt_tools.exits import refuse

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--models-dir",
        help="Folder that holds the models.",
        show_default="./models where it exists, else that of STT_HOME",
    ),
]
Prompt = Annotated[
    str | None, typer.Option(help="Text in the style that the transcript should have.")
]
Keywords = Annotated[
    list[str] | None,
    typer.Option("--keyword", help="A name or product to look out for; as often as you like."),
]
Temperature = Annotated[
    float,
    typer.Option(help="Above 0, words are drawn instead of the best ones taken.", min=0, max=1),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log lines on stderr.")]


def load_settings(**given: object) -> Settings:
    """Return the settings, those ``given`` (and not None) before the environment's.

    Raises:
        SettingsInvalid: a setting is wrong.
    """
    return read_settings(**{key: value for key, value in given.items() if value is not None})


def models_dir(given: Path | None) -> Path:
    """Return the models folder; a setting that is wrong has no part in it."""
    return given or models_folder(examine_settings()[0].stt_home)


def understood_language(name: str) -> str:
    """Return the code of a language.

    Raises:
        CommandFailed: it is none.
    """
    return language_code(name) or refuse(unknown_language(name))


def hints_of(prompt: str | None, keywords: list[str] | None) -> Hints:
    """Return what is to be looked out for.

    Raises:
        CommandFailed: that cannot be.
    """
    hints = Hints.of(prompt, keywords)
    try:
        hints.check()
    except InvalidRequest as exc:
        refuse(str(exc))
    return hints


def log_to_stderr(verbose: bool) -> None:
    """Write log lines to stderr where ``verbose``, else only what is critical."""
    log.configure("INFO" if verbose else "CRITICAL", stream=err.file)
