"""Fixtures of the tests of recognition failures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stt_engine import WhisperSTT
from stt_engine.outcome import AttemptFailed
from tests.support.stt_failures import ONLY, Make, Watch


@pytest.fixture
def watch() -> Iterator[Watch]:
    found = Watch()
    yield found
    assert not [
        one for one in found.events if isinstance(one, AttemptFailed) and one.failure.unexpected
    ]


@pytest.fixture
def make(watch: Watch) -> Iterator[Make]:
    made: list[WhisperSTT] = []

    def engine(folder: Path, **settings: object) -> WhisperSTT:
        chosen = {"backends": ONLY, **settings}
        made.append(WhisperSTT(folder, observers=watch.observers, **chosen))  # type: ignore[arg-type]
        return made[-1]

    yield engine
    for one in made:
        one.close()


@pytest.fixture
def model(whisper_base: Path, tmp_path: Path) -> Path:
    """A folder of links to the real weights, for a test to damage."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in whisper_base.iterdir():
        if file.is_file():
            (folder / file.name).symlink_to(file.resolve())
    return folder
