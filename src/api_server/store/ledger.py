"""What proves the record of cases, and what is done with one as a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import Connection

from api_server.audit.archive import build_proof, manifest_content
from api_server.audit.entry import commit, new_salt
from api_server.audit.log_check import Fault, LogReport, check_log
from api_server.audit.note import VerifierKey
from api_server.store import audit_log, jobs, removal, revisions
from api_server.store.checkpoints import CheckpointFile
from api_server.store.database import Database
from api_server.store.records import CaseFile

_NOTHING_NOTED: Mapping[str, Any] = MappingProxyType({"salt": "", "values": {}})


class Ledger:
    """The log, its checkpoints, holds and exports; each method is one transaction or two.

    Args:
        database: of the store.
        checkpoints: where the log is signed.
        clock: seconds since 1970, UTC.
    """

    def __init__(
        self, database: Database, checkpoints: CheckpointFile, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._checkpoints = checkpoints
        self._clock = clock

    def copy_to(self, folder: Path) -> None:
        """Copy the checkpoints; see :meth:`CheckpointFile.copy_to`."""
        self._checkpoints.copy_to(folder)

    def hold(self, identity: str, reason: str, actor: str) -> bool:
        """Hold a case; see :func:`removal.hold`."""
        with self._database.write() as connection:
            return removal.hold(connection, identity, reason, actor, self._clock())

    def release(self, identity: str, actor: str) -> bool:
        """Release a case; see :func:`removal.release`."""
        with self._database.write() as connection:
            return removal.release(connection, identity, actor, self._clock())

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

    def note_in_force(self, settings: Mapping[str, str], rubric: Mapping[str, str]) -> None:
        """Record settings and rubric where they are others than those recorded last.

        The log gets their names and salted digests of the values, and never a value.
        """
        with self._database.write() as connection:
            _note(connection, self._clock(), "setting", settings)
            _note(connection, self._clock(), "rubric", rubric)

    def checkpoint(self) -> str:
        """Sign the log as it is and return the note; see :meth:`CheckpointFile.append`."""
        return self._checkpoints.append(self._leaves, self._clock())[0]

    def _leaves(self) -> list[bytes]:
        with self._database.read() as connection:
            return list(audit_log.leaves(connection))

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

    def case_file(self, identity: str) -> CaseFile:
        """Return everything about a case; raises as :func:`jobs.get_case` does."""
        with self._database.read() as connection:
            case, _ = jobs.get_case(connection, identity, None)
            return CaseFile(
                case,
                jobs.get_job(connection, case.job, None, self._clock()),
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
