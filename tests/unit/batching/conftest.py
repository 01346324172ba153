"""Fixtures of the tests of dynamic batching."""

from __future__ import annotations

from pathlib import Path

import pytest

from stt_engine.backends import recognition
from tests.support.batching import Job, loudness
from tests.support.stub_model import channel_at, job_of, loud_spans


@pytest.fixture(autouse=True)
def loud_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "speech_spans", loud_spans)


# Who is heard with whom -------------------------------------------------------------------
@pytest.fixture
def three(tmp_path: Path) -> list[Job]:
    """Three jobs of three stretches: of one, two and three seconds."""
    talks = (1, 2), (3, 5), (6, 9)
    return [
        job_of(channel_at(tmp_path / str(at), *talks, loud=loudness(at)), job=at) for at in range(3)
    ]
