"""Errors in OpenAI's shape, for everything under ``/v1/``, whoever refuses.

What an endpoint here refuses names the field (``param``) and the kind (``code``). Refusals of the
parts that all endpoints share are problem documents, and are put into this shape on their way out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_server.http.front import path_in
from api_server.http.problems import MEDIA_TYPE, Problem
from stt_engine.outcome import Failure
from stt_engine.result import TRANSLATION_FAILED

PREFIX = "/v1/"
"""Paths that speak as OpenAI does."""

NO_RETRY = {"X-Should-Retry": "false"}
"""Tells the client that the same request would fail again; it retries three times otherwise."""

_SERVER = 500
_RATE = 429
_CODES = {"no-key": "invalid_api_key", "queue-full": "rate_limit_exceeded"}
_OF_FRAMEWORK = {404: "unknown_url", 405: "method_not_supported"}
_OF_FILE = frozenset(
    {
        *("audio-empty", "not-audio", "audio-truncated", "audio-damaged", "audio-unreadable"),
        *("audio-too-large", "audio-too-long", "audio-too-many-channels", "body-too-large"),
    }
)
_PARAMS = {**dict.fromkeys(_OF_FILE, "file"), "model-not-found": "model"}
_NO_AUDIO = 415
_BAD = 400

RETRY_AFTER: Mapping[str, int] = MappingProxyType(
    {
        "WorkerDied": 1,
        "ServerStopping": 5,
        "CallExpired": 10,
        "WorkerCrashLoop": 10,
        "MemoryError": 10,
        "ResourcesExhausted": 10,
        "ModelsFull": 10,
        "StorageUnresponsive": 10,
        "WorkspaceError": 30,
        "ConnectionError": 5,
        "CircuitOpen": 30,
    }
)
"""Causes that may be over after so many seconds; with any other the same would come of it again."""


@dataclass
class ApiError(Problem):
    """A refusal in OpenAI's shape; ``slug`` is its ``code``, ``param`` the field at fault."""

    param: str | None = None

    def response(self) -> JSONResponse:
        """Return the HTTP response."""
        body = error_body(self.status, self.detail, self.slug, self.param)
        return JSONResponse(body, self.status, self.headers)


def refused(param: str, why: str, code: str = "invalid_value") -> ApiError:
    """Return the refusal of a field by its name."""
    return ApiError(_BAD, code, f"{param}: {why}", {}, param)


def failed(cause: Failure | None) -> ApiError:
    """Return the error of a recording that was not recognised, with its cause.

    A client is told to try again only where that can help.
    """
    kind = cause.error_type if cause else "unknown"
    words = f"{kind}: {cause.message}" if cause else "no backend could take part"
    wait = RETRY_AFTER.get(kind)
    headers = {"Retry-After": str(wait), "X-Should-Retry": "true"} if wait else NO_RETRY
    return ApiError(503, kind, f"The recording was not transcribed ({words}).", dict(headers))


def not_translated(why: str) -> ApiError:
    """Return the error of a recording that was transcribed, and whose translation failed."""
    words = f"The recording was transcribed, and not translated ({why})."
    return ApiError(503, TRANSLATION_FAILED, words, dict(NO_RETRY))


def error_body(status: int, message: str, code: str, param: str | None) -> dict[str, Any]:
    """Return the body of an error."""
    words = message.encode("utf-8", "replace").decode()
    return {"error": {"message": words, "type": _type_of(status), "param": param, "code": code}}


def _type_of(status: int) -> str:
    if status >= _SERVER:
        return "server_error"
    return "rate_limit_error" if status == _RATE else "invalid_request_error"


class OpenAIErrors:
    """Puts problem documents into OpenAI's shape where the path is OpenAI's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request."""
        if scope["type"] == "http" and f"{path_in(scope)}/".startswith(PREFIX):
            send = _Reshaping(send)
        await self._app(scope, receive, send)


class _Reshaping:
    """``send``, except that a problem document becomes an error of OpenAI's."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        status, body = _reshaped(json.loads(self._body))
        raw = json.dumps(body, ensure_ascii=False).encode()
        headers = MutableHeaders(scope=start)
        headers["Content-Type"] = "application/json"
        headers["Content-Length"] = str(len(raw))
        if status == _SERVER:
            headers.update(NO_RETRY)
        await self._send({**start, "status": status})
        await self._send({"type": "http.response.body", "body": raw})


def _is_problem(start: Message) -> bool:
    return MutableHeaders(scope=start).get("content-type", "").startswith(MEDIA_TYPE)


def _reshaped(problem: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return status and body of a problem document's error."""
    slug = str(problem["type"]).rpartition(":")[2]
    status = int(problem["status"])
    if slug in _OF_FILE and status == _NO_AUDIO:
        status = _BAD
    if slug == "http":  # the framework's own refusals have no other name
        slug = _OF_FRAMEWORK.get(status, "invalid_body")
    code = _CODES.get(slug) or slug.replace("-", "_")
    return status, error_body(status, problem["detail"], code, _PARAMS.get(slug))
