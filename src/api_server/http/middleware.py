"""Middleware of every request: request id and defects, bounds of the body, API key."""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Awaitable, Callable

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_server.access.key_ring import KeyRing
from api_server.access.roles import is_known, role_of
from api_server.http.front import path_in
from api_server.http.problems import HTTP_ADVICE, Problem
from api_server.settings.keys import NamedKey
from stt_engine.events import request_id
from stt_engine.shown import shorten

REQUEST_ID_PATTERN = "[A-Za-z0-9_.-]{1,64}"
"""Regular expression of an acceptable ``X-Request-ID``."""

_REQUEST_ID = re.compile(REQUEST_ID_PATTERN)
_FORM_OVERHEAD = 1024 * 1024


class RequestId:
    """Assigns each request an id, by default its valid ``X-Request-ID``, and returns it.

    A defect of ours is answered here, so that its answer has the id too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request with its id in the log context."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identity = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex

        begun: list[Message] = []

        async def send_with_id(message: Message) -> None:
            begun.append(message)
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = identity
            await send(message)

        token = request_id.set(identity)
        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            if not begun:
                await _DEFECT.response()(scope, receive, send_with_id)
            raise  # the server logs it
        finally:
            request_id.reset(token)


_DEFECT = Problem(
    500,
    "defect",
    "The server has failed on this request, by a defect of its own; tell the operator its id.",
)


class BodyLimit:
    """Rejects a body that is too large, by its Content-Length or while it comes, or too slow.

    A limit is in bytes, with the name of its setting.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: dict[str, tuple[int, str]],
        default: tuple[int, str],
        timeout_sec: float,
    ) -> None:
        self._app = app
        self._limits = limits
        self._default = default
        self._timeout_sec = timeout_sec

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request with a limited body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = path_in(scope)
        limit, name = self._limits.get(path, self._default)
        limit += _FORM_OVERHEAD
        declared = Headers(scope=scope).get("content-length", "0")
        problem = Problem(
            413,
            "body-too-large",
            f"The body is larger than {limit} bytes. Split the recording, or ask the operator to "
            f"raise the limit ({name}).",
            {"Connection": "close"},
        )
        if declared.isdecimal() and int(declared) > limit:
            await drain_body(receive)
            await problem.response()(scope, receive, send)
            return
        limited = _limit_receive(receive, limit, problem)
        await self._app(scope, _hurry_receive(limited, self._timeout_sec), send)


async def drain_body(receive: Receive) -> None:
    """Receive and discard the rest of a rejected body, within limits.

    Closing a connection with unread data resets it, and the client would not get the response.
    """
    received = 0
    with anyio.move_on_after(_DRAIN_SEC):
        while received < _DRAIN_BYTES:
            message = await receive()
            received += len(message.get("body", b""))
            if not message.get("more_body"):
                return


_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SEC = 5.0


def _limit_receive(
    receive: Receive, limit: int, problem: Problem
) -> Callable[[], Awaitable[Message]]:
    """Return ``receive``, except that it raises ``problem`` once the body exceeds ``limit``."""
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            if message.get("more_body"):
                await drain_body(receive)
            raise problem
        return message

    return receive_limited


def _hurry_receive(receive: Receive, timeout_sec: float) -> Receive:
    """Return ``receive``, except that it raises once the body is too slow.

    It has ``timeout_sec``, and one second for every :data:`_BYTES_PER_SEC` that came: a body that
    trickles in ends, and a long recording over a slow line does not.
    """
    began, received, more = anyio.current_time(), 0, True

    async def receive_in_time() -> Message:
        nonlocal received, more
        if not more:  # the next message is the disconnect
            return await receive()
        left = began + timeout_sec + received / _BYTES_PER_SEC - anyio.current_time()
        try:
            with anyio.fail_after(max(0.0, left)):
                message = await receive()
        except TimeoutError as exc:
            limit = f"The body did not come within {timeout_sec:g} s (API_BODY_TIMEOUT_SEC)."
            raise Problem(408, "body-too-slow", limit, {"Connection": "close"}) from exc
        received += len(message.get("body", b""))
        more = bool(message.get("more_body"))
        return message

    return receive_in_time


_BYTES_PER_SEC = 128 * 1024


class ApiKey:
    """Requires a key with the role that the path needs, if there are keys.

    The key is in the request's scope as ``key`` from here on.
    """

    def __init__(self, app: ASGIApp, ring: KeyRing) -> None:
        self._app = app
        self._ring = ring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request if it is authorised."""
        scope["key"] = None
        problem = self._refusal(scope) if scope["type"] == "http" else None
        if problem:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        role = role_of(path_in(scope))
        if role is None or not self._ring.required:
            return None
        key = self._key_of(Headers(scope=scope))
        if key is None:
            return Problem(
                401,
                "no-key",
                "Send a valid API key as 'Authorization: Bearer KEY'.",
                {"WWW-Authenticate": "Bearer"},
            )
        if key.may(role):
            scope["key"] = key
            return None
        if not is_known(path_in(scope)):
            return Problem(404, "http", f"Not Found. {HTTP_ADVICE[404]}")
        return Problem(
            403,
            "wrong-role",
            f"The key '{shorten(key.name)}' may not be used here: this needs the role '{role}'.",
        )

    def _key_of(self, headers: Headers) -> NamedKey | None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        presented = given.strip().encode()
        # All keys are compared, each in constant time, against timing attacks.
        matches = [
            key for key in self._ring.keys if hmac.compare_digest(presented, key.secret.encode())
        ]
        return matches[0] if matches and scheme.lower() == "bearer" else None
