"""Fixtures for all tests: the event loop, real weights, and the log as lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from stt_engine.log import LineFormatter
from tests.support import models

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def whisper_base() -> Path:
    """The real multilingual weights; fetched once into the checkout's models folder."""
    return models.whisper_base()


@pytest.fixture(scope="session")
def sample_call() -> Path:
    return REPOSITORY / "audio" / "sample_call.wav"


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(LineFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).partition("] ")[2])


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """Every line of the product's own components, without its time: ``LEVEL - [COMPONENT] ...``."""
    handler = _Lines()
    logger = logging.getLogger("stt")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(before)
