"""An upload that the disk cannot take: the server's trouble, and never called the caller's."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.server import ApiServer, api_server

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="limits can be put on a running process on Linux only"
)

KEPT_IN_MEMORY, WRITTEN_WHILE_IT_COMES = 100_000, 2_000_000
ROOM = 50_000


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server that can write no file larger than :data:`ROOM`; it needs no model."""
    folder = tmp_path_factory.mktemp("full")
    settings = {"stt_model_path": folder / "missing", "log_file": ""}
    with api_server(folder, ready=False, **settings) as server:
        assert server.base
        limit = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (ROOM, limit[1]))
        yield server
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limit)


@pytest.mark.parametrize("size", [KEPT_IN_MEMORY, WRITTEN_WHILE_IT_COMES])
async def test_full_disk(full: ApiServer, size: int) -> None:
    async with full.client() as client:
        answer: httpx2.Response = await client.post(
            "/transcribe", files={"file": ("a.wav", bytes(size))}
        )
    assert answer.status_code == 503, answer.text
    told = answer.json()
    assert told["type"] == "urn:stt-engine:problem:no-room"
    assert "try again later" in told["detail"]
    assert int(answer.headers["retry-after"]) >= 1


def test_nothing_is_left(full: ApiServer) -> None:
    assert list(Path(full.temporary).glob("stt-engine-*/tmp*")) == []
