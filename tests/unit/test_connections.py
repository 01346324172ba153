"""Connections: what is late, too much or no HTTP is closed, and health is answered all the same."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
from contextlib import suppress
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from api_server.http.connections import RESERVE, AcceptErrors, ConnectionLimits
from tests.support.listening import Listening, everything, listening

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
BIG = 32 * 1024 * 1024


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer; /wait when the body is whole, /big with more than a socket's buffers hold."""
    more = scope["path"] == "/wait"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    size = BIG if scope["path"] == "/big" else 2
    for part in range(0, size, 1 << 20):
        body = b"x" * min(1 << 20, size - part)
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def problem_of(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer
    assert b"x-request-id" in head.lower()
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n"])
async def test_a_head_that_does_not_come(sent: bytes) -> None:
    async with listening(app, ConnectionLimits(head_sec=0.1)) as server:
        stream = await server.connect()
        if sent:
            await stream.send(sent)
        answer = await everything(stream)
        assert not sent or problem_of(answer)["status"] == 408
        await stream.aclose()
        await server.counts(0)


async def test_a_head_that_trickles_in_and_a_second_one() -> None:
    """No byte prolongs the time; nor does an answered request before it."""
    async with listening(app, ConnectionLimits(head_sec=0.2)) as server:
        stream = await server.connect()
        await stream.send(HEALTH)
        assert b"200 OK" in await stream.receive()

        async def trickle() -> None:
            with suppress(anyio.BrokenResourceError):
                for byte in b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000:
                    await stream.send(bytes([byte]))
                    await anyio.sleep(0.01)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trickle)
            answer = (await everything(stream)).rpartition(b"HTTP/1.1 ")[2]
            assert problem_of(answer)["status"] == 408
            tasks.cancel_scope.cancel()
        await stream.aclose()


async def test_a_client_that_does_not_read() -> None:
    async with listening(app, ConnectionLimits(idle_sec=1)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            await server.counts(1)
            await server.counts(0)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no http at all\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /" + b"a" * 100_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ],
    ids=["words", "no host", "length", "long", "tls"],
)
async def test_what_is_no_http_gets_a_problem_document(sent: bytes, status: int) -> None:
    async with listening(app, ConnectionLimits(head_sec=1)) as server:
        stream = await server.connect()
        await stream.send(sent)
        assert problem_of(await everything(stream))["status"] in {status, 408}
        await stream.aclose()


async def test_a_broken_body_gets_one_too_and_ends_the_work() -> None:
    async with listening(app, ConnectionLimits()) as server:
        stream = await server.connect()
        head = b"POST /wait HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        await stream.send(head + b"no number\r\n")
        assert problem_of(await everything(stream))["status"] == 400
        await stream.aclose()
        await server.counts(0)


async def opened(server: Listening, number: int, sent: bytes) -> list[Any]:
    streams = []
    for _ in range(number):
        stream = await server.connect()
        if sent:
            await stream.send(sent)
        streams.append(stream)
    return streams


async def test_idle_connections_make_room() -> None:
    async with listening(app, ConnectionLimits(most=4)) as server:
        idle = await opened(server, 20, b"")
        stream = await server.connect()
        await stream.send(HEALTH)
        assert b"200 OK" in await stream.receive()
        assert server.connections <= 4
        for one in [*idle, stream]:
            await one.aclose()


async def test_busy_connections_leave_a_reserve_for_health() -> None:
    busy = b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    async with listening(app, ConnectionLimits(most=4)) as server:
        streams = await opened(server, 4, busy)
        await server.counts(4)
        with anyio.fail_after(20):
            while len(server.server.server_state.tasks) < 4:  # noqa: ASYNC110 - no event
                await anyio.sleep(0.002)
        more = await opened(server, RESERVE + 3, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        told = [await everything(one) for one in more]
        assert problem_of(next(filter(None, told)))["type"].endswith("too-many-connections")
        well = await server.connect()
        await well.send(HEALTH)
        assert b"200 OK" in await well.receive()
        for one in [*streams, *more, well]:
            await one.aclose()


def test_want_of_descriptors_is_one_line(log_lines: list[str]) -> None:
    loop = asyncio.new_event_loop()
    try:
        handler = AcceptErrors()
        loop.set_exception_handler(handler)
        error = OSError(errno.EMFILE, "Too many open files")
        for _ in range(1000):
            loop.call_exception_handler(
                {"message": "socket.accept() out of system resource", "exception": error}
            )
        assert len(log_lines) == 1
        assert "Too many open files" in log_lines[0]
    finally:
        loop.close()
