"""What every request passes: an id, a bound on its body, and a key where keys are set."""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence

import anyio
from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_server.problems import Problem
from stt_engine.log import request_id

GIVEN_ID = "[A-Za-z0-9_.-]{1,64}"
"""What an id may be made of, as a regular expression."""

_GIVEN_ID = re.compile(GIVEN_ID)
_FORM_OVERHEAD = 1024 * 1024
OPEN_PATHS = frozenset({"/health", "/health/live", "/health/ready"})
"""Asked without a key."""


class RequestId:
    """Gives each request an id (the caller's ``X-Request-ID`` if it is harmless) and returns it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request under its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identity = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = identity
            await send(message)

        token = request_id.set(identity)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            request_id.reset(token)


class BodyLimit:
    """Refuses a body that is too large: at once where it says so, else as soon as it is."""

    def __init__(self, app: ASGIApp, limits: dict[str, int], default: int) -> None:
        self._app = app
        self._limits = limits
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request with a counted body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.get(scope["path"], self._default) + _FORM_OVERHEAD
        declared = Headers(scope=scope).get("content-length", "0")
        problem = Problem(
            413,
            "body-too-large",
            f"The body is larger than {limit} bytes. {_ADVICE}",
            {"Connection": "close"},
        )
        if declared.isdecimal() and int(declared) > limit:
            await _drained(receive)
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit, problem), send)


async def _drained(receive: Receive) -> None:
    """Take in some more of a body that is refused.

    A connection that is closed on unread data is reset, and the client would lose the answer that
    says why. What is sent beyond the bounds is the client's loss.
    """
    taken = 0
    with anyio.move_on_after(_DRAIN_SEC):
        while taken < _DRAIN_BYTES:
            message = await receive()
            taken += len(message.get("body", b""))
            if not message.get("more_body"):
                return


_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SEC = 5.0
_ADVICE = "Split the recording, or ask the operator to raise the limit (AUDIO_MAX_BYTES)."


def _counted(receive: Receive, limit: int, problem: Problem) -> Callable[[], Awaitable[Message]]:
    taken = 0

    async def receive_counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            if message.get("more_body"):
                await _drained(receive)
            raise problem
        return message

    return receive_counted


class ApiKey:
    """Asks for one of the keys, where there are any; liveness and health stay open."""

    def __init__(self, app: ASGIApp, keys: Sequence[SecretStr]) -> None:
        self._app = app
        self._keys = [key.get_secret_value().encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through if it may."""
        closed = scope["type"] == "http" and self._keys and scope["path"] not in OPEN_PATHS
        if closed and not self._known(Headers(scope=scope)):
            problem = Problem(
                401,
                "no-key",
                "Send a valid API key as 'Authorization: Bearer KEY'.",
                {"WWW-Authenticate": "Bearer"},
            )
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _known(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        told = given.strip().encode()
        # All keys are compared, each in constant time: the time taken tells nothing.
        matches = [hmac.compare_digest(told, key) for key in self._keys]
        return scheme.lower() == "bearer" and any(matches)
