"""What a request passes first: what a proxy says of it, the path it is shown under, its host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api_server.access.key_ring import KeyRing
from api_server.http.problems import Problem
from api_server.settings import LOOPBACK, Settings
from stt_engine.shown import shorten


def path_in(scope: Scope) -> str:
    """Return the path of a request as the server's own, without the proxy's prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


class Forwarded:
    """Takes the caller's address and scheme from a proxy of the settings, and from nobody else.

    uvicorn would take any word for an address, of any length, and ``ws`` for a scheme.
    """

    def __init__(self, app: ASGIApp, proxies: Iterable[str]) -> None:
        self._app = app
        self._proxies = [ip_network(one) for one in proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request as the caller's; the access log has this very scope.

        ``scope["peer"]`` stays who the connection is from.
        """
        scope["peer"] = scope.get("client")
        if (
            scope["type"] == "http"
            and scope["client"]
            and self._is_proxy(_address(scope["client"][0]))
        ):
            headers = Headers(scope=scope)
            scheme = headers.get("x-forwarded-proto", "").strip().lower()
            if scheme in _SCHEMES:
                scope["scheme"] = scheme
            client = self._client(",".join(headers.getlist("x-forwarded-for")).split(","))
            if client is not None:
                scope["client"] = client
        await self._app(scope, receive, send)

    def _client(self, named: Sequence[str]) -> tuple[str, int] | None:
        """Return the last address that is no proxy's; only a client could have said more."""
        found = None
        for one in reversed(named):
            host, port = _split(one.strip())
            address = _address(host)
            if address is None:
                return None
            found = (str(address), port)
            if not self._is_proxy(address):
                break
        return found

    def _is_proxy(self, address: Address | None) -> bool:
        return address is not None and any(address in one for one in self._proxies)


Address = IPv4Address | IPv6Address

_SCHEMES = {"http", "https"}


def _split(named: str) -> tuple[str, int]:
    """Return the host and the port (0 for none) of ``host``, ``host:port`` or ``[host]:port``."""
    if named.startswith("["):
        host, _, port = named[1:].partition("]")
        port = port.removeprefix(":")
    elif named.count(":") == 1:
        host, _, port = named.partition(":")
    else:
        host, port = named, ""
    return host, int(port) if port.isascii() and port.isdecimal() and len(port) <= _PORT else 0


_PORT = 5  # digits


def _address(host: str) -> Address | None:
    try:
        return None if "%" in host else ip_address(host)  # behind a % stands any word
    except ValueError:
        return None


class RootPath:
    """Completes the path of a request, whether the proxy has left its prefix on or taken it off."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app = app
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request under its whole path."""
        if scope["type"] == "http" and self._root:
            path = scope["path"]
            whole = path == self._root or path.startswith(f"{self._root}/")
            path = path if whole else self._root + path
            scope = {**scope, "root_path": self._root, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)


class HostCheck:
    """Refuses names of other hosts.

    A page on the internet can have its own name resolve to 127.0.0.1 (DNS rebinding), and its
    scripts then reach a server on loopback as if it were theirs.
    """

    def __init__(self, app: ASGIApp, settings: Settings, ring: KeyRing) -> None:
        self._app = app
        self._ring = ring
        self._on_loopback = settings.api_host in LOOPBACK
        self._known = {*settings.api_allowed_hosts, *LOOPBACK}
        self._always = bool(settings.api_allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request if it is meant for this server."""
        if scope["type"] == "http" and not self._is_known(Headers(scope=scope).getlist("host")):
            words = (
                "This server does not answer to that name (Host); "
                "the operator can add it to API_ALLOWED_HOSTS."
            )
            await Problem(421, "unknown-host", words).response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_known(self, hosts: Iterable[str]) -> bool:
        if not self._always and (self._ring.required or not self._on_loopback):
            return True
        return all(_name(shorten(host)) in self._known for host in hosts)


def _name(host: str) -> str:
    """Return the name in a ``Host`` header, without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0].strip("[")
    return host.partition(":")[0]
