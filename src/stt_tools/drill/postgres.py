"""A real PostgreSQL server on a free port of this machine, to be taken away and brought back."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg

from stt_tools.drill.client import DrillError
from stt_tools.drill.fault_server import refused_port
from stt_tools.drill.processes import wait_until

USER = "nobody"
"""Who runs the server where this is root: PostgreSQL refuses root."""

START_SEC = 60.0
PREFIX = "stt-postgres-"


def why_absent() -> str | None:
    """Return why there is no server to be had here."""
    missing = [one for one in ("postgres", "initdb") if shutil.which(one) is None]
    return f"no {' and no '.join(missing)} on the PATH (Debian: postgresql)" if missing else None


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise DrillError(f"there is no {name} on the PATH")
    return found


def _open_to_all() -> Path:
    """Return a folder for temporary files that another user can come to.

    Raises:
        DrillError: each is within one that is root's alone.
    """
    for folder in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        above = (folder, *folder.resolve().parents)
        if all(one.is_dir() and one.stat().st_mode & stat.S_IXOTH for one in above):
            return folder
    raise DrillError(f"{USER}, who has to run PostgreSQL here, can come to no temporary folder")


class Postgres:
    """One server with a database of its own; ``settings`` are lines of its configuration."""

    started_with: Mapping[str, Any] = MappingProxyType({})
    """More options for the processes that are started."""

    def __init__(self, *settings: str) -> None:
        where = tempfile.gettempdir() if os.geteuid() else _open_to_all()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where))
        self._options: dict[str, Any] = dict(self.started_with)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            self._options |= {"user": USER, "group": owner.pw_gid, "extra_groups": []}
        self._options["cwd"] = self.folder
        self.data = self.folder / "data"
        initdb = _program("initdb")
        subprocess.run(  # noqa: S603 - of the system
            [initdb, "-D", self.data, "-U", "stt", "-A", "trust", "-E", "UTF8", "--no-sync", "-k",
             "--locale", "C.UTF-8"],
            check=True, capture_output=True, **self._options,
        )  # fmt: skip
        self._settings = settings
        self.port = refused_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        given, program = [f"--{one}" for one in self._settings], _program("postgres")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - of the system
                [program, "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
                 *given],
                stdout=log, stderr=log, start_new_session=True, **self._options,
            )  # fmt: skip
        wait_until("PostgreSQL answers", self._answers, START_SEC)

    def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise DrillError((self.folder / "log").read_text("utf-8"))
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

    def end(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """End it: by default at once, as a machine that is gone."""
        if self.process is not None:
            os.killpg(self.process.pid, number)
            self.process.wait(START_SEC)
            self.process = None

    def close(self) -> None:
        """End it, and remove its files."""
        self.end()
        shutil.rmtree(self.folder)
