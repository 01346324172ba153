"""Which endpoint needs which role: one table."""

from __future__ import annotations

import re
from collections.abc import Mapping

from api_server.settings.keys import Role

DOCS_ASSETS = (
    "/docs/assets/swagger-ui-bundle.js",
    "/docs/assets/swagger-ui.css",
    "/docs/assets/redoc.standalone.js",
    "/docs/assets/favicon.png",
)
"""What ``/docs`` and ``/redoc`` load."""

ROLE_OF: Mapping[str, Role | None] = {
    "/transcribe": "call",
    "/analyze": "call",
    "/v1/audio/transcriptions": "call",
    "/v1/audio/translations": "call",
    "/v1/models": "call",
    "/v1/models/{model}": "call",
    "/jobs": "call",
    "/jobs/{job}": "call",
    "/jobs/{job}/cancel": "call",
    "/jobs/{job}/retry": "call",
    "/jobs/{job}/events": "call",
    "/cases": "call",
    "/cases/{case}": "call",
    "/voices": "admin",
    "/voices/{voice}": "admin",
    # People log in there, and have roles of their own.
    "/review": None,
    "/metrics": "read",
    # A page of a browser cannot send a key before it is there, nor can what it loads.
    "/docs": None,
    "/docs/oauth2-redirect": None,
    "/redoc": None,
    "/openapi.json": None,
    **dict.fromkeys(DOCS_ASSETS),
    "/health": None,
    "/health/live": None,
    "/health/ready": None,
}
"""Path to the role that its key needs; ``None``: no key. A path that is not here: ``admin``."""

OPEN_PATHS = frozenset(path for path, role in ROLE_OF.items() if role is None)
"""Paths that need no key."""


_ONE_MODEL = "/v1/models/"
_PAGE = "/review/"

_OF_ONE = re.compile(r"/(job|case|voice)s/[^/]+(/[^/]+)?")


def is_known(path: str) -> bool:
    """Return whether a path stands in the table."""
    return _entry_of(path) in ROLE_OF


def role_of(path: str) -> Role | None:
    """Return the role that a path needs."""
    return ROLE_OF.get(_entry_of(path), "admin")


def _entry_of(path: str) -> str:
    if path.startswith(_PAGE):
        return "/review"
    if path.startswith(_ONE_MODEL):
        return f"{_ONE_MODEL}{{model}}"
    if found := _OF_ONE.fullmatch(path):
        return f"/{found[1]}s/{{{found[1]}}}{found[2] or ''}"
    return path
