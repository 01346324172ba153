"""Checkpoints: how many entries there are and the root over them, signed (C2SP signed note).

The text of a note can be checked by any program that knows C2SP's ``signed-note`` and
``tlog-checkpoint``. The key's name is the log's origin.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

_ED25519 = b"\x01"
_TIME = "time "
_SIGNATURE = re.compile(r"— (?P<name>\S+) (?P<bytes>\S+)\n")
_NOTE = re.compile(r"(?P<body>(?:[^\n]+\n)+)\n(?P<signatures>(?:— [^\n]+\n)+)\n?")
_KEY_ID_BYTES = 4
_ROOT_BYTES = 32
_FEWEST_LINES = 3


class NoteInvalid(ValueError):
    """A text is no checkpoint, or no key; the message says why."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Who may have signed: an Ed25519 key and its name."""

    name: str
    public: bytes

    @property
    def identity(self) -> bytes:
        """The four bytes by which a signature names this key."""
        named = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(named).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        """Return the key as text: name, identity and key, joined by plus signs."""
        encoded = base64.b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{self.identity.hex()}+{encoded}"

    @classmethod
    def from_text(cls, text: str) -> VerifierKey:
        """Return the key that :meth:`__str__` wrote.

        Raises:
            NoteInvalid: it is none.
        """
        try:
            name, identity, encoded = text.strip().split("+", 2)
            decoded = base64.b64decode(encoded, validate=True)
            Ed25519PublicKey.from_public_bytes(decoded[1:])
        except (ValueError, binascii.Error) as exc:
            raise NoteInvalid("no key of a checkpoint (NAME+ID+KEY)") from exc
        key = cls(name, decoded[1:])
        if decoded[:1] != _ED25519 or key.identity.hex() != identity:
            raise NoteInvalid("a key whose id is another one's")
        return key

    def verifies(self, body: str, signatures: str) -> bool:
        """Return whether one of the signatures below ``body`` is this key's."""
        public = Ed25519PublicKey.from_public_bytes(self.public)
        for found in _SIGNATURE.finditer(signatures):
            try:
                signed = base64.b64decode(found["bytes"], validate=True)
                if found["name"] == self.name and signed[:_KEY_ID_BYTES] == self.identity:
                    public.verify(signed[_KEY_ID_BYTES:], body.encode())
                    return True
            except (binascii.Error, InvalidSignature):
                continue
        return False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first ``size`` entries of a log have this root; ``time`` is when that was signed."""

    origin: str
    size: int
    root: bytes
    time: str = ""

    def body(self) -> str:
        """Return the text that is signed."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\n" + (
            f"{_TIME}{self.time}\n" if self.time else ""
        )

    @classmethod
    def from_body(cls, body: str) -> Checkpoint:
        """Return the checkpoint in a text.

        Raises:
            NoteInvalid: there is none.
        """
        lines = body.splitlines()
        if len(lines) < _FEWEST_LINES or not re.fullmatch(r"0|[1-9][0-9]{0,17}", lines[1]):
            raise NoteInvalid("no checkpoint")
        try:
            root = base64.b64decode(lines[2], validate=True)
        except binascii.Error as exc:
            raise NoteInvalid("a checkpoint without a root") from exc
        if len(root) != _ROOT_BYTES:
            raise NoteInvalid("a checkpoint without a root")
        times = [one.removeprefix(_TIME) for one in lines[3:] if one.startswith(_TIME)]
        return cls(lines[0], int(lines[1]), root, times[0] if times else "")


class Signer:
    """Signs checkpoints; its name comes from its key, so that two logs never share one."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        public = key.public_key().public_bytes_raw()
        self.verifier = VerifierKey(f"stt-engine/{hashlib.sha256(public).hexdigest()[:16]}", public)

    @classmethod
    def from_pem(cls, pem: bytes) -> Signer:
        """Return the signer of a private key.

        Raises:
            NoteInvalid: it is no Ed25519 key without a password.
        """
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError) as exc:
            raise NoteInvalid("no private key (PEM, without a password)") from exc
        if not isinstance(key, Ed25519PrivateKey):
            raise NoteInvalid("a key of another kind than Ed25519")
        return cls(key)

    @classmethod
    def new(cls) -> Signer:
        """Return a signer with a new key."""
        return cls(Ed25519PrivateKey.generate())

    def to_pem(self) -> bytes:
        """Return the private key as :meth:`from_pem` reads it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, size: int, root: bytes, time: str) -> str:
        """Return the note that says how many entries there are, and the root over them."""
        body = Checkpoint(self.verifier.name, size, root, time).body()
        signed = base64.b64encode(self.verifier.identity + self._key.sign(body.encode())).decode()
        return f"{body}\n— {self.verifier.name} {signed}\n"


def open_note(text: str, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint of one note.

    Raises:
        NoteInvalid: it is none, or not signed by this key.
    """
    found = _NOTE.fullmatch(text)
    if found is None:
        raise NoteInvalid("no signed note")
    if not key.verifies(found["body"], found["signatures"]):
        raise NoteInvalid(f"not signed by {key.name}")
    return Checkpoint.from_body(found["body"])


def split_notes(text: str) -> Iterator[tuple[int, str]]:
    """Yield the notes of a file one behind the other, each with the line that it begins in.

    What is no note is yielded as it is, up to the file's end.
    """
    at = 0
    while at < len(text):
        found = _NOTE.match(text, at)
        end = found.end() if found else len(text)
        yield text.count("\n", 0, at) + 1, text[at:end].rstrip("\n") + "\n"
        at = end
