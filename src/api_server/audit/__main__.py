"""``python -m api_server.audit ARCHIVE [KEY]``: check an exported case, without a store.

Exit codes: 0 nothing was changed; 1 something was; 2 no such archive or key.
"""

from __future__ import annotations

import sys
from pathlib import Path

from api_server.audit.archive import ArchiveInvalid, ArchiveReport, check_archive
from api_server.audit.entry import shown_time
from api_server.audit.note import NoteInvalid, VerifierKey

_MOST_ARGUMENTS = 2


def lines_of(report: ArchiveReport, *, trusted: bool) -> list[str]:
    """Return what a check found, for people: faults last."""
    found = [f"{report.case}: {len(report.entries)} entries, signed by {report.key.name}"]
    if not trusted:
        found.append(f"the key is the archive's own; compare it with that of the log: {report.key}")
    found += [
        f"  {one.seq}  {shown_time(one.at)}  {one.kind}  {one.actor}  {one.facts}"
        for one in report.entries
    ]
    if report.withheld:
        numbers = ", ".join(map(str, report.withheld))
        found.append(f"proved, and not in this archive: revision {numbers}")
    found += [f"CHANGED {one.where}: {one.what}" for one in report.faults]
    return [*found, "NOT as it was exported" if report.faults else "as it was exported"]


def key_of(given: str) -> VerifierKey:
    """Return a key, given as its text or as a file of it.

    Raises:
        NoteInvalid: it is none.
    """
    if "+" in given:
        return VerifierKey.from_text(given)
    try:
        return VerifierKey.from_text(Path(given).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise NoteInvalid(f"{given}: cannot be read as a key") from exc


def main(arguments: list[str]) -> int:
    """Check an archive and return the exit code."""
    if not 1 <= len(arguments) <= _MOST_ARGUMENTS:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        key = key_of(arguments[1]) if arguments[1:] else None
        report = check_archive(Path(arguments[0]), key)
    except (ArchiveInvalid, NoteInvalid, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    sys.stdout.write("\n".join(lines_of(report, trusted=key is not None)) + "\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
