"""Health, readiness, metrics, keys and the queue: true at every moment, and never held up."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import psutil
import pytest

from api_server.http import middleware
from tests.support.in_process import NEVER, Running, running
from tests.support.scripted_llm import MODES, llm
from tests.support.server import ApiServer, api_server, awaited


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server that proves itself once, notices a hang in two seconds, and lets nobody wait."""
    settings = {"ready_interval_sec": NEVER, "stt_stall_timeout_sec": 2, "queue_max_waiting": 0}
    with api_server(tmp_path_factory.mktemp("quiet"), **settings) as found:
        yield found


def model_pid(server: ApiServer) -> int:
    return int(server.component("faster-whisper")["pid"])


def readiness(server: ApiServer) -> tuple[int, str | None]:
    response = server.get("/health/ready")
    assert response.json()["ready"] == (response.status_code == 200)
    return response.status_code, response.json()["reason"]


def test_ready_only_once_the_known_clip_was_recognised(
    tmp_path: Path,
) -> None:
    with api_server(tmp_path, ready=False) as server:
        # Held, since the model is loaded in about the time that the server needs to answer at all.
        model = awaited(server.children, "the model's process has started")[0]
        model.suspend()
        assert readiness(server) == (503, "the model is loading")
        assert server.get("/health/live").status_code == 200
        body = server.get("/health").json()
        assert (body["status"], body["ready"]) == ("degraded", False)
        model.resume()
        server.wait_ready()
        assert readiness(server) == (200, None)
        assert any("[HealthCheck] 준비 완료" in line for line in server.lines)
        body = server.get("/health").json()
        assert (body["status"], body["ready"]) == ("healthy", True)
        # The proof is not a call.
        assert body["metrics"]["stt_total_count"] == 0


async def test_missing_model(tmp_path: Path) -> None:
    async with running(
        ready=False, stt_model_path=tmp_path / "missing", ready_interval_sec=NEVER
    ) as app:
        with anyio.fail_after(60):
            while "no backend" not in (app.service.readiness.reason or ""):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        response = await app.client.get("/health/ready")
        assert response.status_code == 503
        assert response.json() == {
            "ready": False,
            "reason": "no backend could load a model (see the log)",
            "degraded": {},
        }
        assert (await app.client.get("/health/live")).json() == {"status": "alive"}
        health = await app.client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        types = {one["error_type"] for one in health.json()["last_failures"]}
        assert types == {"FileNotFoundError", "CanaryFailed"}
        assert "ERROR - [HealthCheck] 준비 안 됨: CanaryFailed: no backend" in "\n".join(
            app.log.all()
        )
        metrics = (await app.client.get("/metrics")).text
        assert 'stt_engine_model_loaded{backend="faster-whisper"} 0.0' in metrics


async def test_other_words_are_no_proof(tmp_path: Path) -> None:
    """A model that answers nonsense (or one for another language) is not ready."""
    settings = {"ready_canary_text": "bananas", "ready_interval_sec": NEVER}
    async with running(ready=False, **settings) as app:
        with anyio.fail_after(90):
            while "other words" not in (app.service.readiness.reason or ""):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert (await app.client.get("/health/ready")).status_code == 503


def test_killed_idle_model_comes_back_by_itself(server: ApiServer) -> None:
    before = model_pid(server)
    os.kill(before, signal.SIGKILL)
    seen = awaited(lambda: readiness(server)[0] == 503 and readiness(server), "not ready")
    assert seen[1] in {"the model was lost and is loaded again", None}
    server.wait_ready()
    assert model_pid(server) != before
    assert server.metric("stt_engine_worker_events_total", role="faster-whisper") >= 2


def test_stopped_model_is_told_with_its_reason(quiet: ApiServer) -> None:
    pid = model_pid(quiet)
    os.kill(pid, signal.SIGSTOP)
    try:
        reason = "faster-whisper has stopped answering"
        awaited(lambda: readiness(quiet) == (503, reason), "the hang is noticed")
        assert quiet.component("faster-whisper")["state"] == "stalled"
        assert quiet.metric("stt_engine_ready") == 0
        assert quiet.get("/health").json()["status"] == "degraded"
        assert quiet.get("/health/live").status_code == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    awaited(lambda: readiness(quiet) == (200, None), "it answers again")
    assert model_pid(quiet) == pid


async def test_stopped_model_is_replaced_by_the_next_call(quiet: ApiServer, canary: bytes) -> None:
    """The caller gets the words; the process that hung is gone."""
    pid = model_pid(quiet)
    hung = psutil.Process(pid)
    os.kill(pid, signal.SIGSTOP)
    awaited(lambda: quiet.component("faster-whisper")["state"] == "stalled", "it is noticed")
    async with quiet.client() as client:
        response = await client.post(
            "/transcribe", data={"language": "en"}, files={"file": ("a.wav", canary)}
        )
    assert "recognition" in response.json()["text"].lower()
    assert not hung.is_running()
    assert model_pid(quiet) != pid
    assert quiet.component("faster-whisper")["state"] == "idle"


async def test_full_queue_is_told_at_once(quiet: ApiServer, longer: bytes) -> None:
    """Two are inside, nobody may wait: the third is refused, and told when to come back."""
    answers: list[httpx2.Response] = []

    async def ask(client: httpx2.AsyncClient) -> None:
        answers.append(
            await client.post("/transcribe", data={"language": "en"}, files={"file": ("a", longer)})
        )

    async with quiet.client() as client, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask, client)
    assert sorted(one.status_code for one in answers) == [200, 200, 429]
    refused = answers[0]
    assert refused.status_code == 429  # before the two that were let in
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"] == "application/problem+json"
    assert "try again in" in refused.json()["detail"]
    assert quiet.metric("stt_engine_refusals_total", error_type="QueueFull") == 1
    assert quiet.metric("stt_engine_failures_total", stage="transcribe") == 0


async def test_nothing_waits_for_a_running_transcription(server: ApiServer, longer: bytes) -> None:
    """/health, /health/live, /health/ready and /metrics answer throughout, and say it is busy."""
    states: set[str] = set()
    asked = 0
    done = anyio.Event()
    result: list[httpx2.Response] = []

    async def transcribe(client: httpx2.AsyncClient) -> None:
        result.append(
            await client.post("/transcribe", data={"language": "en"}, files={"file": ("a", longer)})
        )
        done.set()

    async with server.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(transcribe, client)
        while not done.is_set():
            for path in ("/health", "/health/live", "/health/ready", "/metrics"):
                response = await client.get(path)
                assert response.status_code == 200, response.text
            health = (await client.get("/health")).json()
            if not done.is_set():
                states |= {one["state"] for one in health["components"]}
                asked += 1
            await anyio.sleep(0.02)  # leaves the processor to the recogniser
    assert result[0].json()["success"]
    assert result[0].json()["duration"] > 9
    assert asked >= 3
    assert "busy" in states


async def test_metrics(server: ApiServer, canary: bytes) -> None:
    """FailureMetrics, /health and /metrics count the same events."""
    before = server.get("/health").json()["metrics"]
    async with server.client() as client:
        await client.post("/transcribe", data={"language": "en"}, files={"file": ("a.wav", canary)})
        async with llm("refused") as form:
            body = {"text": "여보세요", "agent_url": form["agent_url"]}
            await client.post("/analyze", json=body)
        async with llm("ok") as form:
            await client.post("/analyze", json={**body, "agent_url": form["agent_url"]})
    after = server.get("/health").json()["metrics"]
    rose = {name: after[name] - before[name] for name in after if not name.endswith("_rate")}
    assert rose == {
        "stt_failure_count": 0,
        "stt_total_count": 1,
        "agent_failure_count": 1,
        "agent_total_count": 2,
    }
    for stage in ("stt", "agent"):
        total = server.metric("stt_engine_outcomes_total", stage=stage)
        dummies = server.metric("stt_engine_outcomes_total", stage=stage, source="dummy")
        assert (total, dummies) == (after[f"{stage}_total_count"], after[f"{stage}_failure_count"])
        assert after[f"{stage}_failure_rate"] == pytest.approx(dummies / total)
    assert server.metric("stt_engine_failures_total", stage="agent") >= 1
    exposition = server.get("/metrics")
    assert exposition.headers["content-type"].startswith("text/plain; version=0.0.4")
    for name in NAMES:
        assert f"# TYPE {name} " in exposition.text, name
    assert server.metric("stt_engine_model_loaded", backend="faster-whisper") == 1
    assert server.metric("stt_engine_audio_seconds_total") > 3
    assert server.metric("stt_engine_queue_depth") == 0
    assert server.metric("stt_engine_queue_wait_seconds_count") >= 1


NAMES = (
    "stt_engine_outcomes_total",
    "stt_engine_failures_total",
    "stt_engine_unexpected_failures_total",
    "stt_engine_stage_seconds",
    "stt_engine_realtime_factor",
    "stt_engine_audio_seconds_total",
    "stt_engine_worker_events_total",
    "stt_engine_circuit_events_total",
    "stt_engine_queue_depth",
    "stt_engine_queue_wait_seconds",
    "stt_engine_refusals_total",
    "stt_engine_ready",
    "stt_engine_agent_ready",
    "stt_engine_model_loaded",
    "stt_engine_circuit_open",
)


async def test_ordinary_faults_are_none_of_ours(modelless: Running, canary: bytes) -> None:
    """No fault that was foreseen counts as unexpected, and each is counted under its name."""
    before = modelless.service.metrics.rates()
    for mode in MODES:
        async with llm(mode) as form:
            await modelless.post({**form}, ("a.wav", canary))
    after = modelless.service.metrics.rates()
    assert after["stt_failure_count"] - before["stt_failure_count"] == len(MODES)
    assert after["agent_failure_count"] - before["agent_failure_count"] == 3
    assert after["stt_failure_rate"] == 1.0
    exposition = (await modelless.client.get("/metrics")).text
    assert "stt_engine_unexpected_failures_total 0.0" in exposition
    for error_type in ("ConnectionError", "TimeoutError", "InvalidAnswer"):
        assert f'error_type="{error_type}",source="vllm",stage="agent"' in exposition


async def test_health_names_an_open_circuit(tmp_path: Path) -> None:
    settings = {
        "stt_model_path": tmp_path / "missing",
        "ready_interval_sec": NEVER,
        "circuit_failure_threshold": 1,
    }
    async with running(ready=False, **settings) as app, llm("refused") as form:
        url = form["agent_url"]
        await app.client.post("/analyze", json={"text": "네", "agent_url": url})
        (circuit,) = (await app.client.get("/health")).json()["circuits"]
        exposition = (await app.client.get("/metrics")).text
    assert (circuit["target"], circuit["state"], circuit["failures"]) == (url, "open", 1)
    assert 50 < circuit["retry_after"] <= 60
    # A label for an agent of the caller's choice would be one for each port.
    assert 'stt_engine_circuit_open{target="other"} 1.0' in exposition


KEYS = ["first-key", "second-key"]
OPEN = ("/health", "/health/live", "/health/ready")
CLOSED = ("/metrics", "/docs/", "/openapi", "/transcribe", "/analyze", "/nowhere", "/health/")
WRONG = (
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Basic first-key"},
    {"Authorization": "first-key"},
    {"Authorization": "Bearer first-key,second-key"},
    {"Authorization": "Bearer FIRST-KEY"},
    {"Authorization": "Bearer 열쇠".encode()},
    {"X-API-Key": "first-key"},
)


@contextlib.asynccontextmanager
async def locked(tmp_path: Path) -> Any:
    settings = {"stt_model_path": tmp_path / "missing", "ready_interval_sec": NEVER}
    async with running(ready=False, api_keys=KEYS, **settings) as app:
        yield app.client


async def test_keys(tmp_path: Path) -> None:
    async with locked(tmp_path) as client:
        for headers in WRONG:
            for path in CLOSED:
                refused = await client.get(path, headers=headers)
                assert refused.status_code == 401, (path, headers)
                assert refused.headers["www-authenticate"] == "Bearer"
                assert refused.headers["content-type"] == "application/problem+json"
                assert "Authorization: Bearer KEY" in refused.json()["detail"]
                assert not any(key in refused.text for key in KEYS)
        for key in KEYS:
            for scheme in ("Bearer", "bearer"):
                headers = {"Authorization": f"{scheme} {key}"}
                assert (await client.get("/metrics", headers=headers)).status_code == 200
        for path in OPEN:
            assert (await client.get(path)).status_code in {200, 503}


async def test_roles(tmp_path: Path) -> None:
    """Each key opens what it is for; a path that does not exist stays a 404 for every key."""
    named = ["caller:call:key-c", "watcher:read:key-r", "boss:admin:key-a"]
    settings = {"stt_model_path": tmp_path / "missing", "ready_interval_sec": NEVER}
    async with running(ready=False, api_named_keys=named, **settings) as app:
        for key, role, analyze, metrics in (
            ("key-c", "read", 200, 403),
            ("key-r", "call", 403, 200),
            ("key-a", "", 200, 200),
        ):
            headers = {"Authorization": f"Bearer {key}"}
            sent = await app.client.post("/analyze", json={"text": ""}, headers=headers)
            read = await app.client.get("/metrics", headers=headers)
            assert (sent.status_code, read.status_code) == (analyze, metrics)
            for refused in (one for one in (sent, read) if one.status_code == 403):
                assert refused.json()["type"].endswith("wrong-role")
                assert f"needs the role '{role}'" in refused.json()["detail"]
                assert "key-" not in refused.text
            assert (await app.client.get("/nowhere", headers=headers)).status_code == 404


async def test_keys_of_a_file_are_read_again_while_the_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("[keys.a]\nkey = 'key-1'\nroles = ['read']\n")
    settings = {"stt_model_path": tmp_path / "missing", "ready_interval_sec": NEVER}
    async with running(ready=False, api_keys_file=path, **settings) as app:
        for key, after in (("key-1", 200), ("key-2", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            assert (await app.client.get("/metrics", headers=headers)).status_code == after
        path.write_text("[keys.a]\nkey = 'key-2-longer'\nroles = ['read']\n")
        headers = {"Authorization": "Bearer key-2-longer"}
        with anyio.fail_after(30):
            while (await app.client.get("/metrics", headers=headers)).status_code != 200:  # noqa: ASYNC110
                await anyio.sleep(0.05)
        old = {"Authorization": "Bearer key-1"}
        assert (await app.client.get("/metrics", headers=old)).status_code == 401
        assert any("API 키를 다시 읽음 (1개: a)" in line for line in app.log.all())


async def test_every_key_is_compared_every_time_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []
    real = middleware.hmac.compare_digest

    def spy(told: bytes, key: bytes) -> bool:
        compared.append(key)
        return real(told, key)

    monkeypatch.setattr(middleware.hmac, "compare_digest", spy)
    async with locked(tmp_path) as client:
        for headers in (*WRONG, {"Authorization": f"Bearer {KEYS[0]}"}):
            compared.clear()
            await client.get("/metrics", headers=headers)
            assert compared == [key.encode() for key in KEYS], headers


async def test_a_key_never_reaches_the_health_answer_or_the_log(tmp_path: Path) -> None:
    settings = {"stt_model_path": tmp_path / "missing", "ready_interval_sec": NEVER}
    secrets = {"api_keys": ["top-secret-1"], "agent_api_key": "top-secret-2"}
    async with running(ready=False, **settings, **secrets) as app, llm("refused") as form:
        headers = {"Authorization": "Bearer top-secret-1"}
        body = {"text": "네", "agent_url": form["agent_url"]}
        told = await app.client.post("/analyze", json=body, headers=headers)
        health = await app.client.get("/health")
        everything = told.text + health.text + "\n".join(app.log.all())
    assert "Connection refused" in everything
    assert "top-secret" not in everything
    assert "top-secret" not in repr(app.service.settings)
