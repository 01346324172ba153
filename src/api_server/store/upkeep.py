"""What keeps a store in order: days that are over, erasure, damage, other keys, copies."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from api_server.store import audit_log, jobs, leases, rekey, removal, tags, webhooks
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

    def _forget(
        self, sha256s: Collection[str] | None, actor: str = audit_log.SERVER
    ) -> dict[str, str]:
        """Remove recordings that no case needs; return those that could not be, with the reason.

        Their records stay, and the next sweep tries again.
        """
        left: dict[str, str] = {}
        after = ""
        while True:
            with self._database.write() as connection:
                now = self._clock()
                found = leases.find_unneeded(
                    connection,
                    now - self._recordings.keep_sec,
                    tags.kept_since(self._retention, lambda one: one.recordings_sec, now),
                    after,
                    sha256s,
                )
                # Within the transaction: nobody may send one of them again meanwhile.
                left |= self._recordings.remove(found)
                erased = leases.forget(connection, [one for one in found if one not in left])
                removal.note_removed(connection, erased, actor, now)
            if len(found) < leases.AT_ONCE:
                return left
            after = found[-1]

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

    def erase(self, identity: str, actor: str) -> str | None:
        """Remove what a case holds; raises as :func:`removal.erase` does.

        Return why its recording is still there; a sweep removes it as soon as that can be done.
        """
        with self._database.write() as connection:
            recording = removal.erase(connection, identity, actor, self._clock())
        left = self._forget([recording], actor) if recording is not None else {}
        self._database.flush()
        return next(iter(left.values()), None)

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
