"""A watched folder of the real application: files become cases with answers."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from api_server.settings import Settings
from tests.support.in_process import CANARY_WORDS, running

pytestmark = pytest.mark.timeout(180)


async def test_a_file_that_comes_is_transcribed_and_stays_where_it_is(
    tmp_path: Path, canary: bytes
) -> None:
    folder = tmp_path / "recorder"
    folder.mkdir()
    given = {
        "audio_roots": [tmp_path],
        "watch_folders": [folder],
        "watch_settle_sec": 0.0,
        "watch_interval_sec": 0.05,
        "watch_language": "en",
    }
    async with running(recordings_reserve_bytes=0, **given) as app:
        (folder / "call.json").write_text('{"agent": 7}', encoding="utf-8")
        (folder / "call.part").write_bytes(canary)
        (folder / "call.part").rename(folder / "call.wav")
        with anyio.fail_after(90):
            while not (  # noqa: ASYNC110
                found := (await app.client.get("/cases", params={"state": "done"})).json()["cases"]
            ):
                await anyio.sleep(0.05)
        (case,) = found
        answer = (await app.client.get(f"/cases/{case['id']}")).json()["answer"]
        assert CANARY_WORDS in answer["text"].lower()
        (job,) = (await app.client.get("/jobs")).json()["jobs"]
        assert job["metadata"] == {"agent": 7}
        health = (await app.client.get("/health")).json()["components"]
        assert [one["state"] for one in health if one["name"] == "watch folder 1"] == ["ok"]
    assert sorted(one.name for one in folder.iterdir()) == ["call.json", "call.wav"]


def test_only_folders_below_the_roots_are_watched(tmp_path: Path) -> None:
    given = {"audio_roots": [tmp_path / "a"], "watch_folders": [tmp_path / "a/b", tmp_path / "c"]}
    (found,) = Settings(_env_file=None, **given).contradictions()  # type: ignore[arg-type]
    assert found == f"WATCH_FOLDERS: {tmp_path / 'c'} is not below AUDIO_ROOTS"
