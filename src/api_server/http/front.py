"""What a request passes first: the path under which a proxy shows the server, the host's name."""

from __future__ import annotations

from collections.abc import Iterable

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
