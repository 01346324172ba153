"""Takes the files of watched folders as cases, each content once.

A file is taken when it has not changed for a while by this machine's own clock: those of file
servers are compared with themselves alone. A folder that does not answer holds up nobody else.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from api_server.jobs.desk import JobDesk
from api_server.jobs.events import FileTaken, FileUnreadable, SidecarUnusable
from api_server.jobs.options import JobOptions
from api_server.jobs.sidecars import ENDINGS, Sidecar, read_sidecar
from api_server.pii.names import mask_name
from api_server.pipeline.storage import Place
from api_server.store.errors import StoreFull, StoreUnavailable
from api_server.store.records import FoundFile, NewCase, NewJob
from stt_engine.errors import StorageUnresponsive
from stt_engine.events import Event, Observer, Stage, emit
from stt_engine.outcome import Attempts
from stt_engine.shown import shorten

LIST_SEC, READ_SEC = 60.0, 600.0
"""How long a folder may take to be listed, and a file to be read."""

_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload")
_BLOCK = 1024 * 1024
_ASKED_AT_ONCE = 500
_PRIORITY = 5
_DEFECT_SEC = 10.0

Stamp = tuple[int, int]
"""Bytes of a file, and the time of its last change in nanoseconds, as its file system tells it."""


@dataclass(frozen=True, slots=True)
class WatchTerms:
    """What is taken, and how; see the settings of the same names. Times in seconds."""

    pattern: str
    settle_sec: float
    interval_sec: float
    options: JobOptions
    masks_names: bool
    table: str | None = None


class FolderWatcher:
    """Watches one folder.

    Args:
        number: its place in the settings, from 1.
        folder: the folder.
        desk: the way to the store.
        terms: what is taken.
        taken: called after each file that was taken.
        observers: told of each file, and of a folder that does not answer.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        number: int,
        folder: Path,
        desk: JobDesk,
        terms: WatchTerms,
        taken: Callable[[], object],
        observers: Iterable[Observer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._desk = desk
        self._terms = terms
        self._taken = taken
        self._observers = tuple(observers)
        self._clock = clock
        name = f"watch folder {number}"
        self.place = Place(name, str(folder), LIST_SEC, self._observers)
        self._reading = Place(name, str(folder), READ_SEC, self._observers)
        self._settling: dict[str, tuple[Stamp, float]] = {}
        self._noted: dict[str, Stamp] = {}

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await self._guarded(self.look)
            await anyio.sleep(self._terms.interval_sec)

    async def look(self) -> None:
        """Look at the folder once, and take what has come and stays as it is.

        Raises:
            StorageUnresponsive: it does not answer.
            StoreUnavailable: nothing can be taken now.
            OSError: it cannot be read.
        """
        found = await self.place.run(partial(_listed, self._folder, self._terms.pattern))
        self._noted = {path: stamp for path, stamp in self._noted.items() if path in found}
        fresh = {path: stamp for path, stamp in found.items() if self._noted.get(path) != stamp}
        settled = self._settled(fresh)
        await self._learn([path for path in settled if path not in self._noted])
        for path in settled:
            if self._noted.get(path) != fresh[path]:
                await self._take(path, fresh[path])

    def _settled(self, fresh: dict[str, Stamp]) -> list[str]:
        """Return those that have stayed as they are for long enough."""
        now = self._clock()
        before = self._settling
        self._settling = {
            path: before[path] if path in before and before[path][0] == stamp else (stamp, now)
            for path, stamp in fresh.items()
        }
        since = now - self._terms.settle_sec
        return [path for path, (_, at) in self._settling.items() if at <= since]

    async def _learn(self, paths: Sequence[str]) -> None:
        """Read in the ledger what a run before this one has taken."""
        for begin in range(0, len(paths), _ASKED_AT_ONCE):
            asked = paths[begin : begin + _ASKED_AT_ONCE]
            ask = partial(lambda store, some: store.noted_files(some), some=asked)
            noted = await self._desk.run(ask, make=True)
            self._noted |= {path: noted.get(path, (-1, -1)) for path in asked}

    async def _take(self, path: str, stamp: Stamp) -> None:
        try:
            read = await self._reading.run(partial(_read, path, stamp, self._terms.table))
        except OSError as exc:
            self._emit(FileUnreadable(name=self._shown(path), reason=exc.strerror or str(exc)))
            return
        if read is None:
            self._settling.pop(path, None)  # it has changed meanwhile
            return
        found, sidecar = read
        if sidecar.fault is not None:
            name, reason = sidecar.fault
            self._emit(SidecarUnusable(name=self._shown(name), reason=reason))
        case = NewCase(self._shown(path), path=path, bytes=found.bytes)
        options = self._terms.options.to_json()
        new = NewJob("", options, sidecar.metadata, _PRIORITY, (case,), found.sha256)
        job, fresh = await self._desk.run(lambda store: store.take_file(found, new), make=True)
        self._noted[path] = stamp
        self._emit(FileTaken(name=case.name, job=job, known=not fresh))
        self._taken()

    def _shown(self, path: str) -> str:
        name = shorten(path).encode("utf-8", "replace").decode()
        return mask_name(name) if self._terms.masks_names else name

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do a part of the work; a defect in it is told, and ends nothing else."""
        attempts = Attempts(Stage.JOB, self._observers)
        nothing = (StorageUnresponsive, StoreUnavailable, StoreFull, OSError)
        with attempts.of("watcher"), suppress(*nothing):  # told by the place and the desk
            await work()
        if attempts.failures:
            await anyio.sleep(_DEFECT_SEC)

    def _emit(self, event: Event) -> None:
        emit(self._observers, event)


def _listed(folder: Path, pattern: str) -> dict[str, Stamp]:
    """Return path and stamp of every file below a folder that may be taken, by name."""
    found = {
        entry.path: _stamp(entry.stat(follow_symlinks=False))
        for entry in _entries(os.path.abspath(folder))  # noqa: PTH100 - follows no link
        if _is_recording(entry.name, pattern)
    }
    return dict(sorted(found.items()))


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    yield from _entries(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry


def _is_recording(name: str, pattern: str) -> bool:
    lower = name.lower()
    return not lower.endswith((*ENDINGS, *_UNFINISHED)) and fnmatch.fnmatch(name, pattern)


def _stamp(told: os.stat_result) -> Stamp:
    return told.st_size, told.st_mtime_ns


def _read(path: str, stamp: Stamp, table: str | None) -> tuple[FoundFile, Sidecar] | None:
    """Return a file by its content, and what is beside it; ``None`` where it changes meanwhile."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
        same = _stamp(os.fstat(content.fileno())) == stamp
    return (
        (FoundFile(path, *stamp, digest.hexdigest()), read_sidecar(path, table)) if same else None
    )
