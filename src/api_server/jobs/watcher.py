"""Takes the files of watched folders as cases, each content once.

A file is taken when it, and what stands beside it, has not changed for a while by this machine's
own clock: those of file servers are compared with themselves alone. A folder that does not answer
holds up nobody else.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from api_server.jobs.desk import JobDesk
from api_server.jobs.events import (
    FileTaken,
    FileUnreadable,
    FolderAnswers,
    FolderFailing,
    SidecarUnusable,
)
from api_server.jobs.folder_listing import Found, Stamp, list_folder, shown_path, stamp_of
from api_server.jobs.options import JobOptions
from api_server.jobs.sidecars import NOTHING, Sidecar, read_sidecar
from api_server.jobs.trouble import Trouble
from api_server.pii.names import mask_name
from api_server.pipeline.storage import Place
from api_server.store.errors import StoreFull, StoreUnavailable
from api_server.store.records import FoundFile, NewCase, NewJob
from stt_engine.errors import StorageUnresponsive
from stt_engine.events import Event, Observer, Stage, emit
from stt_engine.outcome import Attempts

LIST_SEC, READ_SEC = 60.0, 600.0
"""How long a folder may take to be listed, and a file to be read."""

_BLOCK = 1024 * 1024
_ASKED_AT_ONCE = 500
_PRIORITY = 5
_DEFECT_SEC = 10.0
_VANISHED_SEC = 60.0
"""How often it is looked for files that were away when their turn came."""


@dataclass(frozen=True, slots=True)
class WatchTerms:
    """What is taken, and how; see the settings of the same names. Times in seconds."""

    pattern: str
    settle_sec: float
    interval_sec: float
    options: JobOptions
    masks_names: bool
    table: str | None = None
    sidecar_sec: float = 0.0


@dataclass(frozen=True, slots=True)
class _Settling:
    """A file that is not taken yet: since when it is known, and since when it is as it is."""

    found: Found
    known_at: float
    stays_at: float


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
        self.trouble = Trouble()
        """Why the folder cannot be listed."""
        self._reading = Place(name, str(folder), READ_SEC, self._observers)
        self._settling: dict[str, _Settling] = {}
        self._noted: dict[str, Stamp] = {}
        self._beside: dict[str, Found] = {}
        self._unreadable: dict[str, str] = {}
        self._vanished_at = -_VANISHED_SEC
        self._brought: set[str] = set()
        """Files whose cases were queued again; where no worker sees them, that helps only once."""

    @property
    def unreadable(self) -> int:
        """Files and folders in it that cannot be read."""
        return len(self._unreadable)

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
        found = await self._listed()
        self._noted = {path: stamp for path, stamp in self._noted.items() if path in found}
        fresh = {path: one for path, one in found.items() if self._noted.get(path) != one.stamp}
        settled = self._settled(fresh)
        await self._learn([path for path in settled if path not in self._noted])
        for path in settled:
            if self._noted.get(path) != fresh[path].stamp:
                await self._take(path, fresh[path])
        self._tell_late(found)
        await self._bring_back(found)

    async def _listed(self) -> dict[str, Found]:
        """Return what is in the folder; one that cannot be listed is told once, until it can."""
        list_it = partial(list_folder, self._folder, self._terms.pattern, self._terms.table)
        try:
            listing = await self.place.run(list_it)
        except (OSError, StorageUnresponsive) as exc:
            reason = str(exc) if isinstance(exc, StorageUnresponsive) else exc.strerror or str(exc)
            if self.trouble.note(reason):
                self._emit(FolderFailing(folder=str(self._folder), reason=reason))
            raise
        if self.trouble.note(None):
            self._emit(FolderAnswers(folder=str(self._folder)))
            self._vanished_at = -_VANISHED_SEC
        there = {*listing.found, *listing.unreadable}
        self._unreadable = {path: why for path, why in self._unreadable.items() if path in there}
        for path, why in listing.unreadable.items():
            self._tell_unreadable(path, why)
        return listing.found

    def _settled(self, fresh: dict[str, Found]) -> list[str]:
        """Return those that have stayed as they are for long enough."""
        now = self._clock()
        before = self._settling
        self._settling = {
            path: _after(before.get(path), found, now) for path, found in fresh.items()
        }
        since = now - self._terms.settle_sec
        return [path for path, one in self._settling.items() if one.stays_at <= since]

    async def _learn(self, paths: Sequence[str]) -> None:
        """Read in the ledger what a run before this one has taken."""
        for begin in range(0, len(paths), _ASKED_AT_ONCE):
            asked = paths[begin : begin + _ASKED_AT_ONCE]
            ask = partial(lambda store, some: store.noted_files(some), some=asked)
            noted = await self._desk.run(ask, make=True)
            self._noted |= {path: noted.get(path, (-1, -1)) for path in asked}

    async def _take(self, path: str, known: Found) -> None:
        waits = self._clock() - self._settling[path].known_at < self._terms.sidecar_sec
        work = partial(_read, path, known.stamp, self._terms.table, waits=waits)
        try:
            read = await self._reading.run(work)
        except OSError as exc:
            self._tell_unreadable(path, exc.strerror or str(exc))
            return
        self._unreadable.pop(path, None)
        if read is None:  # it has changed meanwhile, or waits for what is to stand beside it
            return
        found, sidecar = read
        if sidecar.fault is not None:
            name, reason = sidecar.fault
            self._emit(SidecarUnusable(name=self._shown(name), reason=reason))
        case = NewCase(self._shown(path), path=path, bytes=found.bytes)
        options = self._terms.options.to_json()
        new = NewJob("", options, sidecar.metadata, _PRIORITY, (case,), found.sha256)
        job, fresh = await self._desk.run(lambda store: store.take_file(found, new), make=True)
        self._noted[path] = known.stamp
        self._beside[path] = known
        self._emit(FileTaken(name=case.name, job=job, known=not fresh))
        self._taken()

    def _tell_late(self, found: dict[str, Found]) -> None:
        """Log what came beside a file, or was changed there, after that had been taken."""
        self._beside = {path: one for path, one in self._beside.items() if path in found}
        for path, before in self._beside.items():
            now = found[path]
            if now.stamp == before.stamp and now.beside != before.beside:
                late = next((name for name in now.beside if name not in before.beside), path)
                reason = "it came, or was changed, after the recording had been taken"
                self._emit(SidecarUnusable(name=self._shown(late), reason=reason))
                self._beside[path] = now

    async def _bring_back(self, found: dict[str, Found]) -> None:
        """Queue again what was away when its turn came, as on a share that was gone."""
        if self._clock() < self._vanished_at + _VANISHED_SEC or not self._desk.is_open:
            return
        self._vanished_at = self._clock()
        away = await self._desk.run(lambda store: store.vanished_files())
        self._brought &= found.keys()  # what goes once more may come back once more
        back = {path: job for path, job in away.items() if path in found.keys() - self._brought}
        if back:
            await self._desk.run(lambda store: store.retry_vanished(back.values()))
            self._brought |= back.keys()
            self._taken()

    def _tell_unreadable(self, path: str, reason: str) -> None:
        if self._unreadable.get(path) != reason:
            self._unreadable[path] = reason
            self._emit(FileUnreadable(name=self._shown(path), reason=reason))

    def _shown(self, path: str) -> str:
        name = shown_path(path)
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


def _after(before: _Settling | None, found: Found, now: float) -> _Settling:
    """Return how a file settles that was known before, or was not."""
    if before is None:
        return _Settling(found, now, now)
    return before if before.found == found else _Settling(found, before.known_at, now)


def _read(
    path: str, stamp: Stamp, table: str | None, *, waits: bool
) -> tuple[FoundFile, Sidecar] | None:
    """Return a file by its content, and what is beside it.

    ``None`` where it changes meanwhile, or where it ``waits`` for what is beside it.
    """
    sidecar = read_sidecar(path, table)
    if waits and sidecar.metadata == NOTHING:
        return None
    digest = hashlib.sha256()
    with Path(path).open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
        same = stamp_of(os.fstat(content.fileno())) == stamp
    return (FoundFile(path, *stamp, digest.hexdigest()), sidecar) if same else None
