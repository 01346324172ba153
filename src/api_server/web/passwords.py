"""Passwords as argon2 hashes; each takes some 50 ms and 64 MiB, so they are bounded."""

from __future__ import annotations

from functools import cache

import anyio
from anyio import to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 200
"""Characters of a password."""

_AT_ONCE, _WAITING = 2, 32
_HASHER = PasswordHasher()


class Busy(Exception):
    """Too many are being checked already."""


def hash_password(password: str) -> str:
    """Return the hash to keep.

    Raises:
        ValueError: it is too short, or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValueError(f"a password has {SHORTEST} to {LONGEST} characters")
    return _HASHER.hash(password)


class PasswordCheck:
    """Checks passwords in threads, some at once."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def matches(self, secret_hash: str | None, password: str) -> bool:
        """Return whether it is the password; without a hash it takes as long, and is not.

        Raises:
            Busy: too many wait already.
        """
        if self._limiter.statistics().tasks_waiting >= _WAITING:
            raise Busy
        right = await to_thread.run_sync(
            _verify, secret_hash, password[:LONGEST], limiter=self._limiter
        )
        return right and secret_hash is not None


@cache
def _nobodys() -> str:
    return _HASHER.hash("nobody's")


def _verify(secret_hash: str | None, password: str) -> bool:
    try:
        return _HASHER.verify(secret_hash or _nobodys(), password)
    except (VerificationError, InvalidHashError):
        return False
