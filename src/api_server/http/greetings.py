"""Connections in their TLS handshake, which count as any other that sends no request.

uvicorn learns of a connection when its handshake is over; until then asyncio alone knows it.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, cast


class Greeting(SSLProtocol):
    """TLS of one connection; it tells when the connection comes and goes."""

    def __init__(
        self,
        application: asyncio.Protocol,
        context: ssl.SSLContext,
        timeout_sec: float,
        greetings: Greetings,
    ) -> None:
        super().__init__(
            asyncio.get_running_loop(),
            application,
            context,
            None,  # type: ignore[arg-type]  # nobody waits for the end of the handshake
            server_side=True,
            ssl_handshake_timeout=timeout_sec,  # type: ignore[arg-type]  # a float will do
        )
        self.application = application
        self.raw: asyncio.Transport | None = None
        self._greetings = greetings

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake, unless there are too many connections."""
        self.raw = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        self._greetings.come(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of it."""
        self._greetings.go(self)
        super().connection_lost(exc)


class Greetings:
    """All handshakes of one server.

    Args:
        open_connections: those whose handshake is over, as uvicorn keeps them.
        most: as many connections may there be, with those in their handshake; where there are more,
            the handshake that began first is given up.
        reserve: so many more, where no other is in its handshake.
        timeout_sec: time for one handshake.
    """

    def __init__(
        self, open_connections: Collection[object], most: int, reserve: int, timeout_sec: float
    ) -> None:
        self._open, self._most, self._reserve = open_connections, most, reserve
        self._timeout_sec = timeout_sec
        self._now: dict[Greeting, None] = {}

    def __len__(self) -> int:
        """Return how many connections are in their handshake."""
        self._now = {one: None for one in self._now if one.application not in self._open}
        return len(self._now)

    def come(self, one: Greeting) -> None:
        """Count a connection, and give one up where that is one too many."""
        self._now[one] = None
        total = len(self) + len(self._open)
        if total <= self._most:
            return
        first = next(iter(self._now))
        if first is not one or total > self._most + self._reserve:
            self.go(first)
            if first.raw is not None:
                first.raw.abort()

    def go(self, one: Greeting) -> None:
        """Count a connection no more."""
        self._now.pop(one, None)

    def listen_with(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have servers of ``loop`` from now on make their TLS connections here."""
        plain = loop.create_server

        async def create_server(
            factory: Callable[[], asyncio.Protocol],
            *args: Any,  # noqa: ANN401 - the loop's
            ssl: ssl.SSLContext,
            **kwargs: Any,  # noqa: ANN401 - the loop's
        ) -> asyncio.Server:
            """Return a server as the loop does, with TLS of ours."""
            greet = partial(self._greeting, factory, ssl)
            return await plain(greet, *args, **kwargs)

        loop.create_server = create_server  # type: ignore[method-assign,assignment]

    def _greeting(
        self, factory: Callable[[], asyncio.Protocol], context: ssl.SSLContext
    ) -> Greeting:
        return Greeting(factory(), context, self._timeout_sec, self)
