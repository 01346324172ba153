"""Files below a folder, reached once and without a link on the way; handed over by descriptor."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

CAN_SHARE = sys.platform == "linux" and Path(f"/proc/{os.getpid()}/fd").is_dir()
"""Whether another process of ours can open what this one holds."""

# O_PATH holds the file and does not open it: a device is not touched, and letting go of it asks no
# file system. (Starting a process closes every descriptor, and would hang at a dead mount.)
_HELD = getattr(os, "O_PATH", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = _HELD | getattr(os, "O_DIRECTORY", 0)


def hold_below(root: Path, path: Path) -> int:
    """Return a descriptor that holds ``path``, reached from ``root`` without following a link.

    Both are resolved: a link that is met was put there since, and reaches nothing. For
    :data:`CAN_SHARE` only.

    Raises:
        OSError: it cannot be reached.
    """
    at = os.open(root, _FOLDER)
    parts = path.relative_to(root).parts
    for number, name in enumerate(parts, 1):
        try:
            found = os.open(name, _HELD if number == len(parts) else _FOLDER, dir_fd=at)
        finally:
            os.close(at)
        at = found
    return at


def is_regular(descriptor: int) -> bool:
    """Return whether it is a regular file: no link, folder, pipe or device."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def path_of(descriptor: int) -> Path:
    """Return a path by which every process of ours opens the very file; see :data:`CAN_SHARE`."""
    return Path(f"/proc/{os.getpid()}/fd/{descriptor}")
