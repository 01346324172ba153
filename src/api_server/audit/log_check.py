"""Check a whole log: every change, cut and reorder is found, and said where."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from api_server.audit.entry import REMOVALS, Entry, commit
from api_server.audit.merkle import Frontier
from api_server.audit.note import Checkpoint, NoteInvalid, VerifierKey, open_note, split_notes

COMMITTED = ("answer", "adopted")
"""Entries whose content is in the store."""


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """An entry as it is kept: with its hash, and its salt if that is there."""

    entry: Entry
    leaf: str
    salt: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was written; ``where`` names the entries or the line."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class LogReport:
    """What a check found; ``signed`` entries are covered by the latest checkpoint."""

    entries: int
    signed: int
    checkpoints: int
    faults: tuple[Fault, ...]


def check_log(
    kept: Iterable[KeptEntry],
    notes: str,
    key: VerifierKey,
    content_of: Callable[[Entry], bytes | None],
) -> LogReport:
    """Check entries in their order, against themselves, their contents and the checkpoints.

    Args:
        kept: all entries, by their numbers.
        notes: the checkpoints, one behind the other.
        key: who signs them.
        content_of: returns what an entry of :data:`COMMITTED` commits to, as it is now; ``None``
            where it is not there.
    """
    faults: list[Fault] = []
    checkpoints = _checkpoints(notes, key, faults)
    entries = list(kept)
    _check_entries(entries, faults)
    _check_checkpoints([bytes.fromhex(_hex(one.leaf)) for one in entries], checkpoints, faults)
    _check_contents(entries, content_of, faults)
    signed = min(len(entries), max((one.size for one in checkpoints), default=0))
    return LogReport(len(entries), signed, len(checkpoints), tuple(faults))


def _checkpoints(notes: str, key: VerifierKey, faults: list[Fault]) -> list[Checkpoint]:
    found: list[Checkpoint] = []
    for line, note in split_notes(notes):
        try:
            one = open_note(note, key)
        except NoteInvalid as exc:
            faults.append(Fault(f"checkpoint in line {line}", str(exc)))
            continue
        if found and one.size < found[-1].size:
            faults.append(Fault(f"checkpoint in line {line}", "of fewer entries than one before"))
        found.append(one)
    return found


def _check_entries(entries: Sequence[KeptEntry], faults: list[Fault]) -> None:
    for position, one in enumerate(entries):
        before = entries[position - 1].entry.seq if position else -1
        if one.entry.seq != before + 1:
            faults.append(_gap(before + 1, one.entry.seq - 1))
        try:
            intact = one.entry.leaf().hex() == one.leaf
        except (ValueError, TypeError):
            intact = False
        if not intact:
            faults.append(Fault(f"entry {one.entry.seq}", "is not what was written"))


def _gap(first: int, last: int) -> Fault:
    where = f"entry {first}" if first == last else f"entries {first} to {last}"
    return Fault(where, "missing" if last >= first else "twice, or out of order")


def _check_checkpoints(
    leaves: Sequence[bytes], checkpoints: Sequence[Checkpoint], faults: list[Fault]
) -> None:
    """Hold the leaves to each checkpoint; one that fails is told with the entries that it adds."""
    tree, good = Frontier(), 0
    for one in sorted(checkpoints, key=lambda one: one.size):
        if one.size > len(leaves):
            faults.append(
                Fault(
                    f"entries {len(leaves)} to {one.size - 1}",
                    f"cut off: the checkpoint of {one.time or 'then'} has {one.size} entries",
                )
            )
            return
        for leaf in leaves[tree.size : one.size]:
            tree.add(leaf)
        if tree.root() == one.root:
            good = one.size
            continue
        faults.append(
            Fault(
                f"entries {good} to {one.size - 1}",
                f"not those that the checkpoint of {one.time or 'then'} has signed",
            )
        )
        return  # every later one has these entries too


def _check_contents(
    entries: Sequence[KeptEntry],
    content_of: Callable[[Entry], bytes | None],
    faults: list[Fault],
) -> None:
    removed: dict[str, int] = defaultdict(lambda: -1)
    for one in entries:
        if one.entry.kind in REMOVALS:
            removed[one.entry.subject] = max(removed[one.entry.subject], one.entry.seq)
    for one in entries:
        entry = one.entry
        was_removed = removed[entry.subject] > entry.seq
        if entry.commitment is None or was_removed:
            continue
        where = f"entry {entry.seq}"
        if one.salt is None:
            faults.append(Fault(where, f"its salt is gone, and {_named(entry)} was not erased"))
        elif entry.kind in COMMITTED:
            content = content_of(entry)
            if content is None:
                faults.append(Fault(where, f"{_named(entry)} is gone, and was not erased"))
            elif not _commits(one.salt, content, entry.commitment):
                faults.append(Fault(where, f"{_named(entry)} is not what was recorded"))


def _commits(salt: str, content: bytes, commitment: str) -> bool:
    try:
        return commit(salt, content) == commitment
    except (ValueError, TypeError):
        return False


def _named(entry: Entry) -> str:
    number = revision_of(entry)
    return f"revision {number} of {entry.subject}" if number else "what it commits to"


def revision_of(entry: Entry) -> int | None:
    """Return the number of the revision that an entry is about, if it is about one."""
    try:
        number = json.loads(entry.facts).get("revision")
    except (ValueError, TypeError, AttributeError):
        return None
    return number if isinstance(number, int) else None


def _hex(text: object) -> str:
    try:
        return text if isinstance(text, str) and len(bytes.fromhex(text)) == 32 else "00" * 32  # noqa: PLR2004
    except ValueError:
        return "00" * 32
