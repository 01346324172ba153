"""A real PostgreSQL server of the tests' own: on a free port of this machine, by another user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from tests.support.server import awaited

USER = "nobody"
"""Who runs the server where the tests are root's: PostgreSQL refuses root."""

QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""Settings for tests in which no machine ever loses its power."""


def why_absent() -> str | None:
    """Return why there is no server to be had here."""
    missing = [one for one in ("postgres", "initdb") if shutil.which(one) is None]
    return f"no {' and no '.join(missing)} on the PATH (Debian: postgresql)" if missing else None


class Postgres:
    """One server; ``settings`` are lines of its configuration."""

    def __init__(self, *settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stt-postgres-"))
        self._options: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            self._options = {"user": USER, "group": owner.pw_gid, "extra_groups": []}
        self._options["cwd"] = self.folder
        self.data = self.folder / "data"
        subprocess.run(
            ["initdb", "-D", self.data, "-U", "stt", "-A", "trust", "-E", "UTF8", "--no-sync", "-k",
             "--locale", "C.UTF-8"],
            check=True, capture_output=True, **self._options,
        )  # fmt: skip
        self._settings = settings
        self.template: str | None = None
        """A database that others are copied from."""
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        given = [f"--{one}" for one in self._settings]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
                 *given],
                stdout=log, stderr=log, start_new_session=True, **self._options,
            )  # fmt: skip
        awaited(self._answers, "PostgreSQL answers")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text("utf-8")
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://stt:a-secret@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str, name: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement by itself, and return its rows."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def make(self, name: str, template: str = "template0") -> str:
        """Make a database, and return its URL."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever uses it."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def end(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """End it: by default at once, as a machine that is gone."""
        if self.process is not None:
            os.killpg(self.process.pid, number)
            self.process.wait(60)
            self.process = None

    def close(self) -> None:
        """End it, and remove its files."""
        self.end()
        shutil.rmtree(self.folder)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
