"""Checkpoints of the log, in a file outside the database, and the key that signs them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from api_server.audit.merkle import root_of
from api_server.audit.note import (
    Checkpoint,
    NoteInvalid,
    Signer,
    VerifierKey,
    open_note,
    split_notes,
)
from api_server.store.errors import KeyMissing, LogBroken, StoreUnavailable

_WAIT_SEC = 10.0


class CheckpointFile:
    """Signs what the log holds, and appends that to a file.

    Args:
        notes: the file of the checkpoints, one behind the other.
        key: the private key (PEM); it is made with the first checkpoint.
    """

    def __init__(self, notes: Path, key: Path) -> None:
        self._notes = notes
        self._key = key
        self.public = key.with_suffix(".pub")
        """The key that checkpoints are checked with, beside the private one."""

    def append(self, read: Callable[[], Iterable[bytes]], now: float) -> tuple[str, list[bytes]]:
        """Sign all of the log; return the note and the leaves that it is about.

        Where nothing was added since the last one, that one is returned. ``read`` returns the
        leaves; it is called while nobody else signs.

        Raises:
            KeyMissing: the key is gone, or is none.
            LogBroken: the log is not a continuation of what was signed last.
            StoreUnavailable: the file cannot be written.
        """
        try:
            self._notes.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(f"{self._notes}.lock", timeout=_WAIT_SEC):
                leaves = list(read())
                return self._append(leaves, now), leaves
        except Timeout as exc:
            raise StoreUnavailable(f"the checkpoints {self._notes}: another writes there") from exc
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise StoreUnavailable(f"the checkpoints {self._notes}: {reason}") from exc

    def _append(self, leaves: list[bytes], now: float) -> str:
        written = self.read()
        signer = self._signer(make=not written)
        for _, last in list(split_notes(written))[-1:]:
            before = _opened(last, signer.verifier)
            if before.size > len(leaves) or root_of(leaves[: before.size]) != before.root:
                raise LogBroken(
                    f"the log has {len(leaves)} entries, and is not the one whose {before.size} "
                    f"were signed at {before.time}: see `stt-engine audit verify`"
                )
            if before.size == len(leaves):
                return last
        root = root_of(leaves)
        time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        note = signer.sign(len(leaves), root, time)
        with self._notes.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{note}\n")
            file.flush()
            os.fsync(file.fileno())
        return note

    def read(self) -> str:
        """Return all checkpoints; nothing where there are none yet.

        Raises:
            StoreUnavailable: the file cannot be read.
        """
        try:
            return self._notes.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        except OSError as exc:
            raise StoreUnavailable(f"the checkpoints {self._notes}: {exc.strerror}") from exc

    def copy_to(self, folder: Path) -> None:
        """Copy the checkpoints and the public key, as far as they are there, and no private key.

        Raises:
            StoreUnavailable: that cannot be done.
        """
        try:
            for file in (self._notes, self.public):
                if file.exists():
                    shutil.copy2(file, folder / file.name)
        except OSError as exc:
            raise StoreUnavailable(f"the copy {folder}: {exc.strerror}") from exc

    def verifier(self) -> VerifierKey:
        """Return the key that checkpoints are checked with.

        Raises:
            KeyMissing: there is none, or it cannot be used.
        """
        return self._signer(make=False).verifier

    def _signer(self, *, make: bool) -> Signer:
        """Return the signer; a new key only where nothing was ever signed."""
        try:
            return Signer.from_pem(self._key.read_bytes())
        except FileNotFoundError as exc:
            if make:
                return self._made()
            raise KeyMissing(f"the key of the log, {self._key}, is not there") from exc
        except NoteInvalid as exc:
            raise KeyMissing(f"the key of the log, {self._key}: {exc}") from exc
        except OSError as exc:
            raise KeyMissing(f"the key of the log, {self._key}: {exc.strerror}") from exc

    def _made(self) -> Signer:
        signer = Signer.new()
        self._key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(signer.to_pem())
            file.flush()
            os.fsync(file.fileno())
        self.public.write_text(f"{signer.verifier}\n", "utf-8")
        return signer


def _opened(note: str, key: VerifierKey) -> Checkpoint:
    try:
        return open_note(note, key)
    except NoteInvalid as exc:
        raise LogBroken(f"the last checkpoint: {exc}; see `stt-engine audit verify`") from exc
