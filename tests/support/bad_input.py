"""Assertions on a problem document."""

from __future__ import annotations

import re
from typing import Any

import httpx2


def assert_problem(response: httpx2.Response, status: int, words: str) -> dict[str, Any]:
    """Assert a whole RFC 9457 document whose detail matches ``words``."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert "x-stt-degraded" not in response.headers
    told: dict[str, Any] = response.json()
    assert set(told) == {"type", "title", "status", "detail", "request_id"}
    assert re.fullmatch(r"urn:stt-engine:problem:[a-z-]+", told["type"])
    assert told["title"].strip()
    assert told["status"] == status
    assert told["request_id"] == response.headers["x-request-id"]
    assert re.search(words, told["detail"]), told["detail"]
    assert "Traceback" not in response.text
    return told


WHOLE = "Send a recording in a format FFmpeg reads"
