"""How a command ends: its exit codes, and the exceptions that end it early."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from stt_engine.errors import EngineError

DONE, DEGRADED, USAGE, DEFECT, INTERRUPTED = 0, 1, 2, 70, 130
"""Done; degraded (a dummy, a failed check, nothing fetched); wrong usage, setting or input; a
defect of the program; ended by Ctrl-C. SIGTERM ends it as the system does, which a shell calls 143.
"""


class CommandFailed(Exception):
    """Ends a command: one line on stderr, with ``--json`` an object on stdout, and an exit code."""

    def __init__(self, words: str, code: int, error_type: str) -> None:
        super().__init__(words)
        self.words = words
        self.code = code
        self.error_type = error_type


def refuse(words: str, error_type: str = "InvalidRequest") -> NoReturn:
    """End the command as one that was used wrongly.

    Raises:
        CommandFailed: always.
    """
    raise CommandFailed(words, USAGE, error_type)


def fail(words: str, error_type: str) -> NoReturn:
    """End the command as one that did not get what it was to get.

    Raises:
        CommandFailed: always.
    """
    raise CommandFailed(words, DEGRADED, error_type)


@contextmanager
def refuse_on_error() -> Iterator[None]:
    """Turn a setting that only its use shows to be wrong (a rubric file) into a refusal.

    Raises:
        CommandFailed: it is.
    """
    try:
        yield
    except EngineError as exc:
        refuse(f"{exc.error_type}: {exc}", exc.error_type)
    except ValueError as exc:
        refuse(str(exc), "SettingsInvalid")
