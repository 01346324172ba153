"""The proof in an exported case: made from the log, and checked without it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import rfc8785

from api_server.audit.entry import REMOVALS, Entry, answer_content, commit
from api_server.audit.log_check import COMMITTED, Fault, KeptEntry, revision_of
from api_server.audit.merkle import inclusion_path, root_by_path
from api_server.audit.note import Checkpoint, NoteInvalid, VerifierKey, open_note

PROOF = "proof.json"
RECORDING = "recording"
"""The name, but for its ending, of a recording as it came."""

_VERSION = 1
_BLOCK = 1024 * 1024
_LARGEST_PROOF = 64 * 1024 * 1024


class ArchiveInvalid(ValueError):
    """A file is no exported case; the message says why."""


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """What a check found. ``withheld``: revisions that are proved but not in the archive."""

    case: str
    checkpoint: Checkpoint
    key: VerifierKey
    entries: tuple[Entry, ...]
    withheld: tuple[int, ...]
    faults: tuple[Fault, ...]


def manifest_content(files: Mapping[str, str]) -> bytes:
    """Return what the entry of an export commits to: the hashes of its files by their names."""
    return rfc8785.dumps(dict(files))


def revision_file(number: int) -> str:
    """Return the name of a revision in an archive."""
    return f"revisions/{number}.json"


def build_proof(
    case: str,
    entries: Sequence[KeptEntry],
    leaves: Sequence[bytes],
    note: str,
    key: VerifierKey,
    files: Mapping[str, str],
    recording: str | None,
) -> dict[str, Any]:
    """Return the proof: the entries of a case, each with its path to the checkpoint of ``note``.

    ``leaves`` are all of the log, as many as the checkpoint has. Where a revision is not among
    ``files``, its salt is not given either: nobody can try words.
    """
    return {
        "version": _VERSION,
        "case": case,
        "checkpoint": note,
        "key": str(key),
        "files": dict(files),
        "recording_sha256": recording,
        "entries": [
            {
                "entry": one.entry.to_data(),
                "salt": one.salt if _is_shown(one.entry, files) else None,
                "path": [node.hex() for node in inclusion_path(leaves, one.entry.seq)],
            }
            for one in entries
        ],
    }


def _is_shown(entry: Entry, files: Mapping[str, str]) -> bool:
    number = revision_of(entry)
    return entry.kind == "export" or (number is not None and revision_file(number) in files)


def check_archive(path: Path, trusted: VerifierKey | None = None) -> ArchiveReport:
    """Check an exported case without the log that it came from.

    Args:
        path: the archive.
        trusted: the key of the log; without it, that in the archive itself, which proves no more
            than that the archive fits together.

    Raises:
        ArchiveInvalid: it is no such archive, or its checkpoint is not signed by that key.
        OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _check(archive, trusted)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as exc:
        raise ArchiveInvalid(f"no archive, or a damaged one ({exc})") from exc
    except (KeyError, TypeError, AttributeError) as exc:
        raise ArchiveInvalid(f"{PROOF} lacks something ({exc})") from exc
    except NoteInvalid as exc:
        raise ArchiveInvalid(f"the checkpoint: {exc}") from exc
    except ValueError as exc:
        raise ArchiveInvalid(str(exc)) from exc


def _check(archive: zipfile.ZipFile, trusted: VerifierKey | None) -> ArchiveReport:
    proof = _read_proof(archive)
    key = trusted or VerifierKey.from_text(proof["key"])
    checkpoint = open_note(proof["checkpoint"], key)
    proved = [
        (Entry.from_data(one["entry"]), one["salt"], [bytes.fromhex(node) for node in one["path"]])
        for one in proof["entries"]
    ]
    faults = list(_check_files(archive, proof["files"]))
    entries = [entry for entry, _, _ in proved]
    for entry, _, path in proved:
        root = root_by_path(entry.leaf(), entry.seq, checkpoint.size, path)
        if root != checkpoint.root:
            faults.append(Fault(f"entry {entry.seq}", "is not in the log that was signed"))
        if entry.subject != proof["case"]:
            faults.append(Fault(f"entry {entry.seq}", f"is about {entry.subject or 'no case'}"))
    faults += _check_export(entries, proved, proof["files"])
    withheld = list[int]()
    for entry, salt, _ in proved:
        if entry.kind in COMMITTED:
            faults += _check_answer(archive, entry, salt, proof, entries, withheld)
    faults += _check_recording(proof["files"], proof["recording_sha256"])
    return ArchiveReport(
        str(proof["case"]), checkpoint, key, tuple(entries), tuple(withheld), tuple(faults)
    )


def _read_proof(archive: zipfile.ZipFile) -> dict[str, Any]:
    info = archive.getinfo(PROOF)
    if info.file_size > _LARGEST_PROOF:
        raise ArchiveInvalid(f"{PROOF} is too large")
    proof = json.loads(archive.read(info))
    if not isinstance(proof, dict) or proof.get("version") != _VERSION:
        raise ArchiveInvalid(f"{PROOF} is of another version")
    return proof


def _check_files(archive: zipfile.ZipFile, files: Mapping[str, str]) -> Iterable[Fault]:
    names = archive.namelist()
    for name in sorted({one for one in names if names.count(one) > 1}):
        yield Fault(name, "is there twice")
    for name in sorted(set(names) - set(files) - {PROOF}):
        yield Fault(name, "was added")
    for name in sorted(set(files) - set(names)):
        yield Fault(name, "is missing")
    for name in sorted(set(files) & set(names)):
        with archive.open(name) as content:
            if _sha256(content) != files[name]:
                yield Fault(name, "is not what was exported")


def _sha256(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := content.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _check_export(
    entries: Sequence[Entry],
    proved: Sequence[tuple[Entry, str | None, list[bytes]]],
    files: Mapping[str, str],
) -> Iterable[Fault]:
    """Hold the archive to its own entry: the files, and that no entry of the case was left out."""
    if [one.seq for one in entries] != sorted({one.seq for one in entries}):
        yield Fault(PROOF, "has entries twice, or out of order")
    if not entries or entries[-1].kind != "export":
        yield Fault(PROOF, "has no entry of this export at its end")
        return
    last, salt, _ = proved[-1]
    if last.commitment != (commit(salt, manifest_content(files)) if salt else None):
        yield Fault(f"entry {last.seq}", "is about other files than these")
    told = json.loads(last.facts).get("entries")
    if told != len(entries):
        yield Fault(PROOF, f"has {len(entries)} entries of the {told} that the case had")


def _check_answer(
    archive: zipfile.ZipFile,
    entry: Entry,
    salt: str | None,
    proof: Mapping[str, Any],
    entries: Sequence[Entry],
    withheld: list[int],
) -> Iterable[Fault]:
    number = revision_of(entry) or 0
    name = revision_file(number)
    if name not in proof["files"]:
        withheld.append(number)
        return
    if salt is None:
        if not any(one.kind in REMOVALS and one.seq > entry.seq for one in entries):
            yield Fault(name, "has no salt")
        return
    recordings = [proof["recording_sha256"], None]
    contents = [answer_content(archive.read(name), number, one) for one in recordings]
    if entry.commitment not in {commit(salt, one) for one in contents}:
        yield Fault(name, f"is not what entry {entry.seq} has recorded")


def _check_recording(files: Mapping[str, str], recording: str | None) -> Iterable[Fault]:
    for name, sha256 in files.items():
        if name.partition(".")[0] == RECORDING and sha256 != recording:
            yield Fault(name, "is not the recording that the answers are about")
