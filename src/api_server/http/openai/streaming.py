"""A transcription as server-sent events: text as it is recognised, the whole of it, then the end.

A stream that only ends would look like a short transcript. So one that cannot be completed says so
in an error event, never says ``[DONE]``, and leaves its connection broken.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api_server.clients.task_groups import unwrap_exception_group
from api_server.http.disconnect import ClientDisconnected
from api_server.http.openai.errors import ApiError, error_body
from api_server.http.problems import Problem
from api_server.pipeline.render import openai
from stt_engine.speech import Transcript

KEEP_ALIVE_SEC = 15.0
"""Longest silence of a stream; a proxy cuts what is silent for long."""

_END = b"data: [DONE]\n\n"
_STILL_HERE = b": still at work\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Give = Callable[[str], None]
Recognise = Callable[[Give], Awaitable[Transcript]]
Diarize = Callable[[Transcript], dict[str, Any]]


class TranscriptStream(Response):
    """The answer; it begins with the first words, and what fails before them is a plain error.

    Args:
        recognise: recognises, and gives away pieces of the text meanwhile, in any thread.
        diarize: returns the whole with its speakers: there is an event for each segment then.
    """

    media_type = "text/event-stream"

    def __init__(self, recognise: Recognise, diarize: Diarize | None) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._recognise = recognise
        self._diarize = diarize

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 - as every ASGI application
        receive: Receive,  # noqa: ARG002 - read by whoever looks out for a hang-up
        send: Send,
    ) -> None:
        """Send the events.

        Raises:
            Problem: nothing was recognised, and nothing was sent yet.
            ClientDisconnected: nobody waits, and nothing was sent yet.
        """
        stream = _Stream(send, self.raw_headers)
        try:
            transcript = await stream.follow(self._recognise)
            await stream.finish(transcript, self._diarize)
        except ClientDisconnected:
            if not stream.begun:
                raise
        except Problem as exc:
            if not stream.begun:
                raise
            await stream.fail(exc)


class _Pieces:
    """Pieces of text on their way from a thread to the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._come = asyncio.Event()
        self._texts: deque[str] = deque()

    def put(self, text: str) -> None:
        """Add a piece, in any thread."""
        self._texts.append(text)
        self._loop.call_soon_threadsafe(self._come.set)

    async def come(self) -> None:
        """Wait until there is one."""
        await self._come.wait()
        self._come.clear()

    def taken(self) -> Iterator[str]:
        """Yield what is there, once."""
        while self._texts:
            yield self._texts.popleft()


class _Stream:
    """One stream: what was sent of it."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self._told = ""
        self.begun = False

    async def follow(self, recognise: Recognise) -> Transcript:
        """Send text as it comes, until all of it is there."""
        pieces = _Pieces()
        found: list[Transcript] = []
        with unwrap_exception_group():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send_pieces, pieces)
                found.append(await recognise(pieces.put))
                tasks.cancel_scope.cancel()
        for piece in pieces.taken():
            await self._delta(piece)
        return found[0]

    async def _send_pieces(self, pieces: _Pieces) -> None:
        while True:
            with anyio.move_on_after(KEEP_ALIVE_SEC if self.begun else None) as silence:
                await pieces.come()
            with anyio.CancelScope(shield=True):  # what was taken is sent whole
                if silence.cancelled_caught:
                    await self._write(_STILL_HERE)
                for piece in pieces.taken():
                    await self._delta(piece)

    async def finish(self, transcript: Transcript, diarize: Diarize | None) -> None:
        """Send what is left, the whole, and the end.

        Raises:
            ApiError: what was sent is not how the transcript begins.
        """
        if not transcript.text.startswith(self._told):
            words = "The recording was recognised anew, and differs from what was sent; try again."
            raise ApiError(503, "recognised_anew", words)
        if rest := transcript.text[len(self._told) :]:
            await self._delta(rest)
        for turn in diarize(transcript)["segments"] if diarize else ():
            await self._event(turn)
        await self._event(openai.done_event(transcript))
        await self._write(_END)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def fail(self, problem: Problem) -> None:
        """Send that there is no more, and leave the stream unfinished: the server cuts it."""
        body = error_body(problem.status, problem.detail, problem.slug, None)
        await self._event(body)

    async def _delta(self, text: str) -> None:
        await self._event({"type": "transcript.text.delta", "delta": text})
        self._told += text

    async def _event(self, event: dict[str, Any]) -> None:
        await self._write(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())

    async def _write(self, raw: bytes) -> None:
        if not self.begun:
            self.begun = True
            start = {"type": "http.response.start", "status": 200, "headers": self._headers}
            await self._send(start)
        await self._send({"type": "http.response.body", "body": raw, "more_body": True})
