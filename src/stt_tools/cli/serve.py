"""``stt-engine serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from api_server.app import create_app, create_stt_app
from api_server.http import server
from api_server.http.listening import listen
from api_server.settings import examine_settings
from stt_engine import log
from stt_tools.cli.options import Json, load_settings
from stt_tools.cli.output import err, out, print_json
from stt_tools.doctor import start_problems
from stt_tools.exits import DONE, USAGE, refuse, refuse_on_error


def serve(
    host: Annotated[str | None, typer.Option(help="Address (API_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port (API_PORT).", min=0, max=65535)] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM certificate: serve HTTPS (API_TLS_CERT_FILE).")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM key of the certificate (API_TLS_KEY_FILE).")
    ] = None,
    root_path: Annotated[
        str | None, typer.Option(help="Path under which a proxy shows it (API_ROOT_PATH).")
    ] = None,
    stt_only: Annotated[
        bool, typer.Option("--stt-only", help="Recognition alone: no LLM is ever asked.")
    ] = False,
    no_work: Annotated[
        bool, typer.Option("--no-work", help="Take jobs, and leave them to `stt-engine work`.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Tell all that is wrong with the settings, and end.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start the HTTP server (settings: docs/configuration.md)."""
    given = {
        "api_host": host,
        "api_port": port,
        "api_tls_cert_file": tls_cert,
        "api_tls_key_file": tls_key,
        "api_root_path": root_path,
        **({"jobs_at_once": 0, "repair_at_once": 0} if no_work else {}),
    }
    if check:
        _check({key: value for key, value in given.items() if value is not None}, as_json=as_json)
    if as_json:
        refuse("--json belongs to --check; the log is JSON with LOG_FORMAT=json")
    settings = load_settings(**given)
    log.configure(settings.log_level, settings.log_format, settings.log_file)
    with refuse_on_error():
        server.check_tls(settings)
        sockets = listen(settings.api_host, settings.api_port)
        application = (create_stt_app if stt_only else create_app)(settings, begin=True)
    server.serve(application, settings, sockets)


def _check(given: dict[str, object], *, as_json: bool) -> NoReturn:
    """Print everything that would end the start."""
    problems = start_problems(*examine_settings(**given))
    if as_json:
        print_json({"success": not problems, "problems": problems})
    elif problems:
        err.print("\n".join(problems), style="red", markup=False)
    else:
        out.print("the settings can be used")
    raise typer.Exit(USAGE if problems else DONE)
