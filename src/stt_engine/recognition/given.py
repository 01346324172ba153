"""A recording as a library's caller has it: a path, bytes, or an open file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from stt_engine.errors import AudioTooLarge, AudioUnreadable, InvalidRequest, WorkspaceError
from stt_engine.system.tempdirs import scratch_folder

_PART = 1024**2


class Readable(Protocol):
    """A file opened for reading bytes, or whatever reads like one."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        ...


Recording = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


@contextmanager
def as_file(given: Recording, max_bytes: int) -> Iterator[Path]:
    """Yield a path that another process can open; what is no file is copied to one meanwhile.

    An open file is read from where it stands to its end, and left open.

    Raises:
        InvalidRequest: ``given`` is nothing of the kind.
        AudioUnreadable: reading it failed.
        AudioTooLarge: it holds more than ``max_bytes``.
        WorkspaceError: there is no room for the copy.
    """
    if isinstance(given, str | os.PathLike):
        yield Path(given)
        return
    with scratch_folder() as folder:
        path = folder / "recording"
        try:
            with path.open("wb") as copy:
                for part in _parts(given, max_bytes):
                    copy.write(part)
        except OSError as exc:
            raise WorkspaceError(f"no room for a copy of the recording: {exc.strerror}") from exc
        yield path


def _parts(given: object, max_bytes: int) -> Iterator[bytes]:
    total = 0
    for part in _read(given):
        total += len(part)
        if total > max_bytes:
            raise AudioTooLarge(f"the recording has more than {max_bytes} bytes")
        yield part


def _read(given: object) -> Iterator[bytes]:
    if isinstance(given, bytes | bytearray | memoryview):
        yield bytes(given)
        return
    read = getattr(given, "read", None)
    if not callable(read):
        kind = type(given).__name__
        raise InvalidRequest(f"a recording is a path, bytes or an open file, not {kind}")
    while part := _next(read):
        yield part


def _next(read: object) -> bytes:
    try:
        part = read(_PART)  # type: ignore[operator]
    except Exception as exc:
        raise AudioUnreadable(f"the file given cannot be read: {exc}") from exc
    if isinstance(part, bytes | bytearray | memoryview):
        return bytes(part)
    kind = type(part).__name__
    raise AudioUnreadable(f"the file given brings {kind}, not bytes: open it with 'rb'")
