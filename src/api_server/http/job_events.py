"""A job as server-sent events: what it is now, each time that changes, until it has ended."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api_server.http.disconnect import ClientDisconnected, run_until_disconnect
from api_server.http.problems import Problem
from api_server.models import JobResponse

LAST_ID = "end"
"""The id of the event of a job that has ended: a client that comes back with it is told nothing."""

KEEP_ALIVE_SEC = 15.0
"""Longest silence of a stream; a proxy cuts what is silent for long."""

_LOOK_SEC = 1.0
_STILL_HERE = b": still at work\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_ENDED = {"done", "cancelled"}


class JobEvents(Response):
    """The stream of one job; it ends with the job, or with the server.

    Args:
        first: the job as it was found.
        look: returns it as it is now; while that fails, nothing is told.
        is_stopping: whether the server is about to end.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        first: JobResponse,
        look: Callable[[], Awaitable[JobResponse]],
        is_stopping: Callable[[], bool],
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._job = first
        self._look = look
        self._is_stopping = is_stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, as long as somebody listens."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        with suppress(ClientDisconnected):
            await run_until_disconnect(Request(scope, receive), lambda: self._tell(send))
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, send: Send) -> bool:
        job, told_at = self._job, 0.0
        told = None
        while True:
            if job != told:
                told, told_at = job, time.monotonic()
                await _write(send, _event(job))
            elif time.monotonic() - told_at >= KEEP_ALIVE_SEC:
                told_at = time.monotonic()
                await _write(send, _STILL_HERE)
            if job.state in _ENDED or self._is_stopping():
                return True
            await anyio.sleep(_LOOK_SEC)
            with suppress(Problem):  # the store cannot be used now
                job = await self._look()


def _event(job: JobResponse) -> bytes:
    identity = f"id: {LAST_ID}\n" if job.state in _ENDED else ""
    return f"{identity}event: job\ndata: {job.model_dump_json()}\n\n".encode()


async def _write(send: Send, raw: bytes) -> None:
    await send({"type": "http.response.body", "body": raw, "more_body": True})
