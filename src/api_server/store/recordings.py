"""Recordings in a folder, by the hash of their content; each written whole or not at all.

Where there are keys they are encrypted, from the first byte that reaches the disk.
"""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from api_server.store.errors import StoreFull, StoreUnavailable
from api_server.store.sealed import SealedReader, SealedWriter, SealingKeys, is_sealed, key_of
from stt_engine.system.tempdirs import scratch_folder

_BLOCK = 1024 * 1024
_BEGINNING = 64
DAY_SEC = 86400.0
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Received:
    """A recording that has arrived whole and belongs to no case yet."""

    file: Path
    sha256: str
    bytes: int
    discard: Callable[[Received], None] | None = None
    """Removes it where ``file`` is none of this machine's."""

    def drop(self) -> None:
        """Remove it; one that was kept meanwhile stays."""
        if self.discard is None:
            self.file.unlink(missing_ok=True)
        else:
            self.discard(self)


class RecordingFolder:
    """The folder of recordings.

    Args:
        folder: made when the first recording comes.
        max_bytes: of all recordings that are kept.
        reserve_bytes: of free space that recordings leave on their file system.
        keep_sec: how long those of failed and cancelled cases are kept.
        keys: what they are encrypted with; without, they are not.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        reserve_bytes: int,
        keep_sec: float = math.inf,
        keys: SealingKeys | None = None,
    ) -> None:
        self.keep_sec = keep_sec
        self.keys = keys
        self.folder = folder
        self._incoming = folder / "incoming"
        self.max_bytes = max_bytes
        self.reserve_bytes = reserve_bytes

    def receive(self, content: BinaryIO, size: int | None = None) -> Received:
        """Write ``content`` to the disk, from where it is now to its end.

        Raises:
            StoreFull: the reserve of free space would be touched.
            StoreUnavailable: the folder cannot be written to.
        """
        file = self._incoming / uuid4().hex
        try:
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.check_free(size or 0)
            return self._written(content, file)
        except OSError as exc:
            file.unlink(missing_ok=True)
            if exc.errno in _NO_ROOM:
                raise StoreFull("the disk of the recordings is full") from exc
            raise StoreUnavailable(f"the recordings {self.folder}: {exc.strerror}") from exc
        except StoreFull:
            file.unlink(missing_ok=True)
            raise

    def _written(self, content: BinaryIO, file: Path) -> Received:
        digest, size = hashlib.sha256(), 0
        with file.open("xb") as target:
            file.chmod(0o600)
            sealed = SealedWriter(target, self.keys) if self.keys else None
            while block := content.read(_BLOCK):
                self.check_free(len(block))
                digest.update(block)
                size += (sealed or target).write(block)
            if sealed is not None:
                sealed.finish()
            target.flush()
            os.fsync(target.fileno())
        return Received(file, digest.hexdigest(), size)

    @property
    def shown(self) -> str:
        """Where they are."""
        return str(self.folder)

    def check_usable(self) -> None:
        """Return where a recording could be kept now.

        Raises:
            StoreFull: the reserve of free space is touched already.
            StoreUnavailable: the folder cannot be written to.
        """
        self.receive(io.BytesIO(b"?")).drop()

    def check_free(self, size: int) -> None:
        """Return where ``size`` more bytes leave the reserve untouched.

        Raises:
            StoreFull: they do not.
        """
        free = shutil.disk_usage(self.folder).free
        if free - size < self.reserve_bytes:
            raise StoreFull(
                f"the disk of the recordings has {free} bytes free, of which "
                f"{self.reserve_bytes} are the reserve (RECORDINGS_RESERVE_BYTES)"
            )

    def check_quota(self, kept: int, more: int) -> None:
        """Return where ``more`` bytes beside those ``kept`` are within the quota.

        Raises:
            StoreFull: they are not.
        """
        if kept + more > self.max_bytes:
            raise StoreFull(
                f"{kept} bytes of recordings are kept and {more} more would come; "
                f"the quota is {self.max_bytes} (RECORDINGS_MAX_BYTES)"
            )

    def keep(self, received: Received) -> None:
        """Move a recording to its name; raises as :meth:`keep_all` does."""
        self.keep_all([received])

    def keep_all(self, received: Iterable[Received]) -> None:
        """Move recordings to their names; the same content again changes nothing.

        Raises:
            StoreUnavailable: one is gone, or cannot be renamed.
        """
        folders = set[Path]()
        try:
            for one in received:
                target = self.path(one.sha256)
                if target.parent not in folders:
                    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    folders |= {target.parent, self.folder}
                one.file.replace(target)
            for folder in folders:  # once for all names in it
                _sync_folder(folder)
        except OSError as exc:
            raise StoreUnavailable(f"the recordings {self.folder}: {exc.strerror}") from exc

    def is_kept(self, sha256s: Iterable[str]) -> bool:
        """Return whether all of these recordings are kept."""
        return all(self.path(one).is_file() for one in sha256s)

    def path(self, sha256: str) -> Path:
        """Return where a recording is, if it is kept."""
        return self.folder / sha256[:2] / sha256

    @contextmanager
    def opened(self, sha256: str) -> Iterator[Path]:
        """Open a recording as a file; an encrypted one as a copy that goes with the context.

        Raises:
            StoreUnavailable: it is gone, or not what was written.
            KeyMissing: its key is not there.
        """
        path = self.path(sha256)
        try:
            source = path.open("rb")
        except OSError as exc:
            raise StoreUnavailable(f"the recording {path} is gone from the store") from exc
        with source:
            if not _begins_sealed(source):
                yield path
                return
            with scratch_folder() as folder:
                copy = folder / sha256
                with copy.open("xb") as target:
                    copy.chmod(0o600)
                    for chunk in SealedReader(source, self.keys).chunks():
                        target.write(chunk)
                yield copy

    def read_range(self, sha256: str, begin: int, end: int) -> bytes:
        """Return a part of a recording's bytes; raises as :meth:`opened` does."""
        path = self.path(sha256)
        try:
            with path.open("rb") as source:
                if _begins_sealed(source):
                    return SealedReader(source, self.keys).read_range(begin, end)
                source.seek(begin)
                return source.read(max(0, end - begin))
        except OSError as exc:
            raise StoreUnavailable(f"the recording {path} is gone from the store") from exc

    def is_current(self, sha256: str) -> bool:
        """Return whether a recording is encrypted with the key for new ones (or needs to be none).

        Raises:
            OSError, StoreUnavailable: it cannot be read.
        """
        return key_of(self.beginning(sha256)) == (self.keys.current if self.keys else None)

    def beginning(self, sha256: str) -> bytes:
        """Return the first bytes of a recording as it is stored; raises ``OSError``."""
        with self.path(sha256).open("rb") as source:
            return source.read(_BEGINNING)

    def rewrite(self, sha256: str) -> None:
        """Encrypt a recording with the key for new ones, or not at all where there is none.

        Raises:
            StoreUnavailable: it cannot be read or written.
            StoreFull: there is no room for the copy.
            KeyMissing: its key is not there.
        """
        with self.opened(sha256) as plain, plain.open("rb") as content:
            received = self.receive(content, plain.stat().st_size)
        if received.sha256 != sha256:
            received.drop()
            raise StoreUnavailable(f"the recording {self.path(sha256)} is not what it was")
        self.keep(received)

    def copy_to(self, target: Path) -> int:
        """Copy every recording, encrypted as it is, into a new folder; return how many.

        Raises:
            StoreUnavailable: that cannot be done.
        """
        count = 0
        try:
            target.mkdir(mode=0o700)
            for sha256 in self.on_disk():
                copy = target / sha256[:2] / sha256
                copy.parent.mkdir(mode=0o700, exist_ok=True)
                with suppress(FileNotFoundError):  # removed meanwhile
                    self._copy(sha256, copy)
                    count += 1
        except OSError as exc:
            raise StoreUnavailable(f"the copy {target}: {exc.strerror}") from exc
        return count

    def _copy(self, sha256: str, copy: Path) -> None:
        shutil.copy2(self.path(sha256), copy)

    def remove(self, sha256s: Iterable[str]) -> dict[str, str]:
        """Remove recordings; return those that could not be, with the reason."""
        left: dict[str, str] = {}
        for one in sha256s:
            try:
                self.path(one).unlink(missing_ok=True)
            except OSError as exc:
                left[one] = f"{self.path(one)}: {exc.strerror}"
        return left

    def on_disk(self) -> set[str]:
        """Return the hashes of the recordings in the folder."""
        return {file.name for file in self.folder.glob("??/*")}

    def sweep_incoming(self) -> None:
        """Remove what has lain for a day and never became a recording."""
        for file in self._incoming.glob("*"):
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > DAY_SEC:
                    file.unlink()


def _begins_sealed(source: BinaryIO) -> bool:
    beginning = source.read(_BEGINNING)
    source.seek(0)
    return is_sealed(beginning)


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
