"""The ``wheel`` target: real vLLM on a CPU, in the place of llama.cpp."""

from __future__ import annotations

from pathlib import Path

from tests.support.containers import (
    API,
    CHECK,
    LLM,
    awaited,
    docker,
    get,
    health,
    stack,
    transcribe,
    wait_healthy,
)


def test_check_stop_hang_and_start_again(tmp_path: Path) -> None:
    with stack(tmp_path, "vllm", "api-server", VLLM_TARGET="wheel"):
        wait_healthy(API, LLM)
        assert "max_model_len" in get(LLM, "/v1/models").json()["data"][0]
        body = transcribe(**CHECK)
        assert (body["success"], body["agent_type"], body["is_agent_dummy"]) == (
            True,
            "vllm",
            False,
        )
        _hung_engine()
        docker("stop", LLM)
        body = transcribe(**CHECK)
        assert (body["success"], body["is_agent_dummy"]) == (True, True)
        docker("start", LLM)
        wait_healthy(LLM)
        assert transcribe(**CHECK)["is_agent_dummy"] is False


def _hung_engine() -> None:
    """EngineCore is stopped: vLLM's /health stays 200, the container's check does not."""
    _signal("STOP")
    try:
        assert get(LLM, "/health").status_code == 200
        body = transcribe(**{**CHECK, "timeout": "10"})
        assert (body["success"], body["is_agent_dummy"]) == (True, True)
        assert "TimeoutError" in body["partial_failure_reason"]
        awaited(lambda: health(LLM) == "unhealthy", "Docker sees that it cannot work")
    finally:
        _signal("CONT")
    wait_healthy(LLM)


def _signal(name: str) -> None:
    program = f"""
import os, pathlib, signal
for entry in pathlib.Path("/proc").glob("[1-9]*"):
    words = (entry / "cmdline").read_bytes() + (entry / "comm").read_bytes()
    if b"EngineCore" in words and int(entry.name) != os.getpid():
        os.kill(int(entry.name), signal.SIG{name})
"""
    docker("exec", LLM, "python", "-c", program)
