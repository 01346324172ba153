"""Requests mean what they say: what an endpoint does not read is refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, ClassVar

from fastapi import APIRouter, Depends, Request, Response, params
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from api_server.http.middleware import drain_body
from api_server.http.problems import Problem
from api_server.http.spool import SpooledRequest
from api_server.text.strict_json import sent_twice
from stt_engine.shown import shorten, unknown

FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
JSON = "application/json"

_MOST_NAMED = 5
"""Wrong names that one refusal tells; a form may hold a thousand."""

_CHARSETS = {"utf-8", "utf8", "us-ascii"}


def strict_router() -> APIRouter:
    """Return a router whose endpoints refuse what they would not read."""
    return APIRouter(route_class=StrictRoute, dependencies=[Depends(_refuse_unread_fields)])


class StrictRoute(APIRoute):
    """A route that refuses unknown query parameters and contents before it reads a body.

    The framework reads forms alone. An endpoint reads JSON itself, strictly, and says so in
    ``openapi_extra``.
    """

    _methods: ClassVar[dict[str, set[str]]] = {}
    """The methods of each path, which may have several routes."""

    def __init__(self, path: str, *given: Any, **more: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(path, *given, **more)
        self._methods.setdefault(path, set()).update(self.methods or ())

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; a method that the path has not is refused with all that it has."""
        if scope["method"] not in (self.methods or ()):
            allowed = ", ".join(sorted(self._methods[self.path]))
            raise HTTPException(405, headers={"Allow": allowed})
        await super().handle(scope, receive, send)

    @property
    def reads_form(self) -> bool:
        """True where the body is a form, false where it is JSON or there is none."""
        return self.body_field is not None and isinstance(self.body_field.field_info, params.Form)

    @property
    def reads(self) -> tuple[str, ...]:
        """The media types that are read; none where there is no body."""
        if self.reads_form:
            return FORMS
        return (JSON,) if "requestBody" in (self.openapi_extra or {}) else ()

    @property
    def fields(self) -> list[str]:
        """The form's fields."""
        return [one.alias for one in self.dependant.body_params] if self.reads_form else []

    @property
    def repeatable(self) -> list[str]:
        """The form's fields that may come more than once."""
        lists = (one for one in self.dependant.body_params if _is_list(one))
        return [one.alias for one in lists] if self.reads_form else []

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler; see :class:`fastapi.routing.APIRoute`."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            """Refuse what is not read; of a refused body, the rest is read first."""
            try:
                self._check(request)
            except Problem:
                await drain_body(request.receive)
                raise
            place = request.app.state.service.storage.uploads
            return await handle(SpooledRequest(request, place))

        return handle_strictly

    def _check(self, request: Request) -> None:
        sent = [name for name, _ in request.query_params.multi_items()]
        if misplaced := sorted(set(sent) & set(self.fields)):
            raise _bad_field(f"'{misplaced[0]}' is a form field: send it in the body, not the URL")
        _check_names("query parameter", sent, [one.alias for one in self.dependant.query_params])
        if self.reads:
            _check_content(request, self.reads)


async def _refuse_unread_fields(request: Request) -> None:
    """Refuse a form with a field that has no meaning, or one twice."""
    route = request.scope["route"]
    if isinstance(route, StrictRoute) and route.reads_form:
        form = await request.form()  # read already
        sent = [name for name, _ in form.multi_items()]
        lists = set(route.repeatable)
        once = [*lists.intersection(sent), *(name for name in sent if name not in lists)]
        _check_names("form field", once, route.fields)
        for one in route.dependant.body_params:
            if form.get(one.alias) == "" and not _may_be_empty(one):
                raise _bad_field(f"{one.alias}: empty; leave it out, or send a value")


def _is_list(field: Any) -> bool:  # noqa: ANN401 - a field of the framework
    """Return whether a field takes a list of values."""
    found, errors = field.validate([], {}, loc=())
    return not errors and isinstance(found, list)


def _may_be_empty(field: Any) -> bool:  # noqa: ANN401 - a field of the framework
    """Return whether an empty value says nothing else than that the field is absent."""
    _, errors = field.validate("", {}, loc=())
    return field.default is None and not errors


def _check_names(what: str, sent: list[str], known: list[str]) -> None:
    strange = [name for name in dict.fromkeys(sent) if name not in known]
    if strange:
        raise _bad_field("; ".join(unknown(what, one, known) for one in strange[:_MOST_NAMED]))
    if len(set(sent)) != len(sent):
        raise _bad_field(sent_twice(what, sent))


def _check_content(request: Request, read: tuple[str, ...]) -> None:
    """Refuse a body in a form that this endpoint does not read.

    Raises:
        Problem: 415, with what is read.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise _unread(f"Content-Encoding '{shorten(encoding, 64)}'", "the body as it is")
    sent = request.headers.get("content-type")
    if sent is None:
        if _has_body(request):
            raise _unread("A body without Content-Type", " or ".join(read))
        return
    parsed = Message()
    parsed["content-type"] = shorten(sent, 1000)
    if not _is_one_of(parsed.get_content_type(), read):
        raise _unread(f"Content-Type '{shorten(sent, 64)}'", " or ".join(read))
    charset = str(parsed.get_param("charset", "utf-8")).lower()
    if charset not in _CHARSETS and parsed.get_content_type() != FORMS[0]:
        raise _unread(f"charset '{shorten(charset, 64)}'", "UTF-8")


def _is_one_of(media_type: str, read: tuple[str, ...]) -> bool:
    return media_type in read or (JSON in read and media_type.endswith("+json"))


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length", "0")
    return length != "0" or "transfer-encoding" in request.headers


def _unread(what: str, instead: str) -> Problem:
    return Problem(415, "unread-content", f"{what} is not read here; send {instead}.")


def _bad_field(detail: str) -> Problem:
    return Problem(400, "bad-field", detail)
