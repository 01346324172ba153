"""One HTTP/1.1 connection under bounds: its head, idle time and reader, and how many there are.

uvicorn has a bound on the time between requests only. A connection that has not yet sent a request
is worth nothing: where there are too many, the one that has waited longest makes room.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from api_server.http.problems import Problem
from stt_engine.log import get_logger

RESERVE = 16
"""Connections beyond the limit, for which only the health endpoints are answered."""

_HEALTH = ("/health", "/health/live", "/health/ready")
_RESERVED_HEAD_SEC = 2.0
_REST_SEC = 5.0
"""Time for the rest of a body that nobody reads: its answer has been sent."""

_SPEAKS_FIRST = {h11.IDLE, h11.SEND_RESPONSE}


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds on connections; seconds."""

    most: int = 512
    head_sec: float = 10.0
    idle_sec: float = 5.0


class Connection(H11Protocol):
    """uvicorn's connection, which is closed when its time is over."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._told = False
        self.waits_since = time.monotonic()

    @property
    def waits(self) -> bool:
        """True while no request has come that is not answered yet."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it where there are too many."""
        super().connection_made(transport)
        head_sec = self._limits.head_sec
        if len(self.connections) > self._limits.most and not self._make_room():
            if len(self.connections) > self._limits.most + RESERVE:
                transport.abort()
                return
            self.app, head_sec = only_health(self.app), min(head_sec, _RESERVED_HEAD_SEC)
        self._arm(head_sec, self._head_is_late)

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for a request; false where none waits."""
        others = [
            one for one in self.connections if one is not self and isinstance(one, Connection)
        ]
        waiting = [one for one in others if one.waits and not one.transport.is_closing()]
        if not waiting:
            return False
        min(waiting, key=lambda one: one.waits_since).transport.abort()
        return True

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        self._told = self._told or self.conn.their_state is h11.IDLE
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        super().on_response_complete()
        self.waits_since, self._told = time.monotonic(), False
        self._watch()

    def _watch(self) -> None:
        """Bound what is awaited now: the rest of a head, or of a body that nobody reads."""
        theirs = self.conn.their_state
        if self.transport.is_closing():
            self._disarm()
        elif theirs is h11.IDLE and self.waits and self._told:
            self._arm(self._limits.head_sec, self._head_is_late)
        elif theirs is h11.SEND_BODY and self.waits:
            self._arm(_REST_SEC, self.transport.abort)
        else:
            self._disarm()

    def _arm(self, seconds: float, late: Callable[[], None]) -> None:
        """Start the clock, unless it runs already: no byte may prolong it."""
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        if self._told:
            limit = f"The head of the request did not come within {self._limits.head_sec:g} s."
            self._refuse(Problem(408, "head-too-slow", limit))
        else:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP request; called while the parser's error is handled."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._refuse(Problem(status, "no-http", f"{msg.rstrip('.')} ({error or 'unreadable'})."))

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem, if no answer has begun, and close."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in _SPEAKS_FIRST:
            problem.headers = {"Connection": "close", "X-Request-ID": uuid.uuid4().hex}
            answer = problem.response()
            for event in (
                h11.Response(status_code=problem.status, headers=answer.raw_headers),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def pause_writing(self) -> None:
        """Wait a while for the client to read."""
        super().pause_writing()
        self._writing = self.loop.call_later(self._limits.idle_sec, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on writing."""
        self._stop_writing_clock()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the clocks."""
        self._disarm()
        self._stop_writing_clock()
        super().connection_lost(exc)

    def _stop_writing_clock(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None


def only_health(app: ASGIApp) -> ASGIApp:
    """Return ``app``, which answers only whether it is well: there are too many connections."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a health endpoint, and refuse the rest."""
        if scope["path"].endswith(_HEALTH):
            await app(scope, receive, send)
            return
        words = "The server has as many connections as it takes (API_MAX_CONNECTIONS); try again."
        again = {"Retry-After": "1", "Connection": "close", "X-Request-ID": uuid.uuid4().hex}
        await Problem(503, "too-many-connections", words, again).response()(scope, receive, send)

    return answer


class AcceptErrors:
    """An exception handler of the event loop: want of descriptors is one line a minute.

    asyncio tries as often as there may be connections in the backlog, and reports each.
    """

    _SILENCE_SEC = 60.0

    def __init__(self) -> None:
        self._told_at = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Report an error that nobody else can."""
        if "socket.accept()" not in str(context.get("message")):
            loop.default_exception_handler(context)
            return
        if loop.time() - self._told_at >= self._SILENCE_SEC:
            self._told_at = loop.time()
            reason = cast("OSError", context.get("exception"))
            get_logger("Server").error("새 연결을 받을 수 없음: %s", reason.strerror)
