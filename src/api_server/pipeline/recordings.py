"""Where a recording is kept while its call needs it, and beyond where a store does that."""

from __future__ import annotations

import io
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import uuid4

from stt_engine.errors import WorkspaceError
from stt_engine.native_errors import raise_machines_own
from stt_engine.system.below import CAN_SHARE, path_of
from stt_engine.system.tempdirs import scratch_folder


class Recordings(Protocol):
    """A place for recordings, by key. Every method may be called from any thread."""

    def put(self, content: BinaryIO) -> str:
        """Keep ``content`` as it is now, whole or not at all, and return its key.

        Raises:
            WorkspaceError: there is no room, or no right to write.
        """
        ...

    def path(self, key: str) -> Path:
        """Return a file that another process can open; it stays until :meth:`discard`.

        Raises:
            KeyError: there is no such recording.
        """
        ...

    def discard(self, key: str) -> None:
        """Remove a recording; one that is not there is no error."""
        ...


class TemporaryRecordings:
    """Recordings in this process's temporary folder: gone with the call, or with the process.

    What is a file already is kept as that file; elsewhere it is copied.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Path, ExitStack]] = {}

    def put(self, content: BinaryIO) -> str:
        """Keep it; see :class:`Recordings`."""
        with ExitStack() as stack:
            stored = _held(content, stack) or _copied(content, stack)
            key = uuid4().hex
            self._kept[key] = stored, stack.pop_all()
        return key

    def path(self, key: str) -> Path:
        """Return the file; see :class:`Recordings`."""
        return self._kept[key][0]

    def discard(self, key: str) -> None:
        """Remove the recording; see :class:`Recordings`."""
        _, stack = self._kept.pop(key, (None, None))
        if stack is not None:
            stack.close()


def _held(content: BinaryIO, stack: ExitStack) -> Path | None:
    """Hold a file open that another process can open too; ``None`` where it is none."""
    if not CAN_SHARE:
        return None
    try:
        descriptor = os.dup(content.fileno())
        stack.callback(os.close, descriptor)
        content.flush()
    except io.UnsupportedOperation:
        return None
    except OSError as exc:
        raise_machines_own(exc)
        raise WorkspaceError(str(exc.strerror)) from exc
    return path_of(descriptor)


def _copied(content: BinaryIO, stack: ExitStack) -> Path:
    target = stack.enter_context(scratch_folder()) / "upload"
    try:
        with target.open("wb") as stored:
            shutil.copyfileobj(content, stored)
    except OSError as exc:
        raise_machines_own(exc)
        raise WorkspaceError(str(exc.strerror)) from exc
    return target
