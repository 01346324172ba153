"""Routes of the page: who may, what is refused in which form, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.routing import APIRoute

from api_server.http.problems import Problem
from api_server.http.spool import SpooledRequest
from api_server.store.errors import DecisionRefused, NoSuchCase, NoSuchJob, StoreUnavailable
from api_server.store.review_records import Visitor
from api_server.web import words
from api_server.web.desk import ReviewDesk, desk_of
from api_server.web.errors import NOT_FOUND, Refused
from api_server.web.identity import Permission, check_origin
from api_server.web.rendering import HEADERS, language_of, render

PARTIAL = "x-partial"
"""The header by which the page's own scripts ask for a part of it, and for errors as JSON."""

_BAD_FORM = ("보낸 내용을 읽을 수 없습니다.", "What was sent cannot be read.")
_NO_STORE = (
    "지금은 저장소를 쓸 수 없습니다. 잠시 뒤에 다시 하십시오. 결정은 저장되지 않았습니다.",
    "The store cannot be used now. Try again later; nothing was saved.",
)
_SEE_OTHER, _UNAVAILABLE, _CONFLICT = 303, 503, 409


def review_router() -> APIRouter:
    """Return a router for pages."""
    return APIRouter(prefix="/review", route_class=PageRoute, include_in_schema=False)


class PageRoute(APIRoute):
    """A route that answers people: refusals are pages, or go to the login."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler; see :class:`fastapi.routing.APIRoute`."""
        handle = super().get_route_handler()

        async def handle_for_people(request: Request) -> Response:
            """Answer with a page, whatever happens that is not our defect."""
            place = request.app.state.service.storage.uploads
            try:
                check_origin(request)
                desk_of(request).identity.check_sender(request)
                response = await handle(SpooledRequest(request, place))
            except Refused as exc:
                response = _refusal(request, exc)
            except (NoSuchCase, NoSuchJob):
                response = _refusal(request, NOT_FOUND)
            except DecisionRefused as exc:
                response = _refusal(request, Refused(_CONFLICT, words.REFUSED[exc.code]))
            except RequestValidationError:
                response = _refusal(request, Refused(400, _BAD_FORM))
            except StoreUnavailable:
                response = _refusal(request, Refused(_UNAVAILABLE, _NO_STORE))
            except Problem as exc:
                response = _refusal(request, Refused(exc.status, (exc.detail, exc.detail)))
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handle_for_people


def is_partial(request: Request) -> bool:
    """Return whether a script of the page asks."""
    return PARTIAL in request.headers


def redirect(request: Request, path: str) -> Response:
    """Return an answer that leads to another page of this server."""
    return RedirectResponse(request.scope.get("root_path", "") + path, _SEE_OTHER)


def _refusal(request: Request, refused: Refused) -> Response:
    said = words.pick(refused.words, language_of(request))
    if is_partial(request):
        return JSONResponse({"detail": said, "log_in": refused.log_in}, refused.status)
    if refused.log_in and request.method == "GET":
        path = request.url.path.removeprefix(request.scope.get("root_path", ""))
        query = f"?{request.url.query}" if request.url.query else ""
        return redirect(request, f"/review/login?next={quote(path + query, safe='')}")
    return render(request, "error.html", refused.status, status_code=refused.status, said=said)


DeskDependency = Annotated[ReviewDesk, Depends(desk_of)]


def _needs(permission: Permission) -> Callable[[Request], Coroutine[Any, Any, Visitor]]:
    async def visitor(request: Request) -> Visitor:
        """Return who is logged in and may do this."""
        return await desk_of(request).identity.require(request, permission)

    return visitor


Seeing = Annotated[Visitor, Depends(_needs("see"))]
Deciding = Annotated[Visitor, Depends(_needs("decide"))]
Uploading = Annotated[Visitor, Depends(_needs("upload"))]
Governing = Annotated[Visitor, Depends(_needs("govern"))]
