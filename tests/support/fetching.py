"""Assertions on a fetched model folder."""

from __future__ import annotations

from pathlib import Path

from stt_engine.events import Event
from stt_engine.log import LogObserver
from stt_engine.model_store.log_lines import FETCH_LINES
from stt_engine.model_store.store import ensure_model_exists, verify_model
from stt_engine.outcome import AttemptFailed
from tests.support.small_model import CATALOGUE, FILES, NAME


def fetch(folder: Path, events: list[Event], **options: object) -> Path:
    observers = (events.append, LogObserver(FETCH_LINES))
    settings = {"catalogue": CATALOGUE, "observers": observers, "patience": 5.0, **options}
    return ensure_model_exists(NAME, folder, **settings)  # type: ignore[arg-type]


def assert_whole(folder: Path) -> None:
    assert {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name in FILES
    } == FILES
    assert {one.status for one in verify_model(folder, catalogue=CATALOGUE)} == {"ok"}
    assert not (folder.parent / ".partial" / folder.name).exists()


def sources_that_failed(events: list[Event]) -> list[str]:
    return [one.failure.source for one in events if isinstance(one, AttemptFailed)]
