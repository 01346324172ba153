"""Jobs whose recordings are in an object store, and what callers see when it is away."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.support.in_process import CANARY_WORDS, running
from tests.support.object_store import URL, object_server

pytestmark = pytest.mark.slow  # two servers start


async def test_an_object_store_that_is_gone_stops_no_call(
    tmp_path: Path, canary: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"database_url": f"sqlite:///{tmp_path}/cases.db", "recordings_url": URL}
    upload = [("file", ("0.wav", canary))]
    with object_server(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        async with running(recordings_reserve_bytes=0, **given) as app:
            job = await app.client.post("/jobs", data={"language": "en"}, files=upload)
            assert job.status_code == 202, job.text
            with anyio.fail_after(90):
                while (await app.client.get(job.headers["location"])).json()["state"] != "done":  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            (case,) = (await app.client.get("/cases")).json()["cases"]
            assert case["state"] == "done"
            server.stop()
            refused = await app.client.post("/jobs", data={"language": "en"}, files=upload)
            assert refused.status_code == 503
            assert URL in refused.json()["detail"]
            live = (await app.post({"language": "en"}, ("0.wav", canary))).json()
            assert CANARY_WORDS in live["text"].lower()
            assert len((await app.client.get("/jobs")).json()["jobs"]) == 1
