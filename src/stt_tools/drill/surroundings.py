"""What a server under test depends on, and the drill takes away: other servers, and its clock."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stt_tools.drill import moved_clock, object_store, postgres
from stt_tools.drill.fault_server import FaultServer, answer, refused_port, serve_in_thread
from stt_tools.drill.object_store import ObjectServer
from stt_tools.drill.postgres import Postgres

PROGRAM = (sys.executable, "-m", "stt_tools")
READY = answer(200, {"ready": True})


@dataclass(frozen=True)
class Surroundings:
    """What is there beside a server: ``settings`` tell it of them."""

    settings: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = PROGRAM
    """What its commands begin with."""
    recogniser: FaultServer | None = None
    database: Postgres | None = None
    objects: ObjectServer | None = None
    clock: Path | None = None
    receiver_port: int = 0
    """Where it may send webhooks."""


Around = Callable[[Path], AbstractContextManager[Surroundings]]
"""Starts them, with a folder for their files."""


@contextmanager
def alone(_folder: Path) -> Iterator[Surroundings]:
    """Start nothing."""
    yield Surroundings()


@contextmanager
def remote_recogniser(_folder: Path) -> Iterator[Surroundings]:
    """Start a recogniser on another machine, by the drill's scripts."""
    with serve_in_thread(FaultServer(READY, models=READY)) as server:
        yield Surroundings({"STT_REMOTE_URL": server.base}, recogniser=server)


@contextmanager
def one_machine(folder: Path) -> Iterator[Surroundings]:
    """Have a database in a file, an address for webhooks, and a clock that can be moved."""
    clock, port = moved_clock.make_clock(folder / "clock"), refused_port()
    settings = {
        "DATABASE_URL": f"sqlite:///{folder / 'jobs.db'}",
        "WEBHOOK_ALLOWED_URLS": f"http://127.0.0.1:{port}",
        "WEBHOOK_SECRETS": f"whsec_{base64.b64encode(os.urandom(32)).decode()}",
    }
    program = (sys.executable, "-m", moved_clock.__name__, str(clock))
    yield Surroundings(settings, program, clock=clock, receiver_port=port)


@contextmanager
def many_machines(folder: Path) -> Iterator[Surroundings]:
    """Start PostgreSQL and an object store, as far as they are to be had here."""
    with ExitStack() as stack:
        settings = {
            "DATABASE_URL": f"sqlite:///{folder / 'many.db'}",
            "RECORDINGS_DIR": str(folder / "many-recordings"),
            "AUDIT_KEY_FILE": str(folder / "many.key"),
            "AUDIT_CHECKPOINTS_FILE": str(folder / "many.checkpoints"),
        }
        database = objects = None
        if postgres.why_absent() is None:
            database = Postgres("fsync=off")
            stack.callback(database.close)
            settings["DATABASE_URL"] = database.url("postgres")
        if object_store.why_absent() is None:
            objects = ObjectServer()
            stack.callback(objects.stop)
            settings |= {"RECORDINGS_URL": object_store.URL, **objects.environment}
        yield Surroundings(settings, database=database, objects=objects)
