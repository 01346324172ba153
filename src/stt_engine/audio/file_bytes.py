"""The bytes of a file for the scanners, where it is too big to be mapped under a memory ceiling."""

from __future__ import annotations

import os
from typing import overload

_BLOCK = 1 << 20


class FileBytes:
    """Reads like ``bytes`` what is asked for, and holds one block of the file."""

    def __init__(self, descriptor: int, size: int) -> None:
        """Take an open file."""
        self._descriptor, self._size = descriptor, size
        self._start, self._block = 0, b""

    def __len__(self) -> int:
        """Return the file's length."""
        return self._size

    @overload
    def __getitem__(self, place: int) -> int: ...

    @overload
    def __getitem__(self, place: slice) -> bytes: ...

    def __getitem__(self, place: int | slice) -> int | bytes:
        """Return a byte, or the bytes of a range."""
        if isinstance(place, int):
            return self._read(place, place + 1)[0]
        start, end, step = place.indices(self._size)
        return self._read(start, max(start, end))[::step]

    def _read(self, start: int, end: int) -> bytes:
        inside = start - self._start
        if inside < 0 or end - self._start > len(self._block):
            self._block = os.pread(self._descriptor, max(_BLOCK, end - start), start)
            self._start, inside = start, 0
        return self._block[inside : inside + end - start]

    def find(self, what: bytes, start: int = 0, end: int | None = None) -> int:
        """Return where ``what`` is first, or -1."""
        end = self._size if end is None else min(end, self._size)
        while start < end:
            block = self[start : min(end, start + _BLOCK)]
            found = block.find(what)
            if found >= 0:
                return start + found
            if len(block) < _BLOCK:
                return -1
            start += len(block) - len(what) + 1
        return -1
