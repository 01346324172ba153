"""One entry of the log, as it is hashed: never content, but a salted commitment to it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import rfc8785

from api_server.audit.merkle import hash_leaf

Kind = Literal[
    "answer",
    "adopted",
    "decision",
    "look",
    "export",
    "erasure",
    "expiry",
    "hold",
    "release",
    "setting",
    "rubric",
    "voice",
    "rubric_change",
]
"""What is recorded. ``adopted``: an answer that was there before the log; ``look``: somebody saw
content that was not masked, or searched in all of it; ``expiry``: content whose days were over was
removed; ``voice``: one of an agent was enrolled, compared with a call, or erased; ``rubric``: what
is in force is another; ``rubric_change``: somebody tried, proposed, consented."""

KINDS: tuple[Kind, ...] = get_args(Kind)
REMOVALS: tuple[Kind, ...] = ("erasure", "expiry")
"""After one of these the content of a case, and the salts of its commitments, may be gone."""

_VERSION = 1
_SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened: to what (``subject``, a case's id or empty), by whom, and when.

    ``at`` is seconds since 1970, UTC; ``facts`` is a JSON object without any content;
    ``commitment`` is hexadecimal, or ``None`` where nothing is committed to.
    """

    seq: int
    at: float
    kind: str
    subject: str
    actor: str
    facts: str
    commitment: str | None

    def to_bytes(self) -> bytes:
        """Return what is hashed: canonical JSON (RFC 8785), the facts as the text that they are.

        Raises:
            ValueError: a field is nothing that can be written so.
        """
        return rfc8785.dumps(self.to_data())

    def leaf(self) -> bytes:
        """Return the hash of the entry as a leaf of the tree; raises as :meth:`to_bytes` does."""
        return hash_leaf(self.to_bytes())

    def to_data(self) -> dict[str, Any]:
        """Return the entry as an archive has it."""
        return {
            "v": _VERSION,
            "seq": self.seq,
            "at": self.at,
            "kind": self.kind,
            "subject": self.subject,
            "actor": self.actor,
            "facts": self.facts,
            "commitment": self.commitment,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Entry:
        """Return the entry that :meth:`to_data` wrote.

        Raises:
            ValueError: it is none.
        """
        fields = dict(data)
        if fields.pop("v", None) != _VERSION:
            raise ValueError("an entry of another version")
        try:
            return cls(**fields)
        except TypeError as exc:
            raise ValueError("no entry") from exc


def new_salt() -> str:
    """Return a salt, in hexadecimal: without it nobody can try what a commitment stands for."""
    return secrets.token_hex(_SALT_BYTES)


def commit(salt: str, content: bytes) -> str:
    """Return the commitment to ``content``, in hexadecimal.

    Raises:
        ValueError: the salt is not hexadecimal.
    """
    return hmac.new(bytes.fromhex(salt), content, hashlib.sha256).hexdigest()


def answer_content(answer: bytes, number: int, recording: str | None) -> bytes:
    """Return what the entry of an answer commits to; ``recording`` is the hash of a kept one."""
    return rfc8785.dumps(
        {
            "answer_sha256": hashlib.sha256(answer).hexdigest(),
            "revision": number,
            "recording_sha256": recording,
        }
    )


def shown_time(seconds: float) -> str:
    """Return a time for people, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
