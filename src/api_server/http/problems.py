"""RFC 9457 problem documents for client errors, which are never answered with a dummy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api_server.models import ProblemDocument
from api_server.store.errors import KeyReused, NoSuchCase, NoSuchJob, StoreFull
from api_server.text.validation_errors import describe_errors
from stt_engine import errors
from stt_engine.events import request_id
from stt_engine.shown import shorten

MEDIA_TYPE = "application/problem+json"

TITLES = {
    400: "Bad field",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Not there",
    413: "Too large",
    415: "Not audio",
    421: "Wrong host",
    422: "One input is needed",
    429: "Busy",
    431: "Too large",
    500: "Server error",
    503: "Unavailable",
    507: "No room",
}

SLUG_TITLES = {"unread-content": "Not read here", "key-reused": "Another request"}
"""Titles of problems that share their status with another kind."""

AUDIO_STATUS: dict[type[errors.AudioRejected], int] = {
    errors.AudioNotFound: 404,
    errors.AudioUnreadable: 400,
    errors.AudioEmpty: 415,
    errors.NotAudio: 415,
    errors.AudioTruncated: 415,
    errors.AudioDamaged: 415,
    errors.AudioTooLarge: 413,
    errors.AudioTooLong: 413,
    errors.AudioTooManyChannels: 413,
}
"""HTTP status of each error about a recording."""

AUDIO_ADVICE = {
    400: "Give the path of one readable recording.",
    404: "Check the path, or upload the recording in the field 'file'.",
    413: "Split the recording, or ask the operator to raise the limit.",
    415: "Send a recording in a format FFmpeg reads (wav, mp3, m4a, flac, ogg, amr...).",
}

HTTP_ADVICE = {
    400: "Send the fields as multipart/form-data or application/x-www-form-urlencoded; see /docs.",
    404: "See /docs for the paths that there are.",
    405: "Use {allow}; see /docs.",
}
"""Advice for errors raised by the framework."""


LONGEST_DETAIL = 2_000
"""Characters of a detail; what a caller sent is not sent back at length."""


@dataclass
class Problem(Exception):
    """A rejected request; ``detail`` says what to do, ``slug`` is the end of the problem's type."""

    status: int
    slug: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        """Return the HTTP response."""
        # A caller's name may hold half a character, which no answer can.
        detail = shorten(self.detail, LONGEST_DETAIL).encode("utf-8", "replace").decode()
        document = ProblemDocument(
            type=f"urn:stt-engine:problem:{self.slug}",
            title=SLUG_TITLES.get(self.slug) or TITLES.get(self.status, "Error"),
            status=self.status,
            detail=detail,
            request_id=request_id.get(),
        )
        return JSONResponse(
            document.model_dump(), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def build_audio_problem(error: errors.AudioRejected) -> Problem:
    """Return the problem of an unusable recording; the error names it as its caller does."""
    status = AUDIO_STATUS.get(type(error), 415)
    advice = (
        ""
        if isinstance(error, errors.AudioTruncated | errors.AudioDamaged)
        else f" {AUDIO_ADVICE[status]}"
    )
    return Problem(status, build_slug(type(error)), f"{error}.{advice}")


def build_storage_problem(cause: str) -> Problem:
    """Return the problem of an upload that cannot be stored."""
    message = f"The upload could not be stored ({cause}); try again later."
    return Problem(503, "no-room", message, {"Retry-After": "30"})


def build_machine_problem(error: errors.EngineError) -> Problem:
    """Return the problem of a request that this machine cannot serve now."""
    again = {"Retry-After": "10"}
    return Problem(503, build_slug(type(error)), f"{error}; try again later.", again)


def build_store_problem(error: errors.EngineError) -> Problem:
    """Return the problem of a request for jobs that cannot be served."""
    kind = type(error)
    if kind in {NoSuchJob, NoSuchCase}:
        return Problem(404, build_slug(kind), f"{error}; see GET /{_LISTS[kind]}.")
    if kind is KeyReused:
        return Problem(422, "key-reused", f"{error}; send another Idempotency-Key.")
    if kind is StoreFull:
        return Problem(507, "store-full", f"{error}. The operator can make room.")
    return Problem(503, "jobs-unavailable", f"{error}; try again later.", {"Retry-After": "10"})


_LISTS: dict[type[errors.EngineError], str] = {NoSuchJob: "jobs", NoSuchCase: "cases"}


def build_slug(error: type[errors.EngineError]) -> str:
    """Return the slug of an error: ``audio-too-long`` for ``AudioTooLong``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", error.__name__).lower()


def install(app: FastAPI) -> None:
    """Register handlers that convert all errors of a request to problem documents."""
    app.add_exception_handler(Problem, _handle_problem)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)


def _handle_problem(_request: Request, exc: Exception) -> JSONResponse:
    return cast("Problem", exc).response()


def _handle_http_error(_request: Request, exc: Exception) -> JSONResponse:
    error = cast("HTTPException", exc)
    if isinstance(error.__cause__, Problem):  # raised while the framework read the body
        return error.__cause__.response()
    if isinstance(error.__cause__, OSError):  # a temporary file of the framework
        return build_storage_problem(str(error.__cause__.strerror)).response()
    headers = dict(error.headers or {})
    advice = HTTP_ADVICE.get(error.status_code, "").format(allow=headers.get("Allow", "another"))
    detail = f"{str(error.detail).rstrip('.')}. {advice}".rstrip()
    return Problem(error.status_code, "http", detail, headers).response()


def _handle_validation_error(_request: Request, exc: Exception) -> JSONResponse:
    found = cast("RequestValidationError", exc).errors()
    told = [{**one, "loc": one["loc"][1:]} for one in found]  # without "body"
    return Problem(400, "bad-field", describe_errors(told)).response()
