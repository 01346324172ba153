"""The way to the store for everything that runs on the event loop.

The database is opened at its first use, in a thread; one that is gone, locked or on a file system
that does not answer makes whoever asked wait for a bounded time, and nobody else.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from api_server.jobs.events import StoreAnswers, StoreFailing
from api_server.jobs.trouble import Trouble
from api_server.pipeline.storage import Place
from api_server.store.errors import RecordingsUnreachable, StoreUnavailable
from api_server.store.recordings import RecordingFolder
from api_server.store.records import Claimed, FoundFile, ProofFiles, Retention, ToRepair
from stt_engine.errors import AudioUnreadable, StorageUnresponsive
from stt_engine.events import Observer, emit
from stt_engine.hashing import sha256_of

if TYPE_CHECKING:
    from api_server.store.store import Store

T = TypeVar("T")

DATABASE_SEC = 20.0
"""How long a transaction may take, other processes' included."""


RECORDING_SEC = 600.0
"""How long a recording may take to be opened, which may mean to fetch it."""


Opener = Callable[[str, str], AbstractAsyncContextManager[Path]]
"""Opens the file of a path below the roots, by its path and its name for people."""

InForce = tuple[Mapping[str, str], Mapping[str, str]]
"""The settings and the rubric, as names and texts; another object where they have changed."""


@dataclass(frozen=True, slots=True)
class Records:
    """How cases are kept and proved.

    ``in_force`` returns the settings and the rubric by which answers are made: the log has them
    before any answer of theirs. ``on_open`` gets the store as it is opened, before any other work.
    """

    retention: Retention | None = None
    proof: ProofFiles | None = None
    in_force: Callable[[], InForce] | None = None
    on_open: Callable[[Store], None] | None = None


class NoStoreYet(Exception):
    """No job was ever sent here: there is no database."""


class JobDesk:
    """Runs work on the store in threads.

    Args:
        where: the database's file, or the URL of its server.
        recordings: where recordings are kept.
        observers: told when the store cannot be used, and when it can again.
        records: how cases are kept and proved.
    """

    def __init__(
        self,
        where: Path | str,
        recordings: RecordingFolder,
        observers: Iterable[Observer] = (),
        records: Records | None = None,
    ) -> None:
        self._where = where
        self._records = records or Records()
        self._noted: InForce | None = None
        self._observers = tuple(observers)
        self.place = Place("database", _shown(where), DATABASE_SEC)
        self._sounds = Place("recordings", "RECORDINGS_URL", RECORDING_SEC)
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._had = False
        self._unwritten: int | None = None
        """What had been written when nothing more could be; it can be read all the same."""
        self.recordings = recordings
        self.trouble = Trouble()
        """Why the database cannot be used, as far as is known."""

    @property
    def kind(self) -> str:
        """What the database is."""
        return "sqlite" if isinstance(self._where, Path) else "postgresql"

    @property
    def is_open(self) -> bool:
        """True once there is a database and it was opened."""
        return self._store is not None

    async def run(self, work: Callable[[Store], T], *, make: bool = False) -> T:
        """Return what ``work`` returns; ``make``: a store is made where there is none.

        Raises:
            NoStoreYet: there is none.
            StoreUnavailable: it cannot be used.
        """
        try:
            found = await self.place.run(partial(self._do, work, make))
        except RecordingsUnreachable:
            raise  # the database has answered
        except StoreUnavailable as exc:
            self._unwritten = self._writes() if exc.writing else None
            self._tell(str(exc))
            raise
        except StorageUnresponsive as exc:
            self._tell(str(exc))
            raise StoreUnavailable(str(exc)) from exc
        except NoStoreYet:
            self._tell(None)
            raise
        if self._unwritten != self._writes():
            self._unwritten = None
            self._tell(None)
        return found

    def _writes(self) -> int:
        store = self._store
        return store.writes if store is not None else 0

    @asynccontextmanager
    async def recording(self, sha256: str) -> AsyncIterator[Path]:
        """Open a recording as a file; an encrypted one as a copy that goes with the context.

        Raises:
            StoreUnavailable: it is not there, or not what was written.
            RecordingsUnreachable: the store of recordings gives no answer.
            KeyMissing: its key is not there.
        """
        opened = self.recordings.opened(sha256)
        try:
            path = await self._sounds.run(
                opened.__enter__, lambda _path: opened.__exit__(None, None, None)
            )
        except StorageUnresponsive as exc:
            raise RecordingsUnreachable(str(exc)) from exc
        try:
            yield path
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(opened.__exit__, None, None, None)

    @asynccontextmanager
    async def opened(self, claimed: Claimed | ToRepair, opener: Opener) -> AsyncIterator[Path]:
        """Open what a case was made from: a recording in the store, or the file that it names.

        Raises as :meth:`recording` does, and as ``opener``.
        """
        if claimed.recording is not None:
            async with self.recording(claimed.recording) as path:
                yield path
            return
        async with opener(claimed.path or "", claimed.name) as path:
            await self._check_unchanged(claimed, path)
            yield path

    async def _check_unchanged(self, claimed: Claimed | ToRepair, path: Path) -> None:
        """Return where a file of a watched folder is still what it was taken for.

        Raises:
            AudioUnreadable: there is another content in its place, which is another case.
            RecordingsUnreachable: that cannot be said now.
            StorageUnresponsive: its file system gives no answer.
        """
        try:
            taken = await self.run(lambda store: store.taken_as(claimed.path or "", claimed.job))
        except StoreUnavailable as exc:
            raise RecordingsUnreachable(str(exc)) from exc
        if taken is None:
            return
        found, job = taken
        if job != claimed.job or not await self._sounds.run(partial(_is_same, found, path)):
            raise AudioUnreadable("the file was overwritten after it had been taken")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            store, self._store = self._store, None
        if store is not None:
            store.close()

    def _do(self, work: Callable[[Store], T], make: bool) -> T:  # noqa: FBT001 - of partial()
        store = self._opened(make=make)
        try:
            self._note(store)
            return work(store)
        except StoreUnavailable:
            if store.replaced:
                self._forget(store)
            raise

    def _opened(self, *, make: bool) -> Store:
        with self._lock:
            if self._store is None:
                if isinstance(self._where, Path) and not self._where.exists():
                    self._refuse(make=make)
                from api_server.store.store import Store  # noqa: PLC0415 - takes 0.5 s

                store = Store(
                    self._where,
                    self.recordings,
                    retention=self._records.retention,
                    proof=self._records.proof,
                )
                store.sweep()
                if self._records.on_open:
                    self._records.on_open(store)
                self._store = store
                self._had = True
            return self._store

    def _note(self, store: Store) -> None:
        """Have the log say by which settings and rubric answers are made from now on."""
        now = self._records.in_force() if self._records.in_force else None
        if now is not None and now is not self._noted:
            store.ledger.note_in_force(*now)
            self._noted = now

    def _refuse(self, *, make: bool) -> None:
        """Raise where no database may be made: beside one that was removed, or without need."""
        if self._had:
            raise StoreUnavailable(
                f"the database {_shown(self._where)} was removed while it was in use"
            )
        if not make:
            raise NoStoreYet

    def _forget(self, store: Store) -> None:
        with self._lock:
            if self._store is store:
                self._store = None
        store.close()

    def _tell(self, trouble: str | None) -> None:
        if self.trouble.note(trouble):
            told = StoreAnswers() if trouble is None else StoreFailing(reason=trouble)
            emit(self._observers, told)


def _is_same(found: FoundFile, path: Path) -> bool:
    """Return whether a file has the content that was noted; its time alone may have moved."""
    told = path.stat()
    if told.st_size != found.bytes:
        return False
    return told.st_mtime_ns == found.modified_ns or sha256_of(path) == found.sha256


def _shown(where: Path | str) -> str:
    """Return where a database is, without a password."""
    if isinstance(where, Path):
        return str(where)
    parts = urlsplit(where)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
