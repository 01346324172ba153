"""What keeps a store in order: days that are over, erasure, damage, other keys, copies."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from api_server.store import jobs, leases, rekey, removal, tags, webhooks
from api_server.store.database import Database
from api_server.store.errors import RecordingsUnreachable
from api_server.store.ledger import Ledger
from api_server.store.recordings import RecordingFolder
from api_server.store.records import Retention


class Upkeep:
    """The part of a store that keeps it in order.

    Args:
        database: the open database.
        recordings: where they are.
        retention: how long what is kept.
        clock: seconds since 1970, UTC.
        ledger: what proves the record.
    """

    def __init__(
        self,
        database: Database,
        recordings: RecordingFolder,
        retention: Retention,
        clock: Callable[[], float],
        ledger: Ledger,
    ) -> None:
        self._database = database
        self._recordings = recordings
        self._retention = retention
        self._clock = clock
        self.ledger = ledger
        """What proves the record, and what is done with cases as records."""

    def _forget(self, sha256s: list[str] | None) -> None:
        with self._database.write() as connection:
            now = self._clock()
            gone = leases.forget_unneeded(
                connection,
                now - self._recordings.keep_sec,
                tags.kept_since(self._retention, lambda one: one.recordings_sec, now),
                sha256s,
            )
            self._recordings.remove(gone)

    def sweep(self) -> None:
        """Remove what has outlived its days, and what an end in the middle has left behind."""
        with self._database.write() as connection:
            tags.fill(connection)
        expired = 0
        while more := self._expire():
            expired += more
        self._forget(None)
        with self._database.write() as connection:
            webhooks.forget_old(connection, self._clock())
        with suppress(RecordingsUnreachable):  # the next sweep removes them
            found = self._recordings.on_disk()  # takes long in a large folder: before it writes
            with self._database.write() as connection:
                self._recordings.remove(found - jobs.all_recordings(connection))
            self._recordings.sweep_incoming()
        if expired:
            self._database.flush()

    def _expire(self) -> int:
        with self._database.write() as connection:
            return removal.expire(connection, self._retention, self._clock())

    def erase(self, identity: str, actor: str) -> None:
        """Remove what a case holds; raises as :func:`removal.erase` does."""
        with self._database.write() as connection:
            recording = removal.erase(connection, identity, actor, self._clock())
        if recording is not None:
            self._forget([recording])
        self._database.flush()

    def examine(self) -> list[str]:
        """Return what is wrong with the database and the recordings; nothing where all is well."""
        found = self._database.examine()
        if found and self._database.copier is not None:
            return found  # a server reads none of a damaged table
        with self._database.read() as connection:
            found += rekey.unreadable(connection)
            kept = jobs.all_recordings(connection)
        lost = sorted(kept - self._recordings.on_disk())
        return found + [f"recording {one}: its file is gone" for one in lost]

    def rekey(self) -> int:
        """Encrypt the database's texts with the key for new ones; see :func:`rekey.rekey`."""
        return rekey.rekey(self._database)

    def backup(self, target: Path) -> int:
        """Copy database, recordings and checkpoints to a new folder; return how many recordings.

        What is removed meanwhile is in the copy of the database, and not among the recordings.

        Raises:
            StoreUnavailable: that cannot be done, or :attr:`copier` does it.
            OSError: the folder cannot be made.
        """
        target.mkdir(mode=0o700)
        self._database.copy_to(target / "cases.db")
        count = self._recordings.copy_to(target / "recordings")
        self.ledger.copy_to(target)
        return count
