"""The one place where a command's failure becomes its exit code and its words."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import typer
from rich.markup import escape

from api_server.settings import SettingsInvalid
from stt_engine import log
from stt_engine.errors import AudioRejected, EngineError, InvalidRequest
from stt_engine.outcome import error_type_of
from stt_tools.cli.output import err, print_json
from stt_tools.exits import DEFECT, DEGRADED, DONE, INTERRUPTED, USAGE, CommandFailed

_ClickException = typer.BadParameter.__mro__[2]
"""Everything that a command line can be wrong in; Typer gives it no public name."""


def exit_code_of(command: Callable[[], object], *, as_json: bool, verbose: bool = False) -> int:
    """Run a command and return its exit code; what it raises is told in one line, or as JSON."""
    try:
        try:
            code = command() or DONE
        finally:
            log.flush()  # what was logged stands before what is told of the end
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as exc:
        failed = _folded(exc)
        if verbose and failed.code == DEFECT:
            err.print(escape("".join(traceback.format_exception(exc))))
        return _told(failed, as_json=as_json)
    if code == INTERRUPTED and as_json:
        return _told(CommandFailed("ended by Ctrl-C", INTERRUPTED, "Interrupted"), as_json=True)
    return code if isinstance(code, int) else DONE


def _folded(exc: Exception) -> CommandFailed:
    """Return how an exception ends a command."""
    if isinstance(exc, CommandFailed):
        return exc
    if isinstance(exc, _ClickException):
        return CommandFailed(_usage(exc), USAGE, "UsageError")
    name = error_type_of(exc)
    if isinstance(exc, SettingsInvalid):
        return CommandFailed(f"wrong setting: {exc}", USAGE, name)
    if isinstance(exc, AudioRejected | InvalidRequest):
        return CommandFailed(f"{name}: {exc}", USAGE, name)
    if isinstance(exc, EngineError | OSError):
        return CommandFailed(f"{name}: {exc}", DEGRADED, name)
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
    words = f"a defect of stt-engine: {name}: {exc} ({where}; --verbose shows where from)"
    return CommandFailed(words, DEFECT, name)


def _usage(exc: Exception) -> str:
    words = exc.format_message()  # type: ignore[attr-defined]
    context = getattr(exc, "ctx", None)
    return f"{words} See {context.command_path} --help" if words and context else str(words)


def _told(failed: CommandFailed, *, as_json: bool) -> int:
    if as_json:
        told = {"success": False, "error_type": failed.error_type, "error": failed.words}
        print_json({**told, "exit_code": failed.code})
    elif failed.words:  # without words Typer has shown the help already
        err.print(f"[red]{escape(' '.join(failed.words.split()))}[/red]")
    return failed.code
