"""What glibc keeps of the memory that a process has freed. Elsewhere nothing happens here."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

MOST = 2
"""Heaps of a process; by itself glibc makes one for nearly every thread, and keeps them all."""

_M_ARENA_MAX = -8
"""``malloc.h``."""


def keep_few() -> None:
    """Have this process make :data:`MOST` heaps at most, unless ``MALLOC_ARENA_MAX`` says."""
    mallopt = _function("mallopt")
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, MOST)


def return_freed() -> None:
    """Return the system what was freed: after loading a model that is a hundred MiB."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


def _function(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None)
