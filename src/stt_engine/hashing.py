"""Hashes and sizes of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

_BLOCK = 16 * 1024 * 1024
"""Large: between two blocks the interpreter's other threads may take their turns, 5 ms each."""


def sha256_of(path: Path) -> str:
    """Hash a file of any size, block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def size_of(path: Path) -> int | None:
    """Return the size in bytes of a file; ``None`` where there is none that can be read."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None
