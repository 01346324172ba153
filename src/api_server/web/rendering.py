"""Templates, and the headers of everything that the page sends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api_server.compliance.rubric import Element
from api_server.store.review_records import Visitor
from api_server.web import words
from api_server.web.identity import MAY
from api_server.web.sentences import clock
from api_server.web.words import Language, Pair

FOLDER = Path(__file__).parent
LANGUAGE_COOKIE = "stt_review_language"

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""What every answer has; files of the page may be kept, and say so themselves."""


def language_of(request: Request) -> Language:
    """Return the language that the reader has chosen; Korean until they have."""
    return "en" if request.cookies.get(LANGUAGE_COOKIE) == "en" else "ko"


def render(
    request: Request,
    template: str,
    status: int = 200,
    visitor: Visitor | None = None,
    **given: Any,  # noqa: ANN401 - whatever the template shows
) -> Response:
    """Return a page."""
    language = language_of(request)
    html = (
        _environment()
        .get_template(template)
        .render(
            root=request.scope.get("root_path", ""),
            language=language,
            visitor=visitor,
            may=MAY[visitor.role] if visitor else frozenset(),
            here=request.url.path,
            **given,
        )
    )
    return HTMLResponse(html, status)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(_=_translated, words=words, clock=clock)
    made.filters.update(pair=_pair, clock=clock, day=day, name=name, twice=_twice, titled=_titled)
    return made


@pass_context
def _translated(context: Context, korean: str, english: str) -> str:
    return words.pick((korean, english), context["language"])


@pass_context
def _pair(context: Context, pair: Pair) -> str:
    return words.pick(pair, context["language"])


def _twice(value: str) -> tuple[str, str]:
    return value, value


def _titled(element: Element) -> tuple[str, str]:
    return element.id, element.title


def name(given: str) -> str:
    """Return a file's name without characters that would show it in another order than it has."""
    return given.translate(_TURNING)


_TURNING = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F), "\ufffd")


def day(seconds: float | None) -> str:
    """Return a time as an ISO time in UTC, which the page shows in the reader's own zone."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
