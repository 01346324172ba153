"""``/jobs`` and ``/cases`` of the real application, with the real model."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.support.fault_server import FaultServer, refused_port
from tests.support.in_process import CANARY_WORDS, Running, running
from tests.support.scripted_llm import honest, llm
from tests.support.server import ROOT

pytestmark = pytest.mark.timeout(180)

MODELLESS: dict[str, Any] = {
    "ready": False,
    "stt_model_path": Path("/nowhere/at/all"),
    "ready_interval_sec": 3600.0,
}
NOT_AUDIO = b"no recording at all, whatever it is called"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, canary: bytes) -> Path:
    """A root with two recordings, a note, and a link that leads out of it."""
    root = tmp_path_factory.mktemp("calls")
    for name in ("b.wav", "a.wav"):
        (root / name).write_bytes(canary)
    (root / "note.txt").write_bytes(NOT_AUDIO)
    (root / "deep").mkdir()
    (root / "out.wav").symlink_to(ROOT / "pyproject.toml")
    return root


@pytest.fixture(scope="module")
async def app(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    kept = tmp_path_factory.mktemp("kept")
    given = {"audio_roots": [folder], "database_url": f"sqlite:///{kept}/cases.db"}
    async with running(recordings_reserve_bytes=0, jobs_max_cases=6, **given) as found:
        yield found


Parts = list[tuple[str, tuple[str, bytes]]]


def parts(*contents: bytes) -> Parts:
    return [("file", (f"{n}.wav", one)) for n, one in enumerate(contents)]


async def post(
    app: Running, files: Parts | None = None, key: str | None = None, **form: Any
) -> httpx2.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await app.client.post("/jobs", data=form, files=files, headers=headers)


async def taken(app: Running, files: Parts | None = None, **form: Any) -> dict[str, Any]:
    answer = await post(app, files, **form)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    return job


async def get(app: Running, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
    answer = await app.client.get(path, params=query)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ended(app: Running, job: str) -> dict[str, Any]:
    with anyio.fail_after(90):
        while (  # noqa: ASYNC110
            found := await get(app, f"/jobs/{job}")
        )["state"] in {"queued", "running"}:
            await anyio.sleep(0.05)
    return found


async def cases(app: Running, job: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await get(app, "/cases", job=job, **query))["cases"]
    return found


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


# What a job comes to ------------------------------------------------------------------------


async def test_many_recordings_are_one_job_and_each_ends_as_it_is(
    app: Running, canary: bytes
) -> None:
    job = await taken(app, parts(canary, NOT_AUDIO, canary), language="en", metadata='{"a": [1]}')
    assert (job["cases"], job["metadata"], job["state"]) == (3, {"a": [1]}, "queued")
    done = await ended(app, job["id"])
    assert (done["state"], done["share_done"]) == ("done", 1.0)
    assert {name: n for name, n in done["counts"].items() if n} == {"done": 2, "refused": 1}
    (refused,) = await cases(app, job["id"], state="refused")
    assert (refused["name"], refused["error_type"]) == ("1.wav", "NotAudio")
    one = (await cases(app, job["id"], state="done"))[0]
    found = await get(app, f"/cases/{one['id']}")
    assert found["revision"] == 1
    assert CANARY_WORDS in found["answer"]["text"].lower()
    assert found["answer"]["request_id"] == one["id"]


async def test_the_answer_is_that_of_transcribe(app: Running, canary: bytes) -> None:
    live = (await app.post({"language": "en"}, ("0.wav", canary))).json()
    job = await taken(app, parts(canary), language="en", word_timestamps="true")
    await ended(app, job["id"])
    (one,) = await cases(app, job["id"])
    answer = (await get(app, f"/cases/{one['id']}"))["answer"]
    assert answer.keys() == live.keys()
    assert (answer["text"], answer["success"]) == (live["text"], True)
    assert answer["segments"][0]["words"]


async def test_a_case_may_be_had_as_subtitles_of_its_translation_too(
    app: Running, canary: bytes
) -> None:
    hints = {"keywords": "Kensington", "prompt": "A test."}
    job = await taken(app, parts(canary, NOT_AUDIO), language="en", translate="true", **hints)
    assert job["options"]["hints"] == {"keywords": ["Kensington"], "prompt": "A test."}
    await ended(app, job["id"])
    by_state = {one["state"]: f"/cases/{one['id']}" for one in await cases(app, job["id"])}
    for query in ("?format=srt", "?format=srt&english=true"):
        answer = await app.client.get(by_state["done"] + query)
        assert answer.headers["content-type"].startswith("application/x-subrip")
        assert CANARY_WORDS in answer.text.replace("\n", " ").lower()
    none = await app.client.get(by_state["refused"] + "?format=vtt")
    assert (none.status_code, none.json()["type"].rpartition(":")[2]) == (409, "no-transcript")
    assert (await app.client.get(by_state["done"] + "?english=true")).status_code == 400
    assert (await app.client.get(by_state["done"] + "?format=ssa")).status_code == 400


async def test_a_case_that_was_not_translated_says_so(app: Running, canary: bytes) -> None:
    job = await taken(app, parts(canary), language="en")
    await ended(app, job["id"])
    (one,) = await cases(app, job["id"])
    none = await app.client.get(f"/cases/{one['id']}?format=vtt&english=true")
    assert (none.status_code, none.json()["type"].rpartition(":")[2]) == (409, "no-translation")


async def test_a_check_is_done_too_and_one_that_fails_leaves_parts_missing(
    app: Running, canary: bytes
) -> None:
    for mode, state in (("ok", "done"), ("refused", "partial")):
        async with llm(mode) as form:
            job = await taken(app, parts(canary), language="en", **form)
            await ended(app, job["id"])
        (one,) = await cases(app, job["id"])
        assert one["state"] == state
        answer = (await get(app, f"/cases/{one['id']}"))["answer"]
        assert answer["is_partial_failure"] == (state == "partial")
        assert bool(one["error_type"]) == (state == "partial")


async def test_a_check_that_failed_is_made_up_for_when_its_llm_is_there(
    app: Running, canary: bytes
) -> None:
    port = refused_port()
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    form = {"incomplete_elements_check": "true", "timeout": "30", "agent_url": url}
    job = await taken(app, parts(canary), language="en", **form)
    assert (await ended(app, job["id"]))["counts"]["partial"] == 1
    (case,) = await cases(app, job["id"])
    assert case["repair"] == "pending"
    async with FaultServer(honest, port=port) as llm_server:
        with anyio.fail_after(90):
            while (await get(app, f"/jobs/{job['id']}"))["counts"]["done"] != 1:  # noqa: ASYNC110
                await anyio.sleep(0.05)
    assert len(llm_server.posts) == 1
    found = await get(app, f"/cases/{case['id']}")
    assert (found["revision"], found["repair"], found["error_type"]) == (2, "done", None)
    first = await get(app, f"/cases/{case['id']}", revision=1)
    assert first["answer"]["is_partial_failure"]
    assert first["answer"]["text"] == found["answer"]["text"]
    await get(app, f"/cases/{case['id']}", 404, revision=3)


async def test_a_folder_is_every_file_in_it_that_matches(app: Running, folder: Path) -> None:
    job = await taken(app, folder=str(folder), pattern="*.wav", language="en")
    done = await ended(app, job["id"])
    assert done["counts"]["done"] == 2, "the link leads out of the root"
    names = [one["name"] for one in await cases(app, job["id"])]
    assert names == [str(folder / "b.wav"), str(folder / "a.wav")]


async def test_a_file_that_is_gone_when_its_turn_comes_says_so(
    app: Running, folder: Path, canary: bytes
) -> None:
    short_lived = folder / "deep" / "gone.wav"
    short_lived.write_bytes(canary)
    app.service.readiness._reason = "not now"
    try:
        job = await taken(app, file_path=str(short_lived))
        short_lived.unlink()
    finally:
        app.service.readiness._reason = None
    await ended(app, job["id"])
    (one,) = await cases(app, job["id"])
    assert (one["state"], one["error_type"]) == ("refused", "FileNotFoundError")


# Asking again -------------------------------------------------------------------------------


async def test_the_same_request_with_the_same_key_is_one_job(app: Running, canary: bytes) -> None:
    first = await post(app, parts(canary), key="once", priority=3)
    again = await post(app, parts(canary), key="once", priority=3)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    other = await post(app, parts(canary), key="once", priority=4)
    assert problem(other) == (422, "key-reused")
    await ended(app, first.json()["id"])


async def test_a_cancelled_job_can_be_tried_again(app: Running, canary: bytes) -> None:
    app.service.readiness._reason = "not now"
    try:
        job = await taken(app, parts(canary, canary), language="en")
        answer = await app.client.post(f"/jobs/{job['id']}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        assert answer.json()["counts"]["cancelled"] == 2
    finally:
        app.service.readiness._reason = None
    again = await app.client.post(f"/jobs/{job['id']}/retry")
    assert again.json()["counts"]["queued"] == 2
    assert (await ended(app, job["id"]))["counts"]["done"] == 2


async def test_pages_hold_each_job_once(app: Running, canary: bytes) -> None:
    for _ in range(3):
        await taken(app, parts(canary))
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = await get(app, "/jobs", **query)
        seen += [one["id"] for one in page["jobs"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert len(seen) == len(set(seen)) >= 3


# What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, (422, "one-input")),
        ({"file_path": "a", "folder": "b"}, (422, "one-input")),
        ({"file_path": "/etc/passwd"}, (403, "outside-roots")),
        ({"folder": "/etc"}, (403, "outside-roots")),
        ({"folder": "{root}/none"}, (404, "no-such-folder")),
        ({"folder": "{root}", "pattern": "*.mp3"}, (404, "no-recordings")),
        ({"folder": "{root}", "pattern": "../*"}, (400, "bad-field")),
        ({"file_path": "{root}/a.wav", "pattern": "*"}, (400, "bad-field")),
        ({"file_path": "{root}/none.wav"}, (404, "no-such-file")),
        ({"file_path": "{root}/a.wav", "language": "klingon"}, (400, "bad-field")),
        ({"file_path": "{root}/a.wav", "metadata": "[1]"}, (400, "bad-field")),
        ({"file_path": "{root}/a.wav", "metadata": '{"a": NaN}'}, (400, "bad-field")),
        ({"file_path": "{root}/a.wav", "metadata": '{"a": "\\ud800"}'}, (400, "bad-field")),
        (
            {"file_path": "{root}/a.wav", "metadata": '{"a": "' + "가" * 6_000 + '"}'},
            (400, "bad-field"),
        ),
        ({"file_path": "{root}/a.wav", "priority": "10"}, (400, "bad-field")),
        ({"file_path": "{root}/a.wav", "timeout": "100000"}, (400, "bad-field")),
        ({"file_path": "{root}/a.wav", "strict": "true"}, (400, "bad-field")),
        (
            {
                "file_path": "{root}/a.wav",
                "incomplete_elements_check": "true",
                "agent_url": "http://elsewhere.example/v1/chat/completions",
            },
            (403, "agent-not-allowed"),
        ),
    ],
)
async def test_what_cannot_be_done_is_refused_at_the_door(
    app: Running, folder: Path, form: dict[str, str], said: tuple[int, str]
) -> None:
    given = {name: value.replace("{root}", str(folder)) for name, value in form.items()}
    assert problem(await post(app, **given)) == said


async def test_more_recordings_than_a_job_has_are_refused(app: Running, canary: bytes) -> None:
    assert problem(await post(app, parts(*[canary] * 7))) == (413, "job-too-large")


async def test_what_is_not_there_is_404(app: Running) -> None:
    for path in ("/jobs/job-0", "/cases/case-0"):
        await get(app, path, 404)
    await get(app, "/cases", 404, job="job-0")
    for what in ("cancel", "retry"):
        assert (await app.client.post(f"/jobs/job-0/{what}")).status_code == 404


async def test_a_full_quota_is_507_and_takes_nothing(canary: bytes) -> None:
    given = {"recordings_max_bytes": len(canary), "recordings_reserve_bytes": 0}
    async with running(**MODELLESS, **given) as full:
        assert problem(await post(full, parts(canary, canary))) == (507, "store-full")
        assert (await get(full, "/jobs"))["jobs"] == []
        await taken(full, parts(canary))
        assert problem(await post(full, parts(canary + b"\0"))) == (507, "store-full")
        path = full.service.desk.recordings.folder
        assert [one for one in path.rglob("incoming/*") if one.is_file()] == []


async def test_the_reserve_of_the_disk_is_507(canary: bytes) -> None:
    async with running(**MODELLESS, recordings_reserve_bytes=2**62) as full:
        assert problem(await post(full, parts(canary))) == (507, "store-full")


# Whose it is --------------------------------------------------------------------------------


async def test_a_key_sees_its_own_jobs_and_an_admin_all(canary: bytes) -> None:
    keys = ["one:call:key-of-one", "two:call:key-of-two", "boss:admin:key-of-boss"]
    async with running(**MODELLESS, api_named_keys=keys, recordings_reserve_bytes=0) as app:
        client = app.client

        async def ask(who: str, method: str, path: str, **given: Any) -> httpx2.Response:
            headers = {"Authorization": f"Bearer key-of-{who}"}
            return await client.request(method, path, headers=headers, **given)

        job = (await ask("one", "POST", "/jobs", files=parts(canary))).json()
        for who, sees in (("one", 1), ("two", 0), ("boss", 1)):
            assert len((await ask(who, "GET", "/jobs")).json()["jobs"]) == sees
            assert len((await ask(who, "GET", "/cases")).json()["cases"]) == sees
            status = (await ask(who, "GET", f"/jobs/{job['id']}")).status_code
            assert status == (200 if sees else 404)
        assert (await ask("two", "POST", f"/jobs/{job['id']}/cancel")).status_code == 404


# A store that fails -------------------------------------------------------------------------


async def test_a_database_that_is_gone_stops_no_call(tmp_path: Path, canary: bytes) -> None:
    database = tmp_path / "cases.db"
    given = {"database_url": f"sqlite:///{database}", "recordings_reserve_bytes": 0}
    async with running(**given) as app:
        assert (await get(app, "/health"))["status"] == "healthy"
        await ended(app, (await taken(app, parts(canary), language="en"))["id"])
        database.unlink()
        assert problem(await post(app, parts(canary))) == (503, "jobs-unavailable")
        assert problem(await app.client.get("/jobs")) == (503, "jobs-unavailable")
        live = (await app.post({"language": "en"}, ("0.wav", canary))).json()
        assert CANARY_WORDS in live["text"].lower()
        health = await get(app, "/health")
        (shown,) = [one for one in health["components"] if one["name"] == "jobs"]
        assert (health["status"], shown["state"]) == ("degraded", "failing")
        assert str(database) in shown["reason"]
        assert "[Jobs] 작업 저장소를 쓸 수 없음" in "\n".join(app.log.all())


async def test_a_locked_database_is_503_and_stops_no_call(
    tmp_path: Path, canary: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_server.store.sqlite_file.LOCKED_SEC", 0.05)
    database = tmp_path / "cases.db"
    given = {"database_url": f"sqlite:///{database}", "recordings_reserve_bytes": 0}
    async with running(**given) as app:
        await ended(app, (await taken(app, parts(canary), language="en"))["id"])
        other = sqlite3.connect(database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused = await post(app, parts(canary))
        assert problem(refused) == (503, "jobs-unavailable")
        assert refused.headers["retry-after"] == "10"
        assert (await app.post({"language": "en"}, ("0.wav", canary))).json()["success"]
        assert (await get(app, "/jobs"))["jobs"], "it can be read"
        health = await get(app, "/health")
        (shown,) = [one for one in health["components"] if one["name"] == "database"]
        assert (health["status"], shown["state"]) == ("degraded", "failing")
        assert "locked" in shown["reason"]
        assert datetime.fromisoformat(shown["since"]) <= datetime.now(UTC)
        sample = app.service.metrics.registry.get_sample_value
        assert sample("stt_engine_store_failing") == 1.0
        other.execute("COMMIT")
        other.close()
        await app.service.store_probe.look()
        assert sample("stt_engine_store_failing") == 0.0, "it is written to without any job"
        assert (await get(app, "/health"))["status"] == "healthy"
        await ended(app, (await taken(app, parts(canary), language="en"))["id"])


async def test_a_place_that_cannot_be_written_is_503(tmp_path: Path, canary: bytes) -> None:
    (tmp_path / "file").write_bytes(b"")
    given = {"database_url": f"sqlite:///{tmp_path}/file/cases.db"}
    async with running(**MODELLESS, **given) as app:
        assert problem(await post(app, parts(canary))) == (503, "jobs-unavailable")


# Beside calls -------------------------------------------------------------------------------


async def test_cases_are_counted_and_shown(app: Running, canary: bytes) -> None:
    job = await taken(app, parts(canary), language="en")
    await ended(app, job["id"])
    sample = app.service.metrics.registry.get_sample_value
    assert "stt_engine_cases_queued" in app.service.exposition().decode()
    (one,) = await cases(app, job["id"])
    for line in (f"[Jobs] 작업 접수 ({job['id']}, 녹취 1건)", f"[Jobs] 건 완료 ({one['id']}"):
        with anyio.fail_after(30):
            while line not in "\n".join(app.log.all()):  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.01)
    assert (sample("stt_engine_cases_total", {"end": "done"}) or 0) >= 1


async def test_a_call_is_answered_before_the_jobs_that_came_first(
    app: Running, longer: bytes, canary: bytes
) -> None:
    job = await taken(app, parts(*[longer] * 6), language="en")
    with anyio.fail_after(60):
        while app.service.jobs.at_work == 0:  # noqa: ASYNC110 - it has no event
            await anyio.sleep(0.01)
    live = await app.post({"language": "en"}, ("0.wav", canary))
    assert live.json()["success"]
    counts = (await get(app, f"/jobs/{job['id']}"))["counts"]
    assert counts["queued"] + counts["running"] > 0
    assert (await ended(app, job["id"]))["counts"]["done"] == 6
