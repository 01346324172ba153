"""Fixtures of the tests of bad input: nothing is counted, nothing is left."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from tests.support.server import ApiServer


@pytest.fixture(autouse=True)
def nothing_counted_nothing_left(server: ApiServer) -> Iterator[None]:
    """A mistake is neither a failure nor a dummy, and leaves no file behind."""
    before = counted(server)
    yield
    assert counted(server) == before
    assert server.leftovers() == []


def counted(server: ApiServer) -> dict[str, float]:
    exposition = server.get("/metrics").text
    found = re.findall(
        r"^(stt_engine_(?:failures|outcomes)_total\{.*\}) (\S+)$", exposition, re.MULTILINE
    )
    return {name: float(value) for name, value in found if 'stage="health"' not in name}


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as found:
        yield found
