"""``stt-engine work``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api_server import worker
from api_server.container import Service
from stt_engine import log
from stt_tools.cli.options import load_settings
from stt_tools.exits import refuse_on_error


def work(
    at_once: Annotated[
        int | None, typer.Option(help="Cases at once (JOBS_AT_ONCE).", min=1, max=64)
    ] = None,
    alive: Annotated[
        Path | None,
        typer.Option(help="A file that is written anew every 5 s; a probe looks at its age."),
    ] = None,
) -> None:
    """Work on jobs without HTTP, beside any number of servers and workers of one store.

    The settings are those of the servers: DATABASE_URL, RECORDINGS_DIR, AUDIO_ROOTS, the model.
    """
    settings = load_settings(jobs_at_once=at_once, api_host="127.0.0.1")
    log.configure(settings.log_level, settings.log_format, settings.log_file)
    with refuse_on_error():
        service = Service.of(settings, begin=True)
    worker.work(service, alive)
