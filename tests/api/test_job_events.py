"""``GET /jobs/{job}/events``: every change until the end, while somebody listens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest

from api_server.http import job_events
from api_server.http.job_events import JobEvents
from api_server.models import JobResponse
from tests.support.in_process import Running, running
from tests.support.server import ApiServer

pytestmark = pytest.mark.timeout(180)


def job(state: str, done: int = 0) -> JobResponse:
    return JobResponse.model_validate(
        {
            "id": "job-1",
            "state": state,
            "created_at": "2026-11-30T00:00:00Z",
            "priority": 5,
            "metadata": {},
            "options": {},
            "cases": 2,
            "counts": {"done": done},
            "share_done": done / 2,
            "audio_sec": 1.0,
        }
    )


def events(raw: str) -> list[dict[str, Any]]:
    found = []
    for one in raw.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in one.splitlines())
        if "data" in fields:
            assert fields["event"] == "job"
            found.append(json.loads(fields["data"]) | {"last": fields.get("id") == "end"})
    return found


# The stream ---------------------------------------------------------------------------------


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_events, "_LOOK_SEC", 0.01)


async def streamed(
    looks: Iterator[JobResponse | Exception], *, leave_after: int | None = None
) -> tuple[list[bytes], bool]:
    """Return what was sent, and whether the response was ended in order."""
    sent: list[dict[str, Any]] = []
    gone = anyio.Event()

    async def look() -> JobResponse:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    async def send(message: Any) -> None:
        sent.append(message)
        if leave_after is not None and len(sent) > leave_after:
            gone.set()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    with anyio.fail_after(30):
        stream = JobEvents(job("queued"), look, lambda: False)
        await stream({"type": "http", "method": "GET"}, receive, send)
    bodies = [one["body"] for one in sent if one["type"] == "http.response.body"]
    return bodies, sent[-1].get("more_body") is False


@pytest.mark.usefixtures("_quick")
async def test_only_changes_are_told_and_the_end_is_the_last() -> None:
    looks = [job("queued"), job("running", 1), job("running", 1), job("done", 2)]
    bodies, ended = await streamed(iter(looks))
    told = events(b"".join(bodies).decode())
    assert [(one["state"], one["last"]) for one in told] == [
        ("queued", False),
        ("running", False),
        ("done", True),
    ]
    assert ended


@pytest.mark.usefixtures("_quick")
async def test_a_store_that_fails_for_a_while_ends_no_stream() -> None:
    trouble = job_events.Problem(503, "jobs-unavailable", "gone")
    bodies, ended = await streamed(iter([trouble, trouble, job("cancelled")]))
    assert events(b"".join(bodies).decode())[-1]["state"] == "cancelled"
    assert ended


@pytest.mark.usefixtures("_quick")
async def test_silence_is_broken_and_who_hangs_up_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_events, "KEEP_ALIVE_SEC", 0.02)

    def same() -> Iterator[JobResponse]:
        while True:
            yield job("queued")

    bodies, ended = await streamed(same(), leave_after=3)
    assert b": still at work\n\n" in bodies
    assert not ended


# The endpoint -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def app() -> AsyncIterator[Running]:
    async with running(recordings_reserve_bytes=0) as found:
        yield found


async def test_a_job_is_followed_to_its_end(app: Running, canary: bytes) -> None:
    files = [("file", (f"{n}.wav", canary)) for n in range(2)]
    taken = (await app.client.post("/jobs", data={"language": "en"}, files=files)).json()
    answer = await app.client.get(f"/jobs/{taken['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer.text)
    assert (told[-1]["state"], told[-1]["counts"]["done"]) == ("done", 2)
    again = {"Last-Event-ID": "end"}
    over = await app.client.get(f"/jobs/{taken['id']}/events", headers=again)
    assert (over.status_code, over.content) == (204, b"")


async def test_no_such_job_is_a_plain_404(app: Running) -> None:
    answer = await app.client.get("/jobs/job-none/events")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.slow
async def test_a_server_that_stops_ends_its_streams(tmp_path: Path, canary: bytes) -> None:
    given = {"stt_model_path": tmp_path / "none", "recordings_reserve_bytes": 0}
    given["stop_grace_sec"] = 60
    server = await anyio.to_thread.run_sync(lambda: ApiServer(tmp_path, **given))
    try:
        async with httpx2.AsyncClient(base_url=server.base, trust_env=False, timeout=60) as client:
            files = {"file": ("a.wav", canary)}
            taken = (await client.post("/jobs", files=files)).json()
            async with client.stream("GET", f"/jobs/{taken['id']}/events") as answer:
                lines = answer.aiter_lines()
                assert await anext(lines) == "event: job"
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(anyio.to_thread.run_sync, server.stop)
                    with anyio.fail_after(20):
                        assert [one async for one in lines]
    finally:
        server.kill()
