"""Connections: how many, how long, and by which way they come."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from api_server.settings.base import CommaSeparated, EmptyIsNone, Section


class ConnectionSettings(Section):
    """Limits of connections, TLS, and proxies in front."""

    heading: ClassVar[str] = "Connections"

    api_max_connections: int = Field(512, ge=1)
    """Connections at once, those in their TLS handshake too. When there are more, the one that has
    waited longest for its next request is closed; where all are at work, only the health endpoints
    are answered (16 more connections), and anything else with 503."""

    api_header_timeout_sec: float = Field(10.0, gt=0)
    """Time that a client has to send the head of a request, and before it for the TLS handshake."""

    api_idle_timeout_sec: int = Field(5, ge=1)
    """Seconds that a connection is kept open for a next request, and that a client may leave an
    answer unread."""

    api_body_timeout_sec: float = Field(60.0, gt=0)
    """Time that a client has to send a body, and one more second for every 128 KiB that came."""

    api_tls_cert_file: EmptyIsNone[Path] = None
    """PEM file with the server's certificate and its chain: serve HTTPS."""

    api_tls_key_file: EmptyIsNone[Path] = None
    """PEM file with the certificate's key, where that is not in the same file."""

    api_tls_key_password: EmptyIsNone[SecretStr] = None
    """Password of the key."""

    api_root_path: str = ""
    """Path under which a proxy shows this server, such as `/stt`; the proxy may leave it on or take
    it off."""

    api_trusted_proxies: CommaSeparated[str] = Field([])
    """Addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are
    believed; comma-separated."""

    api_allowed_hosts: CommaSeparated[str] = Field([])
    """Names that the `Host` header may have, without port; comma-separated. Where callers need no
    key on loopback, only names of loopback and these are answered; elsewhere empty allows all."""

    @field_validator("api_root_path")
    @classmethod
    def _is_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if path and (not path.startswith("/") or not path.isascii() or set(path) & set("?#% ")):
            raise ValueError("give a path such as /stt")
        return path

    @field_validator("api_trusted_proxies")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        for one in value:
            ip_network(one)
        return value

    @field_validator("api_allowed_hosts")
    @classmethod
    def _are_names(cls, value: list[str]) -> list[str]:
        for one in value:
            if not one.isascii() or set(one) & set("/@ *"):
                raise ValueError(f"'{one}' is no host name")
        return [one.lower().strip("[]") for one in value]
