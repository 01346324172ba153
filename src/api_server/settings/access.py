"""Where the server listens, and who may call it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from api_server.settings.addresses import check_host
from api_server.settings.base import CommaSeparated, EmptyIsNone, Section
from api_server.settings.keys import NamedKey, check_secret, parse_entry

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class AccessSettings(Section):
    """Address, port and keys."""

    heading: ClassVar[str] = "Server and access"

    api_host: str = "127.0.0.1"
    """Address to listen on. Any address but loopback needs API_KEYS or API_ALLOW_NO_KEY."""

    api_port: int = Field(8003, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""

    api_keys: CommaSeparated[SecretStr] = Field([])
    """Keys that callers must send one of, as `Authorization: Bearer KEY`; comma-separated. Each may
    `call` and `read`; API_NAMED_KEYS and API_KEYS_FILE say more."""

    api_named_keys: CommaSeparated[SecretStr] = Field([])
    """Keys with a name and roles, as `NAME:ROLE+ROLE:KEY`; comma-separated. `call`: send calls,
    `read`: metrics and descriptions, `admin`: everything."""

    api_keys_file: EmptyIsNone[Path] = None
    """TOML file with more keys, `[keys.NAME]` with `key` and `roles`. It is read again when it
    changes; a file that cannot be used then changes nothing."""

    api_allow_no_key: bool = False
    """Serve an address other than loopback without keys (a private container network, say)."""

    @field_validator("api_host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        return check_host(value)

    @field_validator("api_keys")
    @classmethod
    def _are_sendable(cls, value: list[SecretStr]) -> list[SecretStr]:
        for one in value:
            check_secret(one.get_secret_value())
        return value

    @field_validator("api_named_keys")
    @classmethod
    def _are_named_keys(cls, value: list[SecretStr]) -> list[SecretStr]:
        for one in value:
            parse_entry(one.get_secret_value())
        return value

    @property
    def needs_key(self) -> bool:
        """True where callers need a key."""
        return bool(self.api_keys or self.api_named_keys or self.api_keys_file)

    def named_keys(self) -> list[NamedKey]:
        """Return the keys of API_NAMED_KEYS."""
        return [parse_entry(one.get_secret_value()) for one in self.api_named_keys]
