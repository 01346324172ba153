"""Callers who leave, never finish, or speak no HTTP."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

from benchmarks.attack.trial import Target, Trial, anything, asked, fell, held

_POST = b"POST /analyze HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_GARBAGE = {
    "TLS to a port without": bytes.fromhex("16030100a5010000a10303") + bytes(160),
    "a header of a megabyte": b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
    + b"a" * 1_000_000
    + b"\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
    "two lengths": (_POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{"),
    "a length that is none": _POST + b"Content-Length: -5\r\n\r\n",
    "a chunk of any size": (_POST + b"Transfer-Encoding: chunked\r\n\r\nzzzz\r\n"),
    "a path with zeros": b"GET /\x00\x01 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}
_IDLE = 200
_GONE = 50
_HEALTH_SEC = 2.0
_HEALTHY = 200


async def callers(target: Target) -> AsyncIterator[Trial]:
    """Send garbage, leave in the middle, and hold connections open."""
    for name, raw in _GARBAGE.items():
        yield await _refused(target, name, raw)
    yield await _held_open(target, f"{_IDLE} connections that send nothing", b"")
    half = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
    yield await _held_open(target, f"{_IDLE} headers that never end", half)
    body = _POST + b"Content-Type: application/json\r\n"
    body += b"Content-Length: 1000000\r\n\r\n{"
    yield await _held_open(target, f"{_IDLE} bodies that never end", body)
    yield await _gone(target)


async def _refused(target: Target, name: str, raw: bytes) -> Trial:
    """Send bytes: an answer of 400 to 499, or the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.server.port)
    try:
        writer.write(raw)
        async with asyncio.timeout(30):
            line = await reader.readline()
    except ConnectionError:
        line = b""
    except TimeoutError:
        return fell(name, "neither an answer nor an end within 30 s")
    finally:
        writer.close()
    if line and not line.startswith(b"HTTP/1.1 4"):
        return fell(name, line.decode("latin-1"))
    return Trial(name, "refused")


async def _held_open(target: Target, name: str, raw: bytes) -> Trial:
    """Hold connections open: others are still answered, health among them."""
    held_open = []
    try:
        for _ in range(_IDLE):
            one = socket.create_connection(("127.0.0.1", target.server.port), timeout=5)
            held_open.append(one)
            one.sendall(raw)
        began = time.monotonic()
        trial = await asked(target, name, "GET", "/health/live", anything)
        took = time.monotonic() - began
        why = trial.why or (f"/health took {took:.1f} s" if took > _HEALTH_SEC else "")
        return held(name, why)
    except OSError as exc:
        return fell(name, f"the next connection: {exc}")
    finally:
        for one in held_open:
            one.close()


async def _gone(target: Target) -> Trial:
    """Send calls and leave: their places are free again."""
    name = f"{_GONE} callers who leave at once"
    head = _POST + b"Content-Type: application/json\r\n"
    body = b'{"text": "' + b"a " * 40_000 + b'"}'
    for _ in range(_GONE):
        with socket.create_connection(("127.0.0.1", target.server.port)) as one:
            one.sendall(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        answer = await target.client.post("/analyze", json={"text": "안녕하세요"})
        if answer.status_code == _HEALTHY:
            return held(name)
        await asyncio.sleep(0.2)
    return fell(name, f"the next caller is still refused: HTTP {answer.status_code}")
