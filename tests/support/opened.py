"""Which files of a folder anybody opened, as the kernel tells it (inotify; Linux only)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_OPEN = 0x20
_HEAD = struct.Struct("iIII")


class Watch:
    """The names that were opened in a folder so far."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def names(self) -> set[str]:
        found = set()
        while True:
            try:
                raw = os.read(self._descriptor, 65_536)
            except BlockingIOError:
                return found
            while raw:
                *_, length = _HEAD.unpack_from(raw)
                found.add(os.fsdecode(raw[_HEAD.size : _HEAD.size + length].rstrip(b"\0")))
                raw = raw[_HEAD.size + length :]


@contextmanager
def watched(folder: Path) -> Iterator[Watch]:
    """Watch ``folder`` for the length of a block."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert descriptor >= 0, os.strerror(ctypes.get_errno())
    try:
        added = libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_OPEN)
        assert added >= 0, os.strerror(ctypes.get_errno())
        yield Watch(descriptor)
    finally:
        os.close(descriptor)
