"""Fixtures: a model hub and a package index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stt_engine.events import Event
from stt_engine.outcome import AttemptFailed
from tests.support.fake_hub import (
    Hub,
    Index,
    serving_hub,
    serving_index,
)
from tests.support.small_model import FILES, WHEELS


@pytest.fixture
def hub() -> Hub:
    return Hub(dict(FILES))


@pytest.fixture
def index() -> Index:
    return Index(dict(WHEELS))


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """Collect the events; none of them may be a defect of ours."""
    seen: list[Event] = []
    yield seen
    failed = [one.failure for one in seen if isinstance(one, AttemptFailed)]
    assert [failure for failure in failed if failure.unexpected] == []


@pytest.fixture(autouse=True)
def servers(
    hub: Hub, index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    """Point the hub client and pip at the local servers, and at nothing of this machine."""
    for name in [*os.environ]:
        if name.startswith(("PIP_", "HF_", "TRANSFORMERS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with serving_hub(hub) as hub_url, serving_index(index) as index_url:
        monkeypatch.setenv("HF_ENDPOINT", hub_url)
        monkeypatch.setenv("PIP_INDEX_URL", index_url)
        yield
