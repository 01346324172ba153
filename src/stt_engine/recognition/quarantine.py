"""Recordings that end the process that works on them: not tried for ever."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stt_engine.errors import (
    DeadlineExceeded,
    RecordingQuarantined,
    StorageUnresponsive,
    WorkerDied,
)
from stt_engine.hashing import sha256_of
from stt_engine.system.file_threads import FileThreads

STRIKES = 2
"""Ends of a process, without a success in between, that quarantine a recording."""

QUARANTINE_SEC = 3600.0
_KEPT = 256
_HASH_SEC = 60.0


def _is_strike(error: Exception) -> bool:
    """Return whether a process ended at work; one that ended while loading had no recording yet."""
    return isinstance(error, WorkerDied | DeadlineExceeded) and not error.logged


@dataclass(slots=True)
class _Record:
    size: int
    strikes: int
    at: float


class Quarantine:
    """Counts, by content, how often a recording ended a process in a row.

    Files are only read again after an end has happened: a server that never crashes pays nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._disk = FileThreads("the recording", _HASH_SEC)
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def refuse(self, path: Path) -> None:
        """Let a recording pass unless it is in quarantine.

        Raises:
            RecordingQuarantined: it is.
        """
        digest = self._known(path)
        with self._lock:
            record = self._records.get(digest or "")
            if record is None or record.strikes < STRIKES:
                return
            left = record.at + QUARANTINE_SEC - self._clock()
            if left <= 0:
                del self._records[digest or ""]
                return
        raise RecordingQuarantined(
            f"this recording ended the process {record.strikes} times in a row; "
            f"it is tried again in {left / 60:.0f} min at the earliest"
        )

    def learn(self, path: Path, errors: Iterable[Exception], *, recognised: bool) -> None:
        """Count how a call with this recording went."""
        strikes = sum(_is_strike(error) for error in errors)
        if recognised:
            digest = self._known(path)
            with self._lock:
                self._records.pop(digest or "", None)
        elif strikes:
            self._strike(path, strikes)

    def _strike(self, path: Path, strikes: int) -> None:
        try:
            digest, size = self._disk.run(lambda: (sha256_of(path), path.stat().st_size))
        except (OSError, StorageUnresponsive):
            return  # it is gone: nobody can send it again by this path
        with self._lock:
            known = self._records.pop(digest, None)
            total = strikes + (known.strikes if known else 0)
            self._records[digest] = _Record(size, total, self._clock())
            while len(self._records) > _KEPT:
                self._records.popitem(last=False)

    def _known(self, path: Path) -> str | None:
        """Return the content's hash if a recording of this size has a record."""
        with self._lock:
            sizes = {record.size for record in self._records.values()}

        def known() -> str | None:
            return sha256_of(path) if path.stat().st_size in sizes else None

        try:
            return self._disk.run(known) if sizes else None
        except (OSError, ValueError, StorageUnresponsive):
            return None  # the decoder reports what is wrong with it
