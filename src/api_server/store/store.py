"""The store as its users see it: each method is one transaction; any thread may call it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection

from api_server.store import audit_log, jobs, leases, rekey, repairs, watched, webhooks
from api_server.store.accounts import Accounts
from api_server.store.checkpoints import CheckpointFile
from api_server.store.database import Database, Where
from api_server.store.errors import StoreFull, StoreUnavailable
from api_server.store.known_voices import KnownVoices
from api_server.store.ledger import Ledger
from api_server.store.outbox import Outbox
from api_server.store.recordings import Received, RecordingFolder
from api_server.store.records import (
    AnsweredCall,
    Backlog,
    CaseRecord,
    CaseState,
    Claimed,
    Ending,
    FoundFile,
    JobRecord,
    NewJob,
    ProofFiles,
    Retention,
    Revision,
    ToRepair,
)
from api_server.store.review_reports import ReviewReports
from api_server.store.reviews import Reviews
from api_server.store.rubrics import Rubrics
from api_server.store.search_texts import SearchTexts
from api_server.store.upkeep import Upkeep

MOST_OPEN_CASES = 1_000_000
"""Cases that may wait; one more job is refused."""


def _proof_beside(where: Where) -> ProofFiles:
    if isinstance(where, Path):
        return ProofFiles.beside(where)
    raise ValueError("a database of a server has no files beside it: name those of the proof")


class Store(Upkeep):
    """Jobs and cases in a database, recordings beside it.

    Args:
        where: the database: an SQLite file, or PostgreSQL's URL.
        recordings: where they are; what they are encrypted with is for the texts too.
        clock: seconds since 1970, UTC; by default the database's time.
        retention: how long what is kept.
        proof: where the log is signed; by default beside the file.

    Raises:
        StoreUnavailable: the database cannot be opened, or its texts cannot with these keys.
    """

    def __init__(
        self,
        where: Where,
        recordings: RecordingFolder,
        clock: Callable[[], float] | None = None,
        retention: Retention | None = None,
        proof: ProofFiles | None = None,
    ) -> None:
        database = Database(where, recordings.keys, clock)
        clock = database.now
        files = proof or _proof_beside(where)
        ledger = Ledger(database, CheckpointFile(files.notes, files.key), clock)
        super().__init__(database, recordings, retention or Retention(), clock, ledger)
        self.reviews = Reviews(database, clock)
        self.accounts = Accounts(database, clock)
        self.reports = ReviewReports(database, clock)
        self.voices = KnownVoices(database, clock)
        self.search = SearchTexts(database, clock)
        self.rubrics = Rubrics(database, clock)
        self.outbox = Outbox(self._database, clock)
        """What is to be told of jobs."""
        with self._database.read() as connection:
            rekey.check_readable(connection)
            is_new = audit_log.size(connection) == 0
        if is_new:
            with self._database.write() as connection:
                if audit_log.size(connection) == 0:
                    audit_log.adopt(connection, clock())

    @property
    def replaced(self) -> bool:
        """True where the database's file is another one, or gone: nothing can be kept here."""
        return self._database.replaced

    @property
    def writes(self) -> int:
        """Transactions that have written."""
        return self._database.writes

    def touch(self) -> None:
        """Have something written; see :meth:`Database.touch`."""
        self._database.touch()

    @property
    def copier(self) -> str | None:
        """The command that copies the database, where :meth:`backup` does not."""
        return self._database.copier

    def submit(self, new: NewJob) -> tuple[str, bool]:
        """Take a job, its recordings and all; return its id, and whether it is a new one.

        Raises:
            KeyReused: its idempotency key stands for another request.
            StoreFull: the quota, or the reserve of free space.
            StoreUnavailable: nothing was taken.
        """
        received = {one.received.sha256: one.received for one in new.cases if one.received}
        with self._database.read() as connection:
            known = jobs.find_replayed(connection, new)
            if known is not None:
                return known, False
            self._check_room(connection, received, len(new.cases))
        self._recordings.keep_all(received.values())
        with self._database.write() as connection:
            known = jobs.find_replayed(connection, new)
            if known is not None:
                return known, False
            self._check_room(connection, received, len(new.cases))
            self._check_kept(received)
            return jobs.insert_job(connection, new, self._clock()), True

    def _check_room(
        self, connection: Connection, received: Mapping[str, Received], cases: int
    ) -> None:
        """Return where there is room for more recordings and cases; raises ``StoreFull``."""
        if jobs.count_open_cases(connection) + cases > MOST_OPEN_CASES:
            raise StoreFull(f"{MOST_OPEN_CASES} cases wait already")
        missing = jobs.missing_recordings(connection, received)
        more = sum(received[one].bytes for one in missing)
        self._recordings.check_quota(jobs.kept_bytes(connection), more)

    def _check_kept(self, received: Collection[str]) -> None:
        """Raise ``StoreUnavailable`` where one was forgotten since it was kept."""
        if not self._recordings.is_kept(received):
            raise StoreUnavailable("a recording went with another case meanwhile; send it again")

    def take_file(self, found: FoundFile, new: NewJob) -> tuple[str, bool]:
        """Note a file of a watched folder, and take the job of its content, once.

        Return the job, and whether it is a new one.

        Raises:
            StoreFull: too many cases wait.
            StoreUnavailable: nothing was taken.
        """
        with self._database.write() as connection:
            job = watched.job_of_content(connection, found.sha256)
            fresh = job is None
            if job is None:
                if jobs.count_open_cases(connection) >= MOST_OPEN_CASES:
                    raise StoreFull(f"{MOST_OPEN_CASES} cases wait already")
                job = jobs.insert_job(connection, new, self._clock(), source=watched.SOURCE)
            watched.note(connection, found, job, self._clock())
            return job, fresh

    def noted_files(self, paths: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return what is noted of files; see :func:`watched.as_noted`."""
        with self._database.read() as connection:
            return watched.as_noted(connection, paths)

    def taken_as(self, path: str, job: str) -> tuple[FoundFile, str] | None:
        """Return what is noted of a job's file; see :func:`watched.taken_as`."""
        with self._database.read() as connection:
            return watched.taken_as(connection, path, job)

    def vanished_files(self) -> dict[str, str]:
        """Return the jobs whose file was not there; see :func:`watched.vanished`."""
        with self._database.read() as connection:
            return watched.vanished(connection)

    def retry_vanished(self, jobs_of_files: Iterable[str]) -> int:
        """Queue cases again whose file is there again; see :func:`jobs.retry_vanished`."""
        with self._database.write() as connection:
            return sum(
                jobs.retry_vanished(connection, one, watched.NOT_THERE) for one in jobs_of_files
            )

    def check_quota(self, more: int) -> None:
        """Return where ``more`` bytes of recordings may come.

        Raises:
            StoreFull: they may not.
        """
        with self._database.read() as connection:
            kept = jobs.kept_bytes(connection)
        self._recordings.check_quota(kept, more)

    def list_jobs(self, owner: str | None, limit: int, before: int | None) -> list[JobRecord]:
        """Return a page of jobs; see :func:`jobs.list_jobs`."""
        with self._database.read() as connection:
            return jobs.list_jobs(connection, owner, limit, before, self._clock())

    def get_job(self, identity: str, owner: str | None) -> JobRecord:
        """Return a job; raises as :func:`jobs.get_job` does."""
        with self._database.read() as connection:
            return jobs.get_job(connection, identity, owner, self._clock())

    def list_cases(
        self,
        owner: str | None,
        limit: int,
        before: int | None,
        job: str | None = None,
        state: CaseState | None = None,
    ) -> list[CaseRecord]:
        """Return a page of cases; raises as :func:`jobs.list_cases` does."""
        with self._database.read() as connection:
            return jobs.list_cases(connection, owner, limit, before, job, state)

    def get_case(
        self, identity: str, owner: str | None, number: int | None = None
    ) -> tuple[CaseRecord, Revision | None]:
        """Return a case and a revision of it; see :func:`jobs.get_case`, which may raise."""
        with self._database.read() as connection:
            return jobs.get_case(connection, identity, owner, number)

    def keep_call(self, call: AnsweredCall) -> CaseRecord:
        """Keep a call that was answered in part, with its recording where that has arrived.

        Raises:
            StoreFull: the quota.
            StoreUnavailable: nothing was kept.
        """
        received = {one.sha256: one for one in (call.case.received,) if one is not None}
        with self._database.read() as connection:
            self._check_room(connection, received, 0)
        self._recordings.keep_all(received.values())
        with self._database.write() as connection:
            self._check_room(connection, received, 0)
            self._check_kept(received)
            identity = jobs.insert_call(connection, call, self._clock())
            found, _ = jobs.get_case(connection, identity, None)
        if received:
            self.forget(received)  # where repairs have no room for it
        return found

    def cancel_job(self, identity: str, owner: str | None) -> JobRecord:
        """Cancel what has not ended, and return the job; raises as :func:`jobs.cancel_job` does."""
        with self._database.write() as connection:
            if jobs.cancel_job(connection, identity, owner, self._clock()):
                webhooks.tell_job(connection, identity, self._clock())
            return jobs.get_job(connection, identity, owner, self._clock())

    def retry_job(self, identity: str, owner: str | None) -> JobRecord:
        """Queue what failed again, and return the job; raises as :func:`jobs.retry_job` does."""
        with self._database.write() as connection:
            jobs.retry_job(connection, identity, owner)
            return jobs.get_job(connection, identity, owner, self._clock())

    def claim(self, lease_sec: float, limit: int) -> list[Claimed]:
        """Lease up to ``limit`` cases to a worker; see :func:`leases.claim`."""
        with self._database.claim() as connection:
            return leases.claim(connection, self._clock(), lease_sec, limit)

    def renew(self, tokens: Iterable[str], lease_sec: float) -> set[str]:
        """Prolong leases; see :func:`leases.renew`."""
        with self._database.write() as connection:
            return leases.renew(connection, tokens, self._clock(), lease_sec)

    def finish(self, claimed: Claimed, ending: Ending) -> bool:
        """End a case, once; false where its lease is gone. Its recording goes if nobody needs it.

        Raises:
            StoreUnavailable: the case has not ended.
        """
        (held,) = self.finish_all([(claimed, ending)])
        if held and claimed.recording is not None:
            self.forget([claimed.recording])
        return held

    def finish_all(self, results: Sequence[tuple[Claimed, Ending]]) -> list[bool]:
        """End cases together, each once; false for each whose lease is gone.

        Their recordings stay until :meth:`forget`.

        Raises:
            StoreUnavailable: none has ended.
        """
        with self._database.write() as connection:
            held = leases.finish_all(connection, results, self._clock())
            ended = [one.id for (one, _), ends in zip(results, held, strict=True) if ends]
            webhooks.tell_cases(connection, ended, self._clock())
        return held

    def forget(self, recordings: Collection[str]) -> None:
        """Remove those of ``recordings`` that no case needs; the next sweep does what is left."""
        with suppress(StoreUnavailable):
            self._forget(recordings)

    def put_back(
        self,
        claimed: Claimed,
        after_sec: float = 0.0,
        *,
        counted: bool = True,
        error_type: str | None = None,
        error: str | None = None,
    ) -> bool:
        """Queue a case again, for ``after_sec`` seconds from now; see :func:`leases.put_back`."""
        with self._database.write() as connection:
            return leases.put_back(
                connection,
                claimed,
                self._clock() + after_sec,
                counted=counted,
                error_type=error_type,
                error=error,
            )

    def reap(self, max_tries: int) -> tuple[list[str], list[str]]:
        """Take back cases whose worker is gone; see :func:`leases.reap`."""
        with self._database.write() as connection:
            queued, failed = leases.reap(connection, self._clock(), max_tries)
            webhooks.tell_cases(connection, failed, self._clock())
            return queued, failed

    def waiting_repairs(self) -> dict[str, int]:
        """Return how many repairs wait for which target."""
        with self._database.read() as connection:
            return repairs.waiting(connection)

    def claim_repairs(self, lease_sec: float, targets: Iterable[str], limit: int) -> list[ToRepair]:
        """Lease repairs to a worker; see :func:`repairs.claim`."""
        with self._database.claim() as connection:
            return repairs.claim(connection, self._clock(), lease_sec, targets, limit)

    def renew_repairs(self, tokens: Iterable[str], lease_sec: float) -> set[str]:
        """Prolong leases; see :func:`repairs.renew`."""
        with self._database.write() as connection:
            return repairs.renew(connection, tokens, self._clock(), lease_sec)

    def revise(self, claimed: ToRepair, ending: Ending) -> bool:
        """Store the next revision, once; false where its lease is gone. See :meth:`finish`."""
        with self._database.write() as connection:
            revised = repairs.revise(connection, claimed, ending, self._clock())
            if revised:
                number = claimed.number + 1
                webhooks.tell_revision(
                    connection, claimed.id, claimed.job, number, ending, self._clock()
                )
        if revised:
            self._forget_of(claimed)
        return revised

    def put_back_repair(
        self, claimed: ToRepair, after_sec: float, *, counted: bool, error_type: str, error: str
    ) -> bool:
        """Have a repair wait for ``after_sec`` seconds; see :func:`repairs.put_back`."""
        with self._database.write() as connection:
            return repairs.put_back(
                connection,
                claimed,
                self._clock() + after_sec,
                counted=counted,
                error_type=error_type,
                error=error,
            )

    def give_up_repair(self, claimed: ToRepair, error_type: str, error: str) -> bool:
        """End a repair without a revision; see :func:`repairs.give_up`."""
        with self._database.write() as connection:
            ended = repairs.give_up(connection, claimed, error_type, error)
        if ended:
            self._forget_of(claimed)
        return ended

    def expire_repairs(self) -> list[str]:
        """End the wait of what has waited too long; see :func:`repairs.expire`."""
        with self._database.write() as connection:
            return repairs.expire(connection, self._clock())

    def _forget_of(self, claimed: ToRepair) -> None:
        if claimed.recording is not None:
            self.forget([claimed.recording])

    def backlog(self) -> Backlog:
        """Return what waits."""
        with self._database.read() as connection:
            return leases.backlog(connection, self._clock())

    def close(self) -> None:
        """Close the database."""
        self._database.close()
