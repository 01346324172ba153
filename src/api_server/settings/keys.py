"""Keys of callers: their names, and what each may be used for."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from stt_engine.shown import unknown

Role = Literal["call", "read", "admin"]
"""``call``: send calls; ``read``: metrics and descriptions; ``admin``: everything."""

ROLES: tuple[Role, ...] = get_args(Role)
PLAIN_ROLES: frozenset[Role] = frozenset({"call", "read"})
"""What a key of API_KEYS, which says no more, may be used for."""


class KeysInvalid(ValueError):
    """Keys that cannot be used; the message holds none of them."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """One key."""

    name: str
    roles: frozenset[Role]
    secret: str = field(repr=False)

    def may(self, role: Role) -> bool:
        """Return whether the key may be used for what needs ``role``."""
        return role in self.roles or "admin" in self.roles


def check_secret(secret: str) -> str:
    """Return a key if a header can carry it.

    Raises:
        KeysInvalid: it cannot.
    """
    if not (secret.isascii() and secret.isprintable() and secret and " " not in secret):
        raise KeysInvalid("a key is of printable ASCII characters without a space")
    return secret


def parse_entry(entry: str) -> NamedKey:
    """Parse ``NAME:ROLE+ROLE:KEY``.

    Raises:
        KeysInvalid: it is not one.
    """
    name, _, rest = entry.partition(":")
    roles, _, secret = rest.partition(":")
    if not (name and roles and secret):
        raise KeysInvalid("give NAME:ROLE+ROLE:KEY")
    return NamedKey(name, check_roles(roles.split("+"), name), check_secret(secret))


def check_roles(roles: Iterable[object], name: str) -> frozenset[Role]:
    """Return the roles of the key ``name``.

    Raises:
        KeysInvalid: there is none, or one that does not exist.
    """
    found: set[Role] = set()
    for given in roles:
        known = [one for one in ROLES if one == given]
        if not known:
            raise KeysInvalid(f"key '{name}': {unknown('role', str(given), ROLES)}")
        found.update(known)
    if not found:
        raise KeysInvalid(f"key '{name}' has no role; there is {', '.join(ROLES)}")
    return frozenset(found)


def parse_file(content: str) -> tuple[NamedKey, ...]:
    """Parse a file of keys: TOML, a table ``[keys.NAME]`` with ``key`` and ``roles`` for each.

    Raises:
        KeysInvalid: it is not one, or holds no key.
    """
    try:
        told = tomllib.loads(content)
    except tomllib.TOMLDecodeError as exc:
        raise KeysInvalid(f"no TOML: {str(exc).partition('(')[0].strip()}") from None
    extra = told.keys() - {"keys"}
    if extra or not isinstance(told.get("keys"), dict) or not told["keys"]:
        raise KeysInvalid("give each key as [keys.NAME] with key = '...' and roles = ['call']")
    return distinct(_parse_table(name, one) for name, one in told["keys"].items())


def _parse_table(name: str, table: Any) -> NamedKey:  # noqa: ANN401 - any TOML
    if not isinstance(table, dict):
        raise KeysInvalid(f"key '{name}': give [keys.{name}] with key and roles")
    for extra in table.keys() - {"key", "roles"}:
        raise KeysInvalid(f"key '{name}': {unknown('name', extra, ('key', 'roles'))}")
    secret, roles = table.get("key"), table.get("roles")
    if not isinstance(secret, str) or not isinstance(roles, list):
        raise KeysInvalid(f"key '{name}': give key = '...' and roles = ['call', 'read']")
    return NamedKey(name, check_roles(roles, name), check_secret(secret))


def distinct(keys: Iterable[NamedKey]) -> tuple[NamedKey, ...]:
    """Return the keys, if no name and no secret is there twice.

    Raises:
        KeysInvalid: one is.
    """
    found = tuple(keys)
    for name, times in Counter(one.name for one in found).items():
        if times > 1:
            raise KeysInvalid(f"two keys have the name '{name}'")
    for secret, times in Counter(one.secret for one in found).items():
        if times > 1:
            names = ", ".join(one.name for one in found if one.secret == secret)
            raise KeysInvalid(f"these are one and the same key: {names}")
    return found
