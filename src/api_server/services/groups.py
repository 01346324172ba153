"""Errors out of task groups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ungrouped() -> Iterator[None]:
    """Give the one error of a task group as itself."""
    error = None
    try:
        yield
    except BaseExceptionGroup as group:
        error = group.exceptions[0]
    if error is not None:
        raise error  # out here it keeps its own cause, which names the system's words
