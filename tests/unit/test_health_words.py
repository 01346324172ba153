"""What the page of health says of what jobs depend on: in words, with the time since when."""

from __future__ import annotations

import pytest

from api_server.models import HealthResponse
from api_server.web.health import parts_of

SINCE = "2026-12-01T09:00:00+00:00"


def health(**facts: object) -> HealthResponse:
    return HealthResponse(
        status="degraded",
        ready=True,
        version="1",
        components=[facts],
        circuits=[],
        last_failures=[],
        metrics={},
    )


@pytest.mark.parametrize(
    ("name", "korean"),
    [
        ("database", "데이터베이스"),
        ("recordings", "녹음 저장소"),
        ("watch folder 2", "감시 폴더 2"),
        ("audio root 1", "녹음 폴더 1"),
    ],
)
def test_what_fails_is_named_in_korean_with_its_reason_and_since_when(
    name: str, korean: str
) -> None:
    told = health(name=name, state="failing", reason="no answer", since=SINCE)
    first = parts_of(told, None)[0]
    assert (first.name[0], first.tone, first.reason, first.since) == (
        korean,
        "bad",
        "no answer",
        SINCE,
    )
    assert first.means is not None
    well = parts_of(health(name=name, state="ok", reason=None, since=None), None)
    assert [one.tone for one in well if one.name[0] == korean] == ["good"]
