"""AgentBackend against a real LLM server (llama.cpp): healthy, loading, hung, killed, refusing."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from api_server.clients.agent.backend import AgentBackend, AgentRequest, build_agent_response
from tests.support.agents import FELL_BACK, Watch, assert_dummy, line_of, watching
from tests.support.llm_server import LlmServer, llm_server

ANSWER_SEC = 60.0
"""Generous: two busy cores answer in a few seconds."""

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["answer"],
    "additionalProperties": False,
}
LONG = "Count from 1 to 1000, one number a line. Do not stop."


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlmServer]:
    with llm_server(tmp_path_factory.mktemp("llm"), context=2048) as server:
        yield server


@pytest.fixture
def watch() -> Iterator[Watch]:
    with watching() as found:
        yield found


@pytest.fixture
async def backend(watch: Watch) -> AsyncIterator[AgentBackend]:
    made = AgentBackend(observers=watch.observers)
    yield made
    await made.aclose()


def _assert_told(watch: Watch, error_type: str, error: str | None) -> None:
    assert watch.logged[1:] == [
        line_of(error_type, error),
        FELL_BACK,
        f"INFO - [AgentBackend] Dummy 응답: is_dummy=True, reason={error}",
    ]


def _question(url: str) -> AgentRequest:
    """Return a question that is answered in a few tokens."""
    return AgentRequest(
        "Is the sky blue?",
        url,
        timeout_sec=ANSWER_SEC,
        system="Answer in JSON.",
        schema=SCHEMA,
        max_tokens=100,
        parse=json.loads,
    )


async def test_answer_follows_the_schema(llm: LlmServer, backend: AgentBackend) -> None:
    outcome = await backend.ask(_question(llm.url))
    assert not outcome.failures
    assert outcome.value.parsed in ({"answer": "yes"}, {"answer": "no"})
    assert (outcome.value.agent_type, outcome.value.model) == ("vllm", "smollm2")


async def test_call_as_in_the_original(llm: LlmServer, backend: AgentBackend, watch: Watch) -> None:
    request_text = "Say only the word: yes"
    response = await backend.call(request_text, llm.url, timeout=ANSWER_SEC, chat_thread_id="t")
    assert response["success"], response
    assert response["response"].strip()
    assert (response["agent_type"], response["chat_thread_id"]) == ("vllm", "t")
    assert response["error"] is response["error_type"] is response["dummy_reason"] is None
    assert watch.logged[0].endswith(f"호출 시작 (url={llm.url}, format=prompt_based)")
    assert watch.logged[1].startswith("INFO - [AgentBackend] 응답 수신 완료 (")


async def test_answer_cut_by_max_tokens(
    llm: LlmServer, backend: AgentBackend, watch: Watch
) -> None:
    request = AgentRequest(LONG, llm.url, timeout_sec=ANSWER_SEC, max_tokens=3)
    response = build_agent_response(await backend.ask(request))
    assert_dummy(response, "TruncatedAnswer", "finish_reason=length")
    _assert_told(watch, "TruncatedAnswer", response["error"])


async def test_prompt_too_long(llm: LlmServer, backend: AgentBackend, watch: Watch) -> None:
    response = await backend.call("word " * 5000, llm.url, timeout=ANSWER_SEC)
    assert_dummy(response, "AgentRefused", "HTTP 400 (type=exceed_context_size_error, code=400)")
    _assert_told(watch, "AgentRefused", response["error"])


async def test_wrong_model(llm: LlmServer, watch: Watch) -> None:
    """llama.cpp serves its only model whatever it is asked for; the answer names the real one."""
    backend = AgentBackend(observers=watch.observers, model="nope")
    outcome = await backend.ask(_question(llm.url))
    assert outcome.value.model == "smollm2"
    await backend.aclose()


async def test_unknown_path(llm: LlmServer, backend: AgentBackend) -> None:
    response = await backend.call("hi", f"{llm.base}/v9/chat/completions", timeout=ANSWER_SEC)
    assert_dummy(response, "AgentNotFound", "HTTP 404")


async def test_probe(llm: LlmServer, backend: AgentBackend) -> None:
    readiness = await backend.probe(llm.url, ANSWER_SEC)
    assert readiness.ready, readiness


async def test_stopped_process_is_a_timeout_and_then_recovers(
    llm: LlmServer, backend: AgentBackend, watch: Watch
) -> None:
    llm.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        response = await backend.call("hi", llm.url, timeout=1)
        assert 0.9 < time.monotonic() - began < 10
        assert not (await backend.probe(llm.url, 0.5)).ready
    finally:
        llm.signal(signal.SIGCONT)
    assert_dummy(response, "TimeoutError", "Agent 호출 타임아웃 (1s)")
    _assert_told(watch, "TimeoutError", response["error"])
    assert (await backend.probe(llm.url, ANSWER_SEC)).ready


async def test_killed_in_the_middle_of_a_request(
    tmp_path: Path, backend: AgentBackend, watch: Watch
) -> None:
    with llm_server(tmp_path) as server:
        request = AgentRequest(LONG, server.url, timeout_sec=ANSWER_SEC, max_tokens=1500)
        question = asyncio.create_task(backend.ask(request))
        await asyncio.to_thread(server.wait_busy)
        began = time.monotonic()
        server.kill()
        response = build_agent_response(await question)
        assert time.monotonic() - began < 10
        assert_dummy(response, "AgentDisconnected", "연결이 끊어짐")
        _assert_told(watch, "AgentDisconnected", response["error"])
        assert_dummy(await backend.call("hi", server.url), "ConnectionError", "refused")


async def test_loading_is_named_until_it_is_ready(tmp_path: Path, backend: AgentBackend) -> None:
    """Closed port, then 503, then an answer: never anything else."""
    seen: list[str | None] = []
    with llm_server(tmp_path, ready=False) as server:
        ready = asyncio.create_task(asyncio.to_thread(server.wait_ready))
        while not ready.done():
            outcome = await backend.ask(_question(server.url))
            seen.append(outcome.cause.error_type if outcome.cause else None)
            backend.circuits.get(server.url).release()  # it is the loading that is looked at
            await asyncio.sleep(0.05)  # leaves the processor to the server
        await ready
        assert not (await backend.ask(_question(server.url))).is_dummy
    assert seen[0] in {"ConnectionError", "AgentNotReady"}
    assert set(seen) <= {"ConnectionError", "AgentNotReady", None}, seen
