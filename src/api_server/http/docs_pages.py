"""The pages ``/docs`` (Swagger UI) and ``/redoc``, with all that they load from this server.

FastAPI's own take their scripts from the internet, which a closed network does not have. The files
come with the package ``fastapi-offline``.
"""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.openapi.docs import (
    get_redoc_html,
    get_swagger_ui_html,
    get_swagger_ui_oauth2_redirect_html,
)
from fastapi.responses import FileResponse

from api_server.access.roles import DOCS_ASSETS

_OPENAPI = "/openapi.json"
_REDIRECT = "/docs/oauth2-redirect"
_SCRIPT, _STYLE, _REDOC, _ICON = DOCS_ASSETS


def install(app: FastAPI) -> None:
    """Add the pages and their files. They need no key; what is tried out on them does."""
    app.get("/docs/assets/{name}", include_in_schema=False)(_asset)
    app.get("/docs", include_in_schema=False)(_swagger)
    app.get(_REDIRECT, include_in_schema=False)(get_swagger_ui_oauth2_redirect_html)
    app.get("/redoc", include_in_schema=False)(_redoc)


def _asset(name: str) -> Response:
    if f"/docs/assets/{name}" not in DOCS_ASSETS:
        raise HTTPException(404)
    path = Path(fastapi_offline.__file__).with_name("static") / name
    return FileResponse(path, headers={"Cache-Control": "max-age=86400"})


def _swagger(request: Request) -> Response:
    root = request.scope.get("root_path", "")
    return get_swagger_ui_html(
        openapi_url=root + _OPENAPI,
        title=f"{request.app.title} - Swagger UI",
        swagger_js_url=root + _SCRIPT,
        swagger_css_url=root + _STYLE,
        swagger_favicon_url=root + _ICON,
        oauth2_redirect_url=root + _REDIRECT,
        swagger_ui_parameters={"validatorUrl": None},  # else the document is sent to a stranger
    )


def _redoc(request: Request) -> Response:
    root = request.scope.get("root_path", "")
    return get_redoc_html(
        openapi_url=root + _OPENAPI,
        title=f"{request.app.title} - ReDoc",
        redoc_js_url=root + _REDOC,
        redoc_favicon_url=root + _ICON,
        with_google_fonts=False,
    )
