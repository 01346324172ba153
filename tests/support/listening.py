"""A listening server with our connections and any application, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import anyio
import uvicorn
from anyio.abc import SocketStream
from starlette.types import ASGIApp

from api_server.http.connections import Connection, ConnectionLimits


@dataclass
class Listening:
    """Where it listens."""

    port: int
    server: uvicorn.Server

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    async def connect(self) -> SocketStream:
        return await anyio.connect_tcp("127.0.0.1", self.port)

    async def counts(self, number: int) -> None:
        """Wait until there are so many connections."""
        with anyio.fail_after(20):
            while self.connections != number:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.002)


async def everything(stream: SocketStream) -> bytes:
    """Read until the server closes; a reset is an end too."""
    found = b""
    with anyio.fail_after(20):
        try:
            while True:
                found += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return found


@asynccontextmanager
async def listening(app: ASGIApp, limits: ConnectionLimits) -> AsyncIterator[Listening]:
    protocol = cast("type[asyncio.Protocol]", partial(Connection, limits=limits))
    config = uvicorn.Config(
        app, port=0, log_config=None, lifespan="off", http=protocol, ws="none",
        timeout_keep_alive=int(limits.idle_sec), timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    with anyio.fail_after(20):
        while not server.started:  # noqa: ASYNC110 - it has no event
            await anyio.sleep(0.002)
    try:
        yield Listening(server.servers[0].sockets[0].getsockname()[1], server)
    finally:
        server.should_exit = True
        await task
