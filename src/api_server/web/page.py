"""The page, put into an application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from api_server.web import calls, health, lists, login, numbers, rubrics, search, uploads
from api_server.web.background import working
from api_server.web.desk import ReviewDesk, watching
from api_server.web.errors import NOT_FOUND
from api_server.web.rendering import FOLDER
from api_server.web.router import review_router

router = review_router()

_STATIC = FOLDER / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def install(app: FastAPI) -> None:
    """Add the page to an application, and what it does beside serving requests."""
    desk = app.state.review = ReviewDesk(app.state.service)
    for one in (calls, lists, search, numbers, rubrics, login, uploads, health):
        app.include_router(one.router)
    app.include_router(router)
    app.get("/", include_in_schema=False)(_to_page)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncIterator[Any]:
        """Run the server and the page beside it."""
        async with inner(running) as state, watching(desk), working(desk):
            yield state

    app.router.lifespan_context = lifespan


def _to_page(request: Request) -> Response:
    return RedirectResponse(request.scope.get("root_path", "") + "/review", 307)


@router.get("/assets/{name}")
async def send_asset(name: str) -> Response:
    """Send a script, a style or a picture of the page."""
    path = _STATIC / name
    kind = _TYPES.get(path.suffix)
    if kind is None or path.name != name or not path.is_file():
        raise NOT_FOUND
    return FileResponse(path, media_type=kind, headers={"Cache-Control": "no-cache"})


@router.get("/{rest:path}")
async def refuse(rest: str) -> Response:  # noqa: ARG001
    """Refuse a page that is not there."""
    raise NOT_FOUND
