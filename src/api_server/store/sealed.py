"""What is encrypted at rest: AES-256-GCM in chunks, so that a part can be read without the rest.

Each file, and each text of the database, has a key of its own, derived (HKDF) from a named one and
a random salt in the header. The number of a chunk, and whether it is the last one, are its nonce:
chunks that were cut off, swapped or taken from another file do not open. The header is
authenticated with every chunk, and so is the place that something belongs to, where it has one.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api_server.store.errors import KeyMissing, StoreUnavailable

CHUNK = 64 * 1024
"""Bytes of a chunk before it is encrypted; the last one may be shorter, and empty."""

_MAGIC = b"stt-sealed-1\n"
_NAME_BYTES, _SALT_BYTES, _KEY_BYTES, _TAG_BYTES = 32, 16, 32, 16
_HEADER_BYTES = len(_MAGIC) + _NAME_BYTES + _SALT_BYTES
_SEALED = CHUNK + _TAG_BYTES


@dataclass(frozen=True, slots=True)
class SealingKeys:
    """Keys by their names; ``current`` is for new files."""

    current: str
    keys: Mapping[str, bytes]

    @classmethod
    def from_file(cls, path: Path) -> SealingKeys:
        """Return the keys of a file.

        Raises:
            KeyMissing: it cannot be read, or a line of it is no key.
        """
        try:
            lines = path.read_text("utf-8").split()
        except (OSError, UnicodeDecodeError) as exc:
            raise KeyMissing(f"the keys of the store, {path}, cannot be read") from exc
        keys = dict[str, bytes]()
        for number, line in enumerate(lines, 1):
            name, _, encoded = line.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not name or len(name.encode()) > _NAME_BYTES or len(key) != _KEY_BYTES:
                raise KeyMissing(f"{path}: key {number} is no NAME:BASE64 of {_KEY_BYTES} bytes")
            if name in keys:
                raise KeyMissing(f"{path}: {name} is there twice")
            keys[name] = key
        if not keys:
            raise KeyMissing(f"{path} has no key")
        return cls(next(iter(keys)), keys)


class SealedWriter:
    """Encrypts what is written to it into a file, which is whole once :meth:`finish` was called.

    It opens again only as what belongs to the same ``place``.
    """

    def __init__(self, target: BinaryIO, keys: SealingKeys, place: bytes = b"") -> None:
        salt = os.urandom(_SALT_BYTES)
        header = _header(keys.current, salt)
        self._known = header + place
        self._aead = _aead(keys.keys[keys.current], salt)
        self._target = target
        self._waiting = b""
        self._number = 0
        target.write(header)

    def write(self, block: bytes) -> int:
        """Take more content; return how much that was."""
        self._waiting += block
        while len(self._waiting) > CHUNK:  # one chunk waits: it may be the last
            self._seal(self._waiting[:CHUNK], last=False)
            self._waiting = self._waiting[CHUNK:]
        return len(block)

    def finish(self) -> None:
        """Write the last chunk."""
        self._seal(self._waiting, last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        nonce = _nonce(self._number, last=last)
        self._target.write(self._aead.encrypt(nonce, chunk, self._known))
        self._number += 1


class SealedReader:
    """Reads an encrypted file, from anywhere in it; ``what`` it is called in errors.

    Raises:
        KeyMissing: none of the keys is that of the file.
        StoreUnavailable: the header is cut off.
    """

    def __init__(
        self,
        source: BinaryIO,
        keys: SealingKeys | None,
        place: bytes = b"",
        what: str = "an encrypted recording",
    ) -> None:
        self._source = source
        self._what = what
        source.seek(0, os.SEEK_END)
        sealed = source.tell() - _HEADER_BYTES
        source.seek(0)
        header = source.read(_HEADER_BYTES)
        self._known = header + place
        if sealed < _TAG_BYTES:
            raise StoreUnavailable(f"{what} is cut off")
        name = key_of(header)
        if keys is None or name is None or name not in keys.keys:
            raise KeyMissing(f"{what} needs the key {name}, which RECORDINGS_KEY_FILE has not")
        self._aead = _aead(keys.keys[name], header[-_SALT_BYTES:])
        self._key = name
        self._last = (sealed - 1) // _SEALED
        self.size = sealed - (self._last + 1) * _TAG_BYTES
        """Bytes of the content."""

    def read_range(self, begin: int, end: int) -> bytes:
        """Return the content from ``begin`` up to ``end``; only the chunks around it are read.

        Raises:
            StoreUnavailable: they are not what was written.
        """
        end = min(end, self.size)
        if begin >= end:
            return b""
        first = begin // CHUNK
        chunks = b"".join(self._chunk(number) for number in range(first, (end - 1) // CHUNK + 1))
        return chunks[begin - first * CHUNK : end - first * CHUNK]

    def chunks(self) -> Iterator[bytes]:
        """Yield the content; raises as :meth:`read_range` does."""
        for number in range(self._last + 1):
            yield self._chunk(number)

    def _chunk(self, number: int) -> bytes:
        self._source.seek(_HEADER_BYTES + number * _SEALED)
        sealed = self._source.read(_SEALED)
        try:
            nonce = _nonce(number, last=number == self._last)
            return self._aead.decrypt(nonce, sealed, self._known)
        except InvalidTag as exc:
            raise StoreUnavailable(
                f"{self._what} was changed or is cut off, or the key {self._key} is not the one "
                "that it was encrypted with"
            ) from exc


def is_sealed(beginning: bytes) -> bool:
    """Return whether a file that begins so is an encrypted one."""
    return beginning.startswith(_MAGIC)


def key_of(beginning: bytes) -> str | None:
    """Return the name of the key that a file is encrypted with; ``None`` where it is not."""
    if not is_sealed(beginning):
        return None
    name = beginning[len(_MAGIC) : len(_MAGIC) + _NAME_BYTES]
    return name.rstrip(b"\0").decode("utf-8", "replace")


def _header(name: str, salt: bytes) -> bytes:
    return _MAGIC + name.encode().ljust(_NAME_BYTES, b"\0") + salt


def _aead(key: bytes, salt: bytes) -> AESGCM:
    derived = HKDF(SHA256(), _KEY_BYTES, salt, _MAGIC).derive(key)
    return AESGCM(derived)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")
