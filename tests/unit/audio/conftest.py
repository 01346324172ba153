"""Fixtures of the decoder tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stt_engine.workers.process import WorkerLimits
from stt_engine.workers.worker import Worker
from tests.support import sounds
from tests.support.encoded_audio import SECONDS


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "decoded"
    folder.mkdir()
    return folder


@pytest.fixture(scope="package")
def child() -> Iterator[Worker]:
    worker = Worker("audio", WorkerLimits(stall_timeout_sec=10.0, memory_mb=2048))
    yield worker
    worker.close()


@pytest.fixture(scope="package")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One stereo call (two different tones) in every format that this PyAV can write."""
    folder = tmp_path_factory.mktemp("encoded")
    source = sounds.two_channels(
        folder / "source.wav",
        sounds.sine(folder / "left.wav", SECONDS, hertz=440),
        sounds.sine(folder / "right.wav", SECONDS, hertz=1_000),
    )
    return {
        name: sounds.encode(source, folder / f"{name}{how.suffix}", name)
        for name, how in sounds.ENCODINGS.items()
        if sounds.can_encode(name)
    }
