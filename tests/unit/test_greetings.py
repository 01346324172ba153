"""TLS handshakes count as connections: however many begin one, there are not more than may be."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from api_server.http.greetings import Greetings
from tests.support.certificates import PASSWORD, certificate
from tests.support.listening import everything

MOST, RESERVE = 4, 2


class Echo(asyncio.Protocol):
    """A connection behind the handshake, counted as uvicorn's are."""

    def __init__(self, there: set[object]) -> None:
        self.there = there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.there.add(self)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.there.discard(self)


@dataclass
class Server:
    greetings: Greetings
    there: set[object]
    port: int
    cert: Path

    async def greets(self, number: int) -> None:
        """Wait until so many are in their handshake."""
        with anyio.fail_after(20):
            while len(self.greetings) != number:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.002)

    async def connect(self) -> anyio.abc.ByteStream:
        """Greet, and see that the server has done so too."""
        context = ssl.create_default_context(cafile=str(self.cert))
        stream = await anyio.connect_tcp("127.0.0.1", self.port, ssl_context=context)
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"
        return stream


@asynccontextmanager
async def serving(folder: Path, timeout_sec: float = 20.0) -> AsyncIterator[Server]:
    cert, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key, PASSWORD)
    there: set[object] = set()
    greetings = Greetings(there, MOST, RESERVE, timeout_sec)
    loop = asyncio.get_running_loop()
    plain = loop.create_server
    greetings.listen_with(loop)
    try:
        server = await loop.create_server(lambda: Echo(there), "127.0.0.1", 0, ssl=context)
    finally:
        loop.create_server = plain  # type: ignore[method-assign]
    yield Server(greetings, there, server.sockets[0].getsockname()[1], cert)
    server.close()


async def test_many_that_never_greet_are_no_more_than_may_be(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        silent = [await anyio.connect_tcp("127.0.0.1", server.port) for _ in range(30)]
        await server.greets(MOST)
        stream = await server.connect()  # and whoever does greet is served all the same
        assert len(server.greetings) + len(server.there) <= MOST
        for one in [*silent, stream]:
            await one.aclose()
        await server.greets(0)


async def test_the_last_one_to_come_is_let_in_up_to_the_reserve(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        well = [await server.connect() for _ in range(MOST + RESERVE)]
        assert len(server.there) == MOST + RESERVE
        with pytest.raises((OSError, anyio.BrokenResourceError, anyio.EndOfStream)):
            await server.connect()
        for one in well:
            await one.aclose()


async def test_a_handshake_that_fails_or_is_late_is_not_counted(tmp_path: Path) -> None:
    async with serving(tmp_path, timeout_sec=0.1) as server:
        wrong = await anyio.connect_tcp("127.0.0.1", server.port)
        await wrong.send(b"GET / HTTP/1.1\r\n\r\n")
        silent = await anyio.connect_tcp("127.0.0.1", server.port)
        for one in (wrong, silent):
            await everything(one)
            await one.aclose()
        await server.greets(0)
