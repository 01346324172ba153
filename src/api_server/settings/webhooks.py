"""Whom the server tells of jobs, and how that is signed."""

from __future__ import annotations

import base64
import binascii
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from api_server.settings.addresses import Address, BaseUrl, Network
from api_server.settings.base import CommaSeparated, Section

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64
"""Bytes of a secret, as Standard Webhooks has them."""


class WebhookSettings(Section):
    """Webhooks."""

    heading: ClassVar[str] = "Webhooks"

    webhook_allowed_urls: CommaSeparated[BaseUrl] = Field([])
    """URLs that `webhook_url` of a job may name: of the same scheme, host and port, and at or below
    the path. No other address is called, a private one neither."""

    webhook_allowed_networks: CommaSeparated[Network] = Field(
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
    )
    """Networks that the names in WEBHOOK_ALLOWED_URLS may lead to, besides public addresses. This
    machine and link-local addresses are none of them: list such an address itself to call it."""

    webhook_secrets: CommaSeparated[SecretStr] = Field([])
    """Secrets that sign webhooks, as `whsec_` and base64 of 24 to 64 bytes; comma-separated, so
    that a new one can stand beside an old one."""

    webhook_timeout_sec: float = Field(15.0, gt=0, le=60)
    """Time for one delivery."""

    @field_validator("webhook_secrets")
    @classmethod
    def _are_secrets(cls, value: list[SecretStr]) -> list[SecretStr]:
        for one in value:
            _check(one.get_secret_value())
        return value

    def allows_webhook(self, url: str) -> bool:
        """Return whether a job may name ``url``."""
        try:
            address = Address.of(url)
        except ValueError:
            return False
        return any(Address.of(one).covers(address) for one in self.webhook_allowed_urls)


def _check(secret: str) -> None:
    """Return where ``secret`` is one; its value stands in no message.

    Raises:
        ValueError: it is none.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(_PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"give {_PREFIX} and base64 of {_SHORTEST} to {_LONGEST} bytes")
