"""Recordings in an object store (S3 and what speaks like it), by the hash of their content.

One that comes is written to this machine's disk first, encrypted where there are keys, and then put
there as a whole under a name of its own; within the store it gets its name, or never does.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from api_server.store.errors import RecordingsUnreachable, StoreUnavailable
from api_server.store.recordings import DAY_SEC, Received, RecordingFolder
from api_server.store.sealed import SealedReader, is_sealed
from stt_engine.system.tempdirs import scratch_folder

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_INCOMING = "incoming"
_BLOCK = 1024 * 1024
_BUFFER = 256 * 1024
_BEGINNING = 64
_AT_ONCE = 16
_OURS = re.compile("([0-9a-f]{2})/\\1[0-9a-f]{62}")
"""Names of recordings: whatever else is there is not touched."""
_CLIENT: ClientConfig = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(minutes=10),
}
_RETRIES: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}


_NOT_THERE = (NotFoundError, FileNotFoundError)


class RecordingObjects(RecordingFolder):
    """The recordings below a URL.

    Args:
        url: ``s3://BUCKET/PREFIX``; where the server is and who calls is in the environment.
        folder: of this machine, where recordings are until they have been put there.

    The others are those of :class:`RecordingFolder`; the reserve is that of ``folder``'s disk.
    """

    def __init__(self, url: str, folder: RecordingFolder) -> None:
        super().__init__(
            folder.folder, folder.max_bytes, folder.reserve_bytes, folder.keep_sec, folder.keys
        )
        self._url = url.rstrip("/")

    @cached_property
    def _store(self) -> ObjectStore:
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        client: ClientConfig = {**_CLIENT, "allow_http": endpoint.startswith("http://")}
        return from_url(self._url, client_options=client, retry_config=_RETRIES)

    @property
    def shown(self) -> str:
        """Where they are."""
        return self._url

    def check_usable(self) -> None:
        """Return where the store answers, and lets its names be seen.

        Raises:
            StoreFull: the reserve of this machine's disk is touched already.
            StoreUnavailable: there is no such bucket.
            RecordingsUnreachable: the store gives no answer, or refuses.
        """
        if self.folder.exists():
            self.check_free(0)
        with self._translated(""):
            next(iter(obstore.list(self._store, _INCOMING, chunk_size=1)), None)

    def receive(self, content: BinaryIO, size: int | None = None) -> Received:
        """Put ``content`` into the store, from where it is now to its end.

        Raises:
            StoreFull: the reserve of this machine's disk would be touched.
            StoreUnavailable: it cannot be written there.
            RecordingsUnreachable: the store gives no answer, or refuses.
        """
        written = super().receive(content, size)
        key = f"{_INCOMING}/{uuid4().hex}"
        try:
            with self._translated(written.sha256):
                obstore.put(self._store, key, written.file)
        finally:
            written.drop()
        return Received(Path(key), written.sha256, written.bytes, self._drop)

    def _drop(self, received: Received) -> None:
        self._delete([str(received.file)])

    def keep_all(self, received: Iterable[Received]) -> None:
        """Put recordings under their names, several at once; see :meth:`RecordingFolder.keep_all`.

        Raises:
            StoreUnavailable: one is gone.
            RecordingsUnreachable: the store gives no answer, or refuses.
        """
        received = list(received)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(self._put, received))
        self._delete([str(one.file) for one in received])

    def _put(self, received: Received) -> None:
        with self._translated(received.sha256):
            obstore.copy(self._store, str(received.file), _key(received.sha256))

    def is_kept(self, sha256s: Iterable[str]) -> bool:
        """Return whether all of these recordings are kept.

        Raises:
            RecordingsUnreachable: the store gives no answer, or refuses.
        """
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return all(threads.map(self._is_there, sha256s))

    def _is_there(self, sha256: str) -> bool:
        try:
            with self._translated(sha256):
                obstore.head(self._store, _key(sha256))
        except RecordingsUnreachable:
            raise
        except StoreUnavailable:
            return False
        return True

    def path(self, sha256: str) -> Path:
        """Return where a recording is below the URL, if it is kept."""
        return Path(_key(sha256))

    @contextmanager
    def opened(self, sha256: str) -> Iterator[Path]:
        """Open a recording as a file: a copy that goes with the context.

        Raises:
            StoreUnavailable: it is gone, or not what was written.
            RecordingsUnreachable: the store gives no answer, or refuses.
            KeyMissing: its key is not there.
        """
        with scratch_folder() as folder:
            copy, fetched = folder / sha256, folder / "fetched"
            with self._translated(sha256), fetched.open("xb") as target:
                fetched.chmod(0o600)
                for block in obstore.get(self._store, _key(sha256)).stream(_BLOCK):
                    target.write(block)
            with fetched.open("rb") as source:
                if not is_sealed(source.read(_BEGINNING)):
                    yield fetched
                    return
                source.seek(0)
                with copy.open("xb") as target:
                    copy.chmod(0o600)
                    for chunk in SealedReader(source, self.keys).chunks():
                        target.write(chunk)
            fetched.unlink()
            yield copy

    def read_range(self, sha256: str, begin: int, end: int) -> bytes:
        """Return a part of a recording's bytes; raises as :meth:`opened` does."""
        with self._source(sha256) as source:
            if is_sealed(source.read(_BEGINNING)):
                return SealedReader(source, self.keys).read_range(begin, end)
            source.seek(begin)
            return source.read(max(0, end - begin))

    def _copy(self, sha256: str, copy: Path) -> None:
        try:
            with self._source(sha256) as source, copy.open("xb") as file:
                shutil.copyfileobj(source, file, _BLOCK)
        except StoreUnavailable as exc:
            if isinstance(exc.__cause__, _NOT_THERE):
                raise FileNotFoundError(str(exc)) from exc
            raise

    def remove(self, sha256s: Iterable[str]) -> dict[str, str]:
        """Remove recordings; return those that could not be, with the reason."""
        wanted = set(sha256s)
        reason = self._delete([_key(one) for one in wanted])
        return dict.fromkeys(wanted, reason) if reason else {}

    def on_disk(self) -> set[str]:
        """Return the hashes of the recordings in the store.

        Raises:
            RecordingsUnreachable: the store gives no answer, or refuses.
        """
        with self._translated(""):
            return {
                one["path"].rpartition("/")[2]
                for page in obstore.list(self._store, chunk_size=1000)
                for one in page
                if _OURS.fullmatch(one["path"])
            }

    def sweep_incoming(self) -> None:
        """Remove what has lain for a day and never became a recording."""
        super().sweep_incoming()
        since = datetime.now(UTC) - timedelta(seconds=DAY_SEC)
        with self._translated(""):
            old = [
                one["path"]
                for page in obstore.list(self._store, _INCOMING, chunk_size=1000)
                for one in page
                if one["last_modified"] < since
            ]
        self._delete(old)

    def beginning(self, sha256: str) -> bytes:
        """Return the first bytes of a recording as it is stored; raises as :meth:`opened` does."""
        with self._source(sha256) as source:
            return source.read(_BEGINNING)

    @contextmanager
    def _source(self, sha256: str) -> Iterator[BinaryIO]:
        with self._translated(sha256):
            reader = obstore.open_reader(self._store, _key(sha256), buffer_size=_BUFFER)
            yield cast("BinaryIO", _Bytes(reader))

    def _delete(self, keys: list[str]) -> str | None:
        """Delete objects; return why that could not be done, as it is for the next sweep then."""
        try:
            with self._translated(""):
                if keys:
                    obstore.delete(self._store, keys)
        except StoreUnavailable as exc:
            return str(exc)
        return None

    @contextmanager
    def _translated(self, sha256: str) -> Iterator[None]:
        try:
            yield
        except _NOT_THERE as exc:
            gone = f"the recording {self._url}/{_key(sha256)} is gone from the store"
            raise StoreUnavailable(gone) from exc
        except (BaseError, PermissionError, TimeoutError, ConnectionError) as exc:
            reason = str(exc).strip().partition("\n")[0]
            raise RecordingsUnreachable(f"the recordings {self._url}: {reason}") from exc


class _Bytes:
    """A reader whose blocks are ``bytes``."""

    def __init__(self, reader: obstore.ReadableFile) -> None:
        self._reader = reader
        self.seek, self.tell = reader.seek, reader.tell

    def read(self, size: int = -1) -> bytes:
        return bytes(self._reader.read(size) if size >= 0 else self._reader.readall())


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"
