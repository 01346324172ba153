"""Jobs put into a store by hand."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from api_server.jobs.endings import RepairTerms
from api_server.store.database import Database, Where
from api_server.store.recordings import RecordingFolder
from api_server.store.records import NewCase, NewJob, ProofFiles, Retention
from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.postgres import Postgres

PLENTY = 10**9


@dataclass
class Places:
    """Where tests keep their databases; whoever runs them on a server sets it."""

    server: Postgres | None = None
    names: dict[Path, str] = field(default_factory=dict)
    opened: list[Store | Database] = field(default_factory=list)

    def where(self, path: Path, *, tables: bool = True) -> Where:
        """Return where the database of a test's folder is; on a server, with its tables or none."""
        if self.server is None:
            return path / "cases.db"
        if path not in self.names:
            name = f"t{uuid4().hex}"
            self.server.make(name, self._template() if tables else "template0")
            self.names[path] = name
        return self.server.url(self.names[path])

    def _template(self) -> str:
        """Return an empty database with the tables, which is copied faster than they are made."""
        assert self.server is not None
        if self.server.template is None:
            Database(self.server.make("empty")).close()
            self.server.template = "empty"
        return self.server.template

    def clear(self) -> None:
        """Close what was opened, and remove the databases."""
        self.close_stores()
        for name in self.names.values():
            assert self.server is not None
            self.server.drop(name)
        self.names.clear()
        self.server = None

    def close_stores(self) -> None:
        """Close what was opened."""
        for one in self.opened:
            one.close()
        self.opened.clear()


PLACES = Places()


def folder_at(path: Path, max_bytes: int = PLENTY) -> RecordingFolder:
    return RecordingFolder(path / "recordings", max_bytes, 0)


def store_at(
    path: Path,
    clock: Clock | None,
    max_bytes: int = PLENTY,
    folder: RecordingFolder | None = None,
    retention: Retention | None = None,
) -> Store:
    """Open the store at ``path``, in a file there or in the database of that name."""
    store = Store(
        PLACES.where(path),
        folder or folder_at(path, max_bytes),
        clock,
        retention,
        ProofFiles.beside(path / "cases.db"),
    )
    PLACES.opened.append(store)
    return store


def new_job(
    path: Path,
    *contents: bytes,
    owner: str = "",
    priority: int = 5,
    key: str | None = None,
    asked: str = "a",
) -> NewJob:
    """A job of recordings that have arrived below ``path``."""
    folder = folder_at(path)
    cases = tuple(
        NewCase(f"{n}.wav", folder.receive(io.BytesIO(one))) for n, one in enumerate(contents)
    )
    return NewJob(owner, "{}", "{}", priority, cases, asked, key)


async def folder_of(name: str | None) -> Path | None:
    """Return where another model is."""
    return Path("models", name) if name else None


def repair_terms(**changed: Any) -> RepairTerms:
    given: dict[str, Any] = {
        "keep_sec": 3600.0,
        "max_bytes": PLENTY,
        "at_once": 2,
        "lease_sec": 30.0,
        "calls": True,
        "agent_channel": 0,
        "agent_timeout_sec": 30.0,
        "allows_agent": lambda url: "allowed" in url,
        "folder_of": folder_of,
    }
    return RepairTerms(**given | changed)
