"""Open ``file_path`` inside the allowed roots: off the event loop, once, without a link on the way.

Where files can be handed over by descriptor (Linux), what is opened here is what is decoded,
whatever is put in its place meanwhile; elsewhere the path is opened again by name.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from api_server.http.problems import Problem, build_audio_problem, build_machine_problem
from api_server.pipeline.storage import Storage
from stt_engine.errors import AudioUnreadable
from stt_engine.native_errors import CANNOT_TELL, raise_machines_own
from stt_engine.system import below

LONGEST_PATH = 4096
"""Bytes of a path: Linux opens no longer one."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A recording that is open: the path by which another process opens the very same."""

    path: Path
    descriptor: int | None = None

    def close(self) -> None:
        """Let go of it."""
        if self.descriptor is not None:
            os.close(self.descriptor)


@asynccontextmanager
async def opened(file_path: str, shown: str, storage: Storage) -> AsyncIterator[Path]:
    """Yield a path by which what ``file_path`` is now can be read, as long as the context lasts.

    ``shown`` is what the caller is told of it.

    Raises:
        Problem: 400 if it is not a path of a file, 403 outside the roots, 404 if it is absent, 503
            if its file system does not answer.
    """
    check_form(file_path)
    place, roots = storage.place_of(file_path)
    try:
        found = await place.run(partial(open_inside, file_path, roots), Opened.close)
    except AudioUnreadable as exc:
        raise build_audio_problem(AudioUnreadable(f"{shown}: {exc}")) from exc
    except CANNOT_TELL as exc:
        raise build_machine_problem(exc) from exc
    try:
        yield found.path
    finally:
        found.close()


def open_inside(file_path: str, roots: Iterable[Path]) -> Opened:
    """Open ``file_path``, which has to be inside one of ``roots``; waits for the file system.

    Raises:
        Problem: as :func:`resolve` does.
        AudioUnreadable: it cannot be opened, or is no regular file.
        EngineError: one of :data:`stt_engine.native_errors.CANNOT_TELL`.
    """
    resolved = resolve(file_path, roots)
    if not below.CAN_SHARE:
        return Opened(resolved)
    root = next(one for one in map(Path.resolve, roots) if resolved.is_relative_to(one))
    try:
        descriptor = below.hold_below(root, resolved)
    except FileNotFoundError as exc:
        raise _absent() from exc
    except OSError as exc:
        raise_machines_own(exc)
        raise AudioUnreadable(str(exc.strerror)) from exc
    found = Opened(below.path_of(descriptor), descriptor)
    if not below.is_regular(descriptor):
        found.close()
        raise AudioUnreadable("not a regular file")
    return found


def check_form(file_path: str) -> None:
    """Refuse what is no path, before anything is looked at.

    Raises:
        Problem: 400.
    """
    if "://" in file_path:
        raise Problem(
            400,
            "url-as-path",
            "file_path is a path on the server, not a URL; upload the recording in 'file' instead.",
        )
    if len(file_path.encode("utf-8", "surrogatepass")) > LONGEST_PATH:
        raise _bad_path(ValueError(f"longer than {LONGEST_PATH} bytes"))


def resolve(file_path: str, roots: Iterable[Path]) -> Path:
    """Resolve ``file_path``, symbolic links included, and check that it is allowed.

    Raises:
        Problem: 400 if it is not a path of a file, 403 outside the roots, 404 if it is absent.
        EngineError: one of :data:`stt_engine.native_errors.CANNOT_TELL`.
    """
    with _as_bad_path():
        resolved = _resolve_inside(file_path, roots)
        if resolved.is_dir():
            raise Problem(400, "folder", "file_path is a folder; give the path of one recording.")
        if not resolved.exists():
            raise _absent()
    return resolved


def resolve_folder(folder: str, roots: Iterable[Path]) -> Path:
    """Resolve the path of a folder, which may be a root itself; raises as :func:`resolve` does."""
    with _as_bad_path():
        resolved = _resolve_inside(folder, roots)
        if not resolved.is_dir():
            raise Problem(404, "no-such-folder", "There is no such folder; check 'folder'.")
    return resolved


def _resolve_inside(path: str, roots: Iterable[Path]) -> Path:
    resolved = Path(path).resolve()
    if not any(resolved.is_relative_to(root.resolve()) for root in roots):
        raise Problem(
            403,
            "outside-roots",
            "The path is outside the folders this server may read (AUDIO_ROOTS); "
            "upload the recording in 'file' instead.",
        )
    return resolved


@contextmanager
def _as_bad_path() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError) as exc:  # too long, NUL, endless links
        if isinstance(exc, OSError):
            raise_machines_own(exc)
        raise _bad_path(exc) from exc


def _absent() -> Problem:
    return Problem(404, "no-such-file", "There is no such file; check file_path.")


def _bad_path(exc: Exception) -> Problem:
    return Problem(400, "bad-path", f"file_path is not a usable path ({_describe(exc)}).")


def _describe(exc: Exception) -> str:
    """Return what is wrong, without the system's message, which contains the real path."""
    if isinstance(exc, OSError):
        return exc.strerror or type(exc).__name__
    return "endless links" if isinstance(exc, RuntimeError) else str(exc)
