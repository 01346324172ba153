"""Each service alone, and one with less memory than its model needs."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2

from tests.support.containers import (
    API,
    CHECK,
    LLM,
    STT,
    awaited,
    docker,
    get,
    inspect,
    post,
    stack,
    transcribe,
    wait_healthy,
)


def running() -> set[str]:
    return set(docker("ps", "--format", "{{.Names}}").split()) & {API, STT, LLM}


def test_stt_model(tmp_path: Path) -> None:
    with stack(tmp_path, "stt-model"):
        wait_healthy(STT)
        assert running() == {STT}
        assert transcribe(STT)["success"]


def test_vllm(tmp_path: Path) -> None:
    with stack(tmp_path, "vllm"):
        wait_healthy(LLM)
        assert running() == {LLM}
        url = "http://127.0.0.1:8000/v1/chat/completions"
        question = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
        answer = httpx2.post(url, json=question, timeout=60, trust_env=False)
        assert answer.json()["choices"][0]["message"]["content"]


def test_api_server(tmp_path: Path) -> None:
    """Healthy without the others; a check is asked for, and the transcript comes all the same."""
    with stack(tmp_path, "--no-deps", "api-server"):
        wait_healthy(API)
        assert running() == {API}
        body = transcribe(**CHECK)
        assert (body["success"], body["is_agent_dummy"]) == (True, True)
        assert body["is_partial_failure"]
        assert "recorded" in body["text"]


def test_less_memory_than_the_model_needs(tmp_path: Path) -> None:
    """The kernel kills; the container lives on or comes back; the caller is told the truth."""
    with stack(tmp_path, "stt-model", STT_MEMORY="250m"):
        awaited(lambda: get(STT, "/health/live").status_code == 200, "it is there")
        answers = []

        def answered() -> bool:
            response = post(STT, "/transcribe", file_path="/app/audio/test.wav", language="en")
            answers.append(response.json())
            return True

        awaited(answered, "an answer comes")
        body = answers[0]
        assert (body["success"], body["is_dummy"], body["text"]) == (False, True, ""), body
        assert body["error_type"] in {"WorkerDied", "MemoryError"}, body
        awaited(lambda: get(STT, "/health/live").status_code == 200, "it lives, or is back")
        assert get(STT, "/health/ready").status_code == 503
        state = json.dumps(inspect(STT)["State"])
        assert inspect(STT)["State"]["Running"], state
