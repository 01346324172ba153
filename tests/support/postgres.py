"""A real PostgreSQL server of the tests' own: the drill's, with databases that come and go.

It ends with the process that started it, however that ends; what it leaves on the disk goes with
the next one that is started.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import psutil

from stt_tools.drill.postgres import PREFIX, why_absent
from stt_tools.drill.postgres import Postgres as Server

__all__ = ["QUICK", "Postgres", "why_absent"]

QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""Settings for tests in which no machine ever loses its power."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """Have the kernel end the server at once when the thread that starts it ends (Linux)."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)


def _remove_left() -> None:
    """Remove what processes that were killed have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = re.match(rf"{PREFIX}(\d+)-", folder.name)
        if owner and not psutil.pid_exists(int(owner[1])):
            shutil.rmtree(folder, ignore_errors=True)


class Postgres(Server):
    """One server; ``settings`` are lines of its configuration."""

    template: str | None = None
    """A database that others are copied from."""

    started_with = {"preexec_fn": _end_with_parent}  # noqa: RUF012 - never changed

    def __init__(self, *settings: str) -> None:
        _remove_left()
        super().__init__(*settings)

    def make(self, name: str, template: str = "template0", options: str = "") -> str:
        """Make a database, and return its URL."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} {options}")
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever uses it."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")
