"""Addresses of other servers: what one names, and whether it lies below another."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator

PORTS = {"http": 80, "https": 443}
"""Schemes of addresses, and the port of each where an address names none."""

_AMBIGUOUS = re.compile(r"[\s\\\x00-\x1f\x7f]")
"""Characters that one URL parser drops and another takes for the end of the host."""

_HOST = re.compile(r"(?!-)[a-z0-9_.-]{1,253}", re.IGNORECASE)
_ANY_PORT = "*"
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL names. ``path`` is without a slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Address:
        """Parse ``url``; its query is left out.

        Raises:
            ValueError: it is no plain address of an HTTP server.
        """
        parts = urlsplit(url)
        if _AMBIGUOUS.search(url) or parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("give http://HOST:PORT or https://HOST:PORT")
        if "@" in parts.netloc:
            raise ValueError("leave out the user and the password: they would be in logs")
        if parts.fragment:
            raise ValueError("leave out what follows '#'")
        check_host(parts.hostname)
        if any(_is_step(one) for one in parts.path.split("/")):
            raise ValueError("leave out '.' and '..' in the path")
        return cls(
            parts.scheme,
            parts.hostname,
            parts.port or PORTS[parts.scheme],
            parts.path.rstrip("/"),
        )

    @property
    def server(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def covers(self, other: Address) -> bool:
        """Return whether ``other`` is the same server, at this path or below it."""
        same = (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)
        return same and f"{other.path}/".startswith(f"{self.path}/")


def _is_step(segment: str) -> bool:
    """Return whether a part of a path may lead elsewhere, in whatever encoding."""
    plain = unquote(unquote(segment)).partition(";")[0]  # what follows is a parameter of it
    return plain in {".", ".."} or "/" in plain or "\\" in plain


def check_host(host: str) -> str:
    """Return ``host`` if it is a name or an address of a machine, without a port.

    Raises:
        ValueError: it is not.
    """
    plain = host.removeprefix("[").removesuffix("]")
    if ":" in plain:
        try:
            ipaddress.IPv6Address(plain)
        except ValueError:
            raise ValueError("give the name or the address of a machine alone") from None
    elif not _HOST.fullmatch(plain):
        raise ValueError("give the name or the address of a machine alone")
    return host


def check_base_url(url: str) -> str:
    """Return ``url`` if it is an address that paths can be added to.

    Raises:
        ValueError: it is not.
    """
    Address.of(url)
    if "?" in url:
        raise ValueError("leave out what follows '?'")
    return url


def check_host_entry(entry: str) -> str:
    """Return ``entry`` if it is ``host``, ``host:port`` or ``host:*``.

    Raises:
        ValueError: it is not, or has a scheme, a path or an IPv6 address.
    """
    if not re.fullmatch(r"[^/:\[\]]+(:[^/:\[\]]+)?", entry):
        raise ValueError("give HOST or HOST:PORT; a URL or an IPv6 address: AGENT_ALLOWED_URLS")
    host, _, port = entry.partition(":")
    check_host(host)
    if port not in {"", _ANY_PORT} and not (port.isdecimal() and 0 < int(port) <= _LAST_PORT):
        raise ValueError(f"the port is a number from 1 to {_LAST_PORT}, or * for all")
    return entry.lower()


def is_listed(address: Address, entry: str) -> bool:
    """Return whether an entry allows an address; without a port it allows the usual one."""
    host, _, port = entry.partition(":")
    if host != address.host:
        return False
    return port == _ANY_PORT or address.port == int(port or PORTS[address.scheme])


BaseUrl = Annotated[str, AfterValidator(check_base_url)]
"""The address of a server, to which paths are added."""


def check_network(network: str) -> str:
    """Return ``network`` if it is one, as ``10.0.0.0/8``.

    Raises:
        ValueError: it is not.
    """
    return str(ipaddress.ip_network(network))


Network = Annotated[str, AfterValidator(check_network)]
"""A network of machines."""

HostEntry = Annotated[str, AfterValidator(check_host_entry)]
"""A host that may be called, with its port or without."""
