"""The store as its users see it: each method is one transaction; any thread may call it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import Connection

from api_server.audit.archive import build_proof, manifest_content
from api_server.audit.entry import commit, new_salt
from api_server.audit.log_check import Fault, LogReport, check_log
from api_server.audit.note import VerifierKey
from api_server.store import audit_log, jobs, leases, removal, revisions
from api_server.store.checkpoints import CheckpointFile
from api_server.store.database import Database
from api_server.store.errors import StoreFull, StoreUnavailable
from api_server.store.recordings import RecordingFolder
from api_server.store.records import (
    Backlog,
    CaseFile,
    CaseRecord,
    CaseState,
    Claimed,
    Ending,
    JobRecord,
    NewJob,
    ProofFiles,
    Retention,
    Revision,
)

MOST_OPEN_CASES = 1_000_000
"""Cases that may wait; one more job is refused."""

_NOTHING_NOTED: Mapping[str, Any] = MappingProxyType({"salt": "", "values": {}})


class Store:
    """Jobs and cases in a database, recordings beside it.

    Args:
        path: the database's file.
        recordings: the folder.
        clock: seconds since 1970, UTC.
        retention: how long what is kept.
        proof: where the log is signed; by default beside the database.

    Raises:
        StoreUnavailable: the database cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        recordings: RecordingFolder,
        clock: Callable[[], float] = time.time,
        retention: Retention | None = None,
        proof: ProofFiles | None = None,
    ) -> None:
        self._database = Database(path)
        self._recordings = recordings
        self._clock = clock
        self._retention = retention or Retention()
        files = proof or ProofFiles.beside(path)
        self._checkpoints = CheckpointFile(files.notes, files.key)
        with self._database.read() as connection:
            is_new = audit_log.size(connection) == 0
        if is_new:
            with self._database.write() as connection:
                if audit_log.size(connection) == 0:
                    audit_log.adopt(connection, clock())

    @property
    def replaced(self) -> bool:
        """True where the database's file is another one, or gone: nothing can be kept here."""
        return self._database.replaced

    def submit(self, new: NewJob) -> tuple[str, bool]:
        """Take a job, its recordings and all; return its id, and whether it is a new one.

        Raises:
            KeyReused: its idempotency key stands for another request.
            StoreFull: the quota, or the reserve of free space.
            StoreUnavailable: nothing was taken.
        """
        received = {one.received.sha256: one.received for one in new.cases if one.received}
        with self._database.write() as connection:
            known = jobs.find_replayed(connection, new)
            if known is not None:
                return known, False
            if jobs.count_open_cases(connection) + len(new.cases) > MOST_OPEN_CASES:
                raise StoreFull(f"{MOST_OPEN_CASES} cases wait already")
            missing = jobs.missing_recordings(connection, received)
            more = sum(received[one].bytes for one in missing)
            self._recordings.check_quota(jobs.kept_bytes(connection), more)
            # Within the transaction: no other process may forget this content meanwhile.
            for one in received.values():
                self._recordings.keep(one)
            return jobs.insert_job(connection, new, self._clock()), True

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
            return jobs.list_jobs(connection, owner, limit, before)

    def get_job(self, identity: str, owner: str | None) -> JobRecord:
        """Return a job; raises as :func:`jobs.get_job` does."""
        with self._database.read() as connection:
            return jobs.get_job(connection, identity, owner)

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

    def get_case(self, identity: str, owner: str | None) -> tuple[CaseRecord, Revision | None]:
        """Return a case and its latest revision; raises as :func:`jobs.get_case` does."""
        with self._database.read() as connection:
            return jobs.get_case(connection, identity, owner)

    def cancel_job(self, identity: str, owner: str | None) -> JobRecord:
        """Cancel what has not ended, and return the job; raises as :func:`jobs.cancel_job` does."""
        with self._database.write() as connection:
            jobs.cancel_job(connection, identity, owner, self._clock())
            return jobs.get_job(connection, identity, owner)

    def retry_job(self, identity: str, owner: str | None) -> JobRecord:
        """Queue what failed again, and return the job; raises as :func:`jobs.retry_job` does."""
        with self._database.write() as connection:
            jobs.retry_job(connection, identity, owner)
            return jobs.get_job(connection, identity, owner)

    def claim(self, lease_sec: float, limit: int) -> list[Claimed]:
        """Lease up to ``limit`` cases to a worker; see :func:`leases.claim`."""
        with self._database.write() as connection:
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
        with self._database.write() as connection:
            ended = leases.finish(connection, claimed, ending, self._clock())
        if ended and claimed.recording is not None:
            with suppress(StoreUnavailable):  # the case has ended; the next start removes it
                self._forget([claimed.recording])
        return ended

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
            return leases.reap(connection, self._clock(), max_tries)

    def backlog(self) -> Backlog:
        """Return what waits."""
        with self._database.read() as connection:
            return leases.backlog(connection)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _forget(self, sha256s: list[str] | None) -> None:
        with self._database.write() as connection:
            now = self._clock()
            gone = leases.forget_unneeded(
                connection,
                now - self._recordings.keep_sec,
                now - self._retention.recordings_sec,
                sha256s,
            )
            self._recordings.remove(gone)

    def sweep(self) -> None:
        """Remove what has outlived its days, and what an end in the middle has left behind."""
        expired = 0
        while more := self._expire():
            expired += more
        self._forget(None)
        with self._database.write() as connection:
            self._recordings.remove(self._recordings.on_disk() - jobs.all_recordings(connection))
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

    def hold(self, identity: str, reason: str, actor: str) -> bool:
        """Hold a case; see :func:`removal.hold`."""
        with self._database.write() as connection:
            return removal.hold(connection, identity, reason, actor, self._clock())

    def release(self, identity: str, actor: str) -> bool:
        """Release a case; see :func:`removal.release`."""
        with self._database.write() as connection:
            return removal.release(connection, identity, actor, self._clock())

    def note_in_force(self, settings: Mapping[str, str], rubric: Mapping[str, str]) -> None:
        """Record settings and rubric where they are others than those recorded last.

        The log gets their names and salted digests of the values, and never a value.
        """
        with self._database.write() as connection:
            _note(connection, self._clock(), "setting", settings)
            _note(connection, self._clock(), "rubric", rubric)

    def record(
        self,
        kind: Literal["decision", "look"],
        case: str,
        actor: str,
        facts: Mapping[str, Any] | None = None,
        content: bytes | None = None,
    ) -> None:
        """Record what somebody decided about a case, or that they saw what is not masked.

        What is stored with it belongs into the same transaction: see :func:`audit_log.record`.
        """
        with self._database.write() as connection:
            audit_log.record(
                connection, self._clock(), kind, case, actor=actor, facts=facts, content=content
            )

    def checkpoint(self) -> str:
        """Sign the log as it is and return the note; see :meth:`CheckpointFile.append`."""
        return self._checkpoints.append(self._leaves, self._clock())[0]

    def _leaves(self) -> list[bytes]:
        with self._database.read() as connection:
            return list(audit_log.leaves(connection))

    def examine(self) -> list[str]:
        """Return what is wrong with the database and the recordings; nothing where all is well."""
        found = self._database.examine()
        with self._database.read() as connection:
            kept = jobs.all_recordings(connection)
        lost = sorted(kept - self._recordings.on_disk())
        return found + [f"recording {one}: its file is gone" for one in lost]

    def backup(self, target: Path) -> int:
        """Copy database, recordings and checkpoints to a new folder; return how many recordings.

        What is removed meanwhile is in the copy of the database, and not among the recordings.

        Raises:
            StoreUnavailable: that cannot be done.
            OSError: the folder cannot be made.
        """
        target.mkdir(mode=0o700)
        self._database.copy_to(target / "cases.db")
        count = self._recordings.copy_to(target / "recordings")
        self._checkpoints.copy_to(target)
        return count

    def case_file(self, identity: str) -> CaseFile:
        """Return everything about a case; raises as :func:`jobs.get_case` does."""
        with self._database.read() as connection:
            case, _ = jobs.get_case(connection, identity, None)
            return CaseFile(
                case,
                jobs.get_job(connection, case.job, None),
                tuple(revisions.list_revisions(connection, case.seq)),
                revisions.recording_of(connection, case.seq) or case.recording,
                removal.findings_of(connection, case.seq),
                is_held=removal.is_held(connection, case.seq),
            )

    def prove_export(
        self, case: CaseFile, files: Mapping[str, str], actor: str, *, masked: bool
    ) -> dict[str, Any]:
        """Record an export, sign the log, and return the proof of all entries of the case.

        Args:
            case: what is exported.
            files: the hashes of the archive's files by their names.
            actor: who gets it.
            masked: personal data is hidden in it.

        Raises:
            KeyMissing, LogBroken, StoreUnavailable: as :meth:`checkpoint` does; the export is
                recorded, and is not to be handed out.
        """
        identity = case.record.id
        with self._database.write() as connection:
            known = sum(1 for _ in audit_log.entries(connection, identity))
            last = audit_log.record(
                connection,
                self._clock(),
                "export",
                identity,
                actor=actor,
                facts={"entries": known + 1, "masked": masked},
                content=manifest_content(files),
            )
        note, leaves = self._checkpoints.append(self._leaves, self._clock())
        with self._database.read() as connection:
            found = [
                one for one in audit_log.entries(connection, identity) if one.entry.seq <= last
            ]
        key = self._checkpoints.verifier()
        return build_proof(identity, found, leaves, note, key, files, case.recording)

    def verify(self, key: VerifierKey | None = None) -> LogReport:
        """Check the whole log, and every answer against it.

        Args:
            key: who signs; by default this machine's own key.

        Raises:
            KeyMissing: there is no key to check with.
            StoreUnavailable: the database, or the file of checkpoints, cannot be read.
        """
        notes = self._checkpoints.read()
        verifier = key or self._checkpoints.verifier()
        with self._database.read() as connection:
            found = check_log(
                audit_log.entries(connection), notes, verifier, audit_log.contents(connection)
            )
            more = [
                Fault(f"revision {number} of {case}", "no entry has recorded it")
                for case, number in audit_log.unrecorded(connection)
            ]
        return LogReport(found.entries, found.signed, found.checkpoints, (*found.faults, *more))


def _note(
    connection: Connection,
    now: float,
    kind: Literal["setting", "rubric"],
    values: Mapping[str, str],
) -> None:
    before = audit_log.latest(connection, kind)
    known: Mapping[str, Any] = json.loads(before.facts) if before else _NOTHING_NOTED
    as_before = _digests(known["salt"], values)
    if before is not None and as_before == known["values"]:
        return
    salt = new_salt()
    names = {*as_before, *known["values"]}
    changed = [one for one in sorted(names) if as_before.get(one) != known["values"].get(one)]
    facts = {
        "salt": salt,
        "values": _digests(salt, values),
        "changed": changed if before is not None else [],
    }
    audit_log.record(connection, now, kind, facts=facts)


def _digests(salt: str, values: Mapping[str, str]) -> dict[str, str]:
    return {name: commit(salt, value.encode()) for name, value in values.items()}
