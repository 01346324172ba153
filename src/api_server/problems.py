"""The caller's mistakes as RFC 9457 problem documents; never a dummy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api_server.models import ProblemDocument
from stt_engine import errors
from stt_engine.log import request_id

MEDIA_TYPE = "application/problem+json"

TITLES = {
    400: "Bad field",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    413: "Too large",
    415: "Not audio",
    422: "One input is needed",
    429: "Busy",
    503: "Unavailable",
}

AUDIO_STATUS: dict[type[errors.AudioRejected], int] = {
    errors.AudioNotFound: 404,
    errors.AudioUnreadable: 400,
    errors.AudioEmpty: 415,
    errors.NotAudio: 415,
    errors.AudioTruncated: 415,
    errors.AudioTooLarge: 413,
    errors.AudioTooLong: 413,
}
"""HTTP status of each way a recording can be unusable."""

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
"""What to do about a refusal of the framework itself."""


@dataclass
class Problem(Exception):
    """A refusal with a status, and words that say what to do. ``slug`` ends the problem's type."""

    status: int
    slug: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        """Give the HTTP answer."""
        document = ProblemDocument(
            type=f"urn:stt-engine:problem:{self.slug}",
            title=TITLES.get(self.status, "Error"),
            status=self.status,
            detail=self.detail,
            request_id=request_id.get(),
        )
        return JSONResponse(
            document.model_dump(), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def of_audio(error: errors.AudioRejected, shown_path: str, real_path: str) -> Problem:
    """Describe an unusable recording; paths of uploads are not the caller's business."""
    status = AUDIO_STATUS.get(type(error), 415)
    words = str(error).replace(real_path, shown_path)
    advice = "" if isinstance(error, errors.AudioTruncated) else f" {AUDIO_ADVICE[status]}"
    return Problem(status, slug_of(type(error)), f"{words}.{advice}")


def no_room(why: str) -> Problem:
    """Describe an upload that the disk cannot take."""
    words = f"The upload could not be stored ({why}); try again later."
    return Problem(503, "no-room", words, {"Retry-After": "30"})


def slug_of(error: type[errors.AudioRejected]) -> str:
    """Give the end of the problem's type: ``AudioTooLong`` is ``audio-too-long``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", error.__name__).lower()


def install(app: FastAPI) -> None:
    """Turn the framework's refusals into problem documents too."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)


def _problem(_request: Request, exc: Exception) -> JSONResponse:
    return cast("Problem", exc).response()


def _http(_request: Request, exc: Exception) -> JSONResponse:
    error = cast("HTTPException", exc)
    if isinstance(error.__cause__, Problem):  # a limit, met while the framework read the body
        return error.__cause__.response()
    if isinstance(error.__cause__, OSError):  # its temporary file: no fault of the caller's
        return no_room(str(error.__cause__.strerror)).response()
    headers = dict(error.headers or {})
    advice = HTTP_ADVICE.get(error.status_code, "").format(allow=headers.get("Allow", "another"))
    told = f"{str(error.detail).rstrip('.')}. {advice}".rstrip()
    return Problem(error.status_code, "http", told, headers).response()


def _validation(_request: Request, exc: Exception) -> JSONResponse:
    found = cast("RequestValidationError", exc).errors()
    told = "; ".join(
        f"{'.'.join(str(part) for part in one['loc'][1:]) or 'body'}: {one['msg']}" for one in found
    )
    return Problem(400, "bad-field", told).response()
