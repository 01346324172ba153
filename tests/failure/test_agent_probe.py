"""The LLM server is asked for a token: a hang behind healthy endpoints is seen, told once, bounded.

All servers are real ones: scripts on a socket, and llama.cpp where a process has to be stopped.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from api_server.clients.agent.types import ProbeResult
from api_server.observability.agent_probe import REFUSALS, AgentProbe
from stt_engine.events import Event, Stage
from stt_engine.outcome import DUMMY, AttemptFailed, Failure, Outcome, StageSettled
from tests.support import fault_server as fault
from tests.support.fault_server import Exchange, FaultServer, Script, answer, completion
from tests.support.in_process import NEVER, Running, running
from tests.support.llm_server import LlmServer, llm_server
from tests.support.scripted_llm import honest
from tests.support.server import CLEAN_EXITS, ApiServer, api_server, awaited

pytestmark = pytest.mark.timeout(180)

PROOF_SEC = 0.2
HUNG_SEC = 0.3
TOKEN = answer(200, completion("a", "length"))
CALL = {"text": "안녕하세요"}


def is_probe(exchange: Exchange) -> bool:
    return exchange.method == "POST" and exchange.json["max_tokens"] == 1


def both(probe: Script, call: Script) -> Script:
    """Answer probes by one script and calls by another."""

    async def script(exchange: Exchange) -> None:
        await (probe if is_probe(exchange) else call)(exchange)

    return script


def asking(base: str, **settings: object) -> AbstractAsyncContextManager[Running]:
    """Run the application without a model: it is the LLM server that is looked at."""
    given = {
        "stt_model_path": Path("missing"),
        "ready_interval_sec": NEVER,
        "vllm_api_url": f"{base}/v1",
        "agent_proof_sec": PROOF_SEC,
        "agent_proof_timeout_sec": HUNG_SEC,
        **settings,
    }
    return running(ready=False, **given)


async def agent(app: Running) -> dict[str, Any]:
    components = (await app.client.get("/health")).json()["components"]
    return next(one for one in components if one["name"] == "agent")


async def until(app: Running, state: str) -> dict[str, Any]:
    with anyio.fail_after(30):
        while (found := await agent(app))["state"] != state:  # noqa: ASYNC110 - as over HTTP
            await anyio.sleep(0.01)
    return found


def told(lines: list[str]) -> list[str]:
    """Return the lines about the LLM server."""
    return [line for line in lines if "[HealthCheck] LLM" in line]


async def ready_metric(app: Running) -> str | None:
    """Return the value of ``stt_engine_agent_ready``; ``None`` where there is no sample."""
    lines = (await app.client.get("/metrics")).text.splitlines()
    found = [line for line in lines if line.startswith("stt_engine_agent_ready{")]
    return found[0].rpartition(" ")[2] if found else None


async def test_an_answer_is_a_proof_and_not_a_call() -> None:
    async with FaultServer(TOKEN) as llm, asking(llm.base) as app:
        found = await until(app, "ok")
        assert (found["reason"], found["url"]) == (None, llm.url)
        assert found["checked_at"].endswith("+00:00")
        assert await ready_metric(app) == "1.0"
        await llm.wait_for_requests(3)
        assert all(is_probe(one) for one in llm.posts)
        assert not [line for line in app.log.all() if "AgentBackend" in line]
        assert not told(app.log.all())
        body = (await app.client.get("/health")).json()
        assert body["metrics"]["agent_total_count"] == 0
        assert body["circuits"] == []
        assert (await app.client.get("/health/ready")).json()["degraded"] == {}


async def test_an_agent_that_nobody_named_is_not_asked_before_the_first_call() -> None:
    """A server without any LLM is healthy; the first check shows that one is wanted."""
    asked: list[str] = []

    async def probe(url: str, _timeout_sec: float) -> ProbeResult:
        asked.append(url)
        return ProbeResult(0.01)

    url = "http://llm/v1/chat/completions"
    proof = AgentProbe(url, PROOF_SEC, 1.0, (), wanted=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(proof.watch, probe)
        await anyio.wait_all_tasks_blocked()
        assert (asked, proof.now.state) == ([], "unknown")
        dummy = Outcome(None, DUMMY, (Failure(Stage.AGENT, "vllm", "ConnectionError", "x", 0.0),))
        proof(StageSettled(stage=Stage.AGENT, outcome=dummy, subject=url))
        with anyio.fail_after(30):
            while proof.now.state != "ok":  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert asked[0] == url


async def test_a_hang_behind_healthy_endpoints() -> None:
    """Two transitions are two lines, however often it is asked meanwhile."""
    async with FaultServer(TOKEN) as llm, asking(llm.base) as app:
        await until(app, "ok")
        llm.script = fault.hang
        failing = await until(app, "failing")
        asked = len(llm.posts)
        await llm.wait_for_requests(asked + 7)  # more than open a circuit
        reason = f"TimeoutError: Agent 호출 타임아웃 ({HUNG_SEC:g}s)"
        assert failing["reason"] == reason
        assert await ready_metric(app) == "0.0"
        assert (await app.client.get("/health/ready")).json()["degraded"] == {"agent": reason}
        body = (await app.client.get("/health")).json()
        assert (body["status"], body["circuits"]) == ("degraded", [])
        of_agent = [one for one in body["last_failures"] if one["source"] == "vllm"]
        assert [one["error_type"] for one in of_agent] == ["TimeoutError"]
        llm.script = TOKEN
        await until(app, "ok")
        assert await ready_metric(app) == "1.0"
        first, second = told(app.log.all())
        assert first == f"ERROR - [HealthCheck] LLM 확인 실패 ({llm.url}): {reason}"
        assert second.startswith(f"INFO - [HealthCheck] LLM 정상 복구 ({llm.url}, ")


@pytest.mark.parametrize(
    ("script", "error_type"),
    [
        (answer(401), "AgentUnauthorized"),
        (answer(404), "AgentNotFound"),
        (answer(429), "AgentOverloaded"),
        (answer(500), "AgentServerError"),
        (answer(503), "AgentNotReady"),
        (answer(200, b"<html>"), "InvalidAnswer"),
        (fault.reset_mid_body, "AgentDisconnected"),
        (fault.trickle, "TimeoutError"),
    ],
)
async def test_the_cause_is_named(script: Script, error_type: str) -> None:
    async with FaultServer(script) as llm, asking(llm.base) as app:
        assert (await until(app, "failing"))["reason"].startswith(f"{error_type}: ")


async def test_whatever_failed_is_failing() -> None:
    """No failure reads as an answer, whatever else a probe brings along."""
    failure = Failure(Stage.HEALTH, "vllm", "ConnectionError", "x", 0.0)
    failed = AttemptFailed(failure=failure, error=LookupError())
    emitted: list[Event] = []
    proof = AgentProbe("http://llm/v1", PROOF_SEC, 1.0, [emitted.append])

    async def probe(_url: str, _timeout_sec: float) -> ProbeResult:
        return ProbeResult(0.01, model="m", failed=failed)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(proof.watch, probe)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert (proof.now.state, proof.trouble) == ("failing", {"agent": "ConnectionError: x"})
    assert emitted == [failed]


async def test_nobody_listens() -> None:
    base = f"http://127.0.0.1:{fault.refused_port()}"
    async with asking(base) as app:
        assert "Connection refused" in (await until(app, "failing"))["reason"]
        assert len(told(app.log.all())) == 1


async def test_a_call_that_is_answered_is_a_proof() -> None:
    """It ends a failure at once, and nothing is asked for an interval after it."""
    seen: list[float] = []

    async def counting(exchange: Exchange) -> None:
        seen.append(time.monotonic())
        await TOKEN(exchange)

    async with (
        FaultServer(both(answer(503), honest)) as llm,
        asking(llm.base, agent_proof_sec=1.0) as app,
    ):
        await until(app, "failing")
        llm.script = both(counting, honest)
        before = time.monotonic()
        assert (await app.client.post("/analyze", json=CALL)).json()["success"]
        assert (await agent(app))["state"] == "ok"
        after = len(seen)
        with anyio.fail_after(30):
            while len(seen) == after:  # noqa: ASYNC110 - the script's own list
                await anyio.sleep(0.01)
        assert seen[after] - before >= 1.0
        assert [line.split()[0] for line in told(app.log.all())] == ["ERROR", "INFO"]


async def test_a_server_that_is_only_busy_is_not_failing() -> None:
    """The token does not come in time, but a call is answered meanwhile."""
    async with (
        FaultServer(both(fault.hang, honest)) as llm,
        asking(llm.base, agent_proof_timeout_sec=3) as app,
    ):
        await llm.wait_for_requests()
        assert (await app.client.post("/analyze", json=CALL)).json()["success"]
        with anyio.fail_after(30):
            while sum(map(is_probe, llm.posts)) < 2:  # noqa: ASYNC110 - no event for probes
                await anyio.sleep(0.01)
        assert not told(app.log.all())
        await until(app, "failing")  # nothing answers any more


async def test_a_call_that_fails_proves_nothing() -> None:
    """A prompt may be too long for a server that is well."""
    async with FaultServer(both(TOKEN, answer(400))) as llm, asking(llm.base) as app:
        await until(app, "ok")
        assert not (await app.client.post("/analyze", json=CALL)).json()["success"]
        assert (await agent(app))["state"] == "ok"


@pytest.mark.parametrize("asks", [PROOF_SEC, 0])
@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_server_that_refuses_every_check_is_failing(status: int, asks: float) -> None:
    """Whatever a probe says; until a check is answered."""
    async with (
        FaultServer(both(TOKEN, answer(status))) as llm,
        asking(llm.base, agent_proof_sec=asks) as app,
    ):
        for _ in range(REFUSALS):
            assert not (await app.client.post("/analyze", json=CALL)).json()["success"]
        assert (await agent(app))["reason"].endswith(f"HTTP {status}")
        probes = sum(map(is_probe, llm.posts))
        with anyio.fail_after(30):
            while asks and sum(map(is_probe, llm.posts)) < probes + 2:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert (await agent(app))["state"] == "failing"
        assert (await app.client.get("/health")).json()["circuits"][0]["state"] == "closed"
        llm.script = both(TOKEN, honest)
        assert (await app.client.post("/analyze", json=CALL)).json()["success"]
        assert (await agent(app))["state"] == "ok"
        lines = [line.split()[0] for line in told(app.log.all())]
        assert lines == (["ERROR", "INFO"] if asks else [])


async def test_without_questions_the_last_call_tells() -> None:
    async with FaultServer(answer(500)) as llm, asking(llm.base, agent_proof_sec=0) as app:
        assert (await agent(app))["state"] == "unknown"
        assert await ready_metric(app) is None
        await app.client.post("/analyze", json=CALL)
        found = await agent(app)
        assert (found["state"], found["reason"].split(":")[0]) == ("failing", "AgentServerError")
        assert not told(app.log.all())
        assert not any(is_probe(one) for one in llm.posts)


async def _in_thread(work: Callable[..., Any], *given: object) -> Any:
    return await anyio.to_thread.run_sync(work, *given)


def state(server: ApiServer) -> str:
    return str(server.component("agent")["state"])


async def test_ready_stays_200_and_stopping_does_not_wait(tmp_path: Path) -> None:
    """The real program with the real model; the question in flight has two minutes."""
    async with FaultServer(fault.in_turn(answer(503), fault.hang)) as llm:
        settings = {"agent_proof_sec": 1, "agent_proof_timeout_sec": 120}
        server = ApiServer(tmp_path, vllm_api_url=f"{llm.base}/v1", **settings)
        try:
            await _in_thread(server.wait_ready)
            await llm.wait_for_requests(2)
            ready = await _in_thread(server.get, "/health/ready")
            assert ready.status_code == 200
            assert ready.json()["degraded"]["agent"].startswith("AgentNotReady: ")
            began = time.monotonic()
            assert await _in_thread(server.stop) in CLEAN_EXITS
            assert time.monotonic() - began < 30
            assert len(told([line.partition("] ")[2] for line in server.lines])) == 1
        finally:
            server.kill()


async def test_a_server_without_an_agent_asks_nobody(tmp_path: Path) -> None:
    async with FaultServer(fault.hang) as llm:

        def run() -> str:
            settings = {"agent_proof_sec": PROOF_SEC, "vllm_api_url": f"{llm.base}/v1"}
            with api_server(tmp_path, "--stt-only", **settings) as server:
                assert server.get("/health/ready").json()["degraded"] == {}
                return server.get("/metrics").text

        assert "stt_engine_agent_ready{" not in await _in_thread(run)
        assert not llm.requests


@pytest.fixture
def llama(tmp_path: Path) -> Any:
    with llm_server(tmp_path, context=2048) as server:
        yield server


@pytest.mark.slow
async def test_a_real_llm_that_is_stopped_and_continued(tmp_path: Path, llama: LlmServer) -> None:
    """Seen within interval and bound; SIGCONT makes it well again."""
    settings = {"agent_proof_sec": 1, "agent_proof_timeout_sec": 10}

    def run() -> list[str]:
        with api_server(tmp_path, vllm_api_url=f"{llama.base}/v1", **settings) as server:
            awaited(lambda: state(server) == "ok", "the LLM answers")
            llama.signal(signal.SIGSTOP)
            try:
                began = time.monotonic()
                awaited(lambda: state(server) == "failing", "the hang is seen")
                assert time.monotonic() - began < 1 + 10 + 5  # 5: a busy machine
                assert server.get("/health/ready").status_code == 200
                assert server.metric("stt_engine_agent_ready", url=llama.url) == 0
            finally:
                llama.signal(signal.SIGCONT)
            awaited(lambda: state(server) == "ok", "it answers again")
            return server.lines

    lines = told([line.partition("] ")[2] for line in await _in_thread(run)])
    assert len(lines) == 2
    assert "TimeoutError" in lines[0]
