"""What unit tests share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own_logging() -> Iterator[None]:
    """``configure`` changes the whole process's logging; put it back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    names = ("stamina", "httpx2", "httpcore2", "huggingface_hub", "filelock", "faster_whisper")
    levels = {name: logging.getLogger(name).level for name in names}
    for handler in handlers:  # configure(force=True) would close them
        root.removeHandler(handler)
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
