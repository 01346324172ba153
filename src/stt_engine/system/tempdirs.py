"""Temporary files of calls: gone with the call, or with the next start after a kill -9.

Each process has one folder, held by a lock that the kernel frees when the process dies, however it
dies. A folder whose lock is free belongs to nobody: recordings of customers do not stay behind.
Folders are made and removed in threads with a deadline: the file system may be a dead mount.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from stt_engine.errors import OutOfMemory, StorageUnresponsive, WorkspaceError
from stt_engine.native_errors import raise_machines_own
from stt_engine.system.file_threads import FileThreads

PREFIX = "stt-engine-"
_LOCK = ".lock"

_guard = threading.Lock()
_own: tuple[Path, FileLock] | None = None
_threads = FileThreads("the temporary folder")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new empty folder, removed when the context ends.

    Raises:
        WorkspaceError: the temporary folder cannot be written.
        EngineError: one of :data:`stt_engine.native_errors.CANNOT_TELL`.
    """
    try:
        folder = _threads.run(_made, _remove)
    except OSError as exc:
        raise_machines_own(exc, "no temporary folder")
        raise WorkspaceError(f"no temporary folder: {exc.strerror}") from exc
    except MemoryError as exc:
        raise OutOfMemory(str(exc)) from exc
    try:
        yield folder
    finally:
        _in_time(partial(_remove, folder))


def _made() -> Path:
    return Path(tempfile.mkdtemp(dir=_process_folder()))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _process_folder() -> Path:
    """Return this process's folder; the first time, remove those that dead processes left."""
    global _own  # noqa: PLW0603 - one folder a process is the point
    with _guard:
        while _own is None or not _own[0].is_dir():  # swept between making and locking: again
            _sweep(Path(tempfile.gettempdir()))
            folder = Path(tempfile.mkdtemp(prefix=PREFIX))
            lock = FileLock(folder / _LOCK, thread_local=False)  # whichever thread releases it
            lock.acquire()
            _own = (folder, lock)
            atexit.register(_in_time, remove_own)
        return _own[0]


def _sweep(temporary: Path) -> None:
    for folder in temporary.glob(f"{PREFIX}*"):
        # A folder without its lock is one that another process is just making.
        if (folder / _LOCK).is_file() and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except (Timeout, OSError):
        return False
    lock.release()
    return True


def _in_time(work: Callable[[], None]) -> None:
    """Do ``work`` whatever hangs already, and wait for it no longer than it may take."""
    try:
        if _threads.hangs:
            _threads.start(work, always=True)
        else:
            with suppress(StorageUnresponsive):
                _threads.run(work, always=True)
    except MemoryError:  # no more threads, or Python begins none any more
        work()


def remove_own() -> None:
    """Remove this process's folder; a later call makes a new one."""
    global _own  # noqa: PLW0603
    with _guard:
        if _own is not None:
            _own[1].release()
            shutil.rmtree(_own[0], ignore_errors=True)
            _own = None
