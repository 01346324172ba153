"""Fixtures of the worker tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stt_engine.events import WorkerChanged
from stt_engine.workers.process import WorkerLimits
from stt_engine.workers.worker import Worker
from tests.support import sounds

STALL = WorkerLimits(stall_timeout_sec=3.0)


@pytest.fixture
def events() -> list[WorkerChanged]:
    return []


@pytest.fixture
def worker(events: list[WorkerChanged]) -> Iterator[Worker]:
    found = Worker("audio", STALL, [events.append])
    yield found
    found.close()


@pytest.fixture(scope="package")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sounds.sine(tmp_path_factory.mktemp("short") / "a.wav", 1.0)


@pytest.fixture(scope="package")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half an hour at 8 kHz: a second of decoding, so that a call can be met in its middle."""
    return sounds.white_noise(tmp_path_factory.mktemp("long") / "a.wav", 1800.0, 8_000)
