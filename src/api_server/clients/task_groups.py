"""Exceptions raised out of task groups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unwrap_exception_group() -> Iterator[None]:
    """Raise the first exception of a group instead of the group."""
    error = None
    try:
        yield
    except BaseExceptionGroup as group:
        error = group.exceptions[0]
    if error is not None:
        raise error  # outside the except block, it keeps its own __cause__
