"""A raw socket server that injects protocol faults.

A ``Script`` gets one request with its connection, and answers, misbehaves or hangs.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self, cast

TLS_HANDSHAKE = b"\x16"
MODELS = {"object": "list", "data": [{"id": "fault-model", "object": "model"}]}


@dataclass
class Exchange:
    """One request and its connection; names of ``headers`` are in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def json(self) -> dict[str, Any]:
        """The request's body, a JSON object."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    async def send(self, data: bytes) -> None:
        """Send bytes and wait until they are written."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Exchange], Awaitable[None]]


def http(status: int, body: bytes, **headers: str) -> bytes:
    """Return a complete HTTP response as bytes."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {key.replace("_", "-"): value for key, value in headers.items()}
    lines = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + body


def answer(status: int, body: object = b"", **headers: str) -> Script:
    """Return a script that sends the same response to every request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def script(exchange: Exchange) -> None:
        """Send it."""
        await exchange.send(http(status, data, **headers))

    return script


def completion(text: str | None = "좋습니다", finish: str | None = "stop") -> dict[str, object]:
    """Return a chat completion as an OpenAI-compatible server would."""
    message = {"role": "assistant", "content": text}
    return {"model": "fault-model", "choices": [{"message": message, "finish_reason": finish}]}


def in_turn(*scripts: Script) -> Script:
    """Return a script that runs one script a request, and the last one from then on."""
    todo = list(scripts)

    async def script(exchange: Exchange) -> None:
        """Run the next one."""
        await (todo.pop(0) if len(todo) > 1 else todo[0])(exchange)

    return script


async def hang(_exchange: Exchange) -> None:
    """Send nothing."""
    await asyncio.Event().wait()


async def slow_headers(exchange: Exchange) -> None:
    """Start the headers and never finish them."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Slow: ")
    await asyncio.Event().wait()


async def trickle(exchange: Exchange) -> None:
    """Send byte by byte, so that no single read times out."""
    body = json.dumps(completion("느리게 " * 10_000)).encode()
    head, _, rest = http(200, body).partition(b"\r\n\r\n")
    await exchange.send(head + b"\r\n\r\n")
    for byte in rest:
        await exchange.send(bytes([byte]))
        await asyncio.sleep(0.01)


async def reset_at_once(exchange: Exchange) -> None:
    """Close with RST before any response."""
    exchange.reset()


async def reset_mid_body(exchange: Exchange) -> None:
    """Close with RST in the middle of the body."""
    await exchange.send(http(200, json.dumps(completion("가" * 1000)).encode())[:300])
    exchange.reset()


async def die_mid_body(exchange: Exchange) -> None:
    """Close with FIN in the middle of the body."""
    await exchange.send(http(200, json.dumps(completion("가" * 1000)).encode())[:300])


async def endless(exchange: Exchange) -> None:
    """Send a body that never ends."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        await exchange.send(b" " * 65536)


async def not_http(exchange: Exchange) -> None:
    """Send another protocol's banner."""
    await exchange.send(b"SSH-2.0-OpenSSH_9.2p1\r\n")


@dataclass
class FaultServer:
    """A server while its block runs, on ``port`` or a free one; ``models`` answers every GET."""

    script: Script
    models: Script = field(default_factory=lambda: answer(200, MODELS))
    requests: list[Exchange] = field(default_factory=list)
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        """Create the condition and the task set."""
        self._arrived = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Start listening."""
        self._server = await asyncio.start_server(self._connected, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Cancel open connections and stop listening."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def base(self) -> str:
        """Scheme, host and port."""
        return f"http://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The chat-completions URL."""
        return f"{self.base}/v1/chat/completions"

    @property
    def posts(self) -> list[Exchange]:
        """The completion requests, without those for the model list."""
        return [request for request in self.requests if request.method == "POST"]

    async def wait_for_requests(self, count: int = 1) -> None:
        """Wait until ``count`` completion requests have arrived."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.posts) >= count)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        try:
            exchange = await self._read(reader, writer)
            async with self._arrived:
                self.requests.append(exchange)
                self._arrived.notify_all()
            await (self.models if exchange.method == "GET" else self.script)(exchange)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has disconnected
        except asyncio.CancelledError:
            pass  # the block has ended; Python 3.11 logs a handler that was cancelled as a defect
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
        first = await reader.readexactly(1)
        if first == TLS_HANDSHAKE:
            writer.write(http(400, b""))
            raise ConnectionError("TLS was asked of a plain server")
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        fields = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in fields}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Exchange(method, path, headers, body, reader, writer)


@contextmanager
def serve_in_thread(server: FaultServer) -> Iterator[FaultServer]:
    """Run a server in a thread of its own, for callers without an event loop.

    Ctrl-C ends every wait in here, also while the thread starts.
    """
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        loop = runner.get_loop()
        stack = AsyncExitStack()
        thread = threading.Thread(target=loop.run_forever, name="fault-server", daemon=True)
        try:
            thread.start()
            asyncio.run_coroutine_threadsafe(stack.enter_async_context(server), loop).result()
            yield server
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            runner.run(stack.aclose())


def refused_port() -> int:
    """Return a loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
