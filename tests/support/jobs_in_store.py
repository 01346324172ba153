"""Jobs put into a store by hand."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from api_server.jobs.endings import RepairTerms
from api_server.store.recordings import RecordingFolder
from api_server.store.records import NewCase, NewJob
from api_server.store.store import Store
from tests.support.clock import Clock

PLENTY = 10**9


def folder_at(path: Path, max_bytes: int = PLENTY) -> RecordingFolder:
    return RecordingFolder(path / "recordings", max_bytes, 0)


def store_at(path: Path, clock: Clock, max_bytes: int = PLENTY) -> Store:
    return Store(path / "cases.db", folder_at(path, max_bytes), clock)


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
    }
    return RepairTerms(**given | changed)
