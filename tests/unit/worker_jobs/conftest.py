"""Fixtures of the tests about jobs that share a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stt_engine.events import WorkerChanged
from stt_engine.workers import process
from stt_engine.workers.process import WorkerLimits
from stt_engine.workers.worker import Worker
from tests.conftest import REPOSITORY
from tests.support import sounds
from tests.support.clock import Clock
from tests.support.stub_child import ROLE, command
from tests.support.worker_jobs import QUIET, Shared


@pytest.fixture
def events() -> list[WorkerChanged]:
    return []


@pytest.fixture
def worker(clock: Clock, events: list[WorkerChanged]) -> Iterator[Worker]:
    found = Worker("audio", WorkerLimits(stall_timeout_sec=3.0), [events.append], clock)
    yield found
    found.close()


@pytest.fixture(scope="package")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sounds.sine(tmp_path_factory.mktemp("short") / "a.wav", 1.0)


@pytest.fixture(scope="package")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour at 8 kHz: many steps of decoding."""
    return sounds.white_noise(tmp_path_factory.mktemp("long") / "a.wav", 3600.0, 8_000)


@pytest.fixture
def shared(
    tmp_path: Path, clock: Clock, events: list[WorkerChanged], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shared]:
    monkeypatch.setattr(process, "_command", lambda role, fd, _limits: command(role, fd, 0))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    stub = Worker(ROLE, WorkerLimits(stall_timeout_sec=QUIET), [events.append], clock)
    yield Shared(stub, tmp_path)
    stub.close()
