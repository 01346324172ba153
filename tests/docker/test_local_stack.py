"""The three containers together: the original's commands, and its failure walk-through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.containers import (
    AGENT_URL,
    API,
    CHECK,
    LLM,
    ROOT,
    STT,
    WHISPER,
    Stack,
    awaited,
    docker,
    get,
    health,
    inspect,
    logs,
    stack,
    transcribe,
    wait_healthy,
)

READY = {"ready": True, "reason": None, "degraded": {}}
HEALTHY_CALL = [
    "INFO - [Transcribe] STT 처리 시작",
    "INFO - [Transcribe] 음성 파일 로드 시작 (/app/audio/test.wav)",
    "INFO - [STT] 음성 변환 시작 (language=en)",
    "INFO - [STT] 음성 변환 완료 (",
    "INFO - [Transcribe] STT 성공",
    "INFO - [Transcribe] vLLM 불완전판매요소 검증 시작",
    f"INFO - [AgentBackend] 호출 시작 (url={AGENT_URL}, format=prompt_based)",
    "INFO - [AgentBackend] 응답 수신 완료 (",
    "INFO - [Transcribe] vLLM 검증 성공",
    "INFO - [Transcribe] 최종 응답 생성 완료",
]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("local")) as found:
        wait_healthy(API, STT, LLM)
        yield found


def in_order(text: str, expected: list[str]) -> list[str]:
    """Return the expected lines that do not come after the ones before them."""
    at, missing = 0, []
    for words in expected:
        found = text.find(words, at)
        if found < 0:
            missing.append(words)
        else:
            at = found + len(words)
    return missing


def test_the_whole_call_of_the_original(local: Stack) -> None:
    """A real transcript and a real answer of the LLM, by curl, as printed but for the path."""
    ran = subprocess.run(
        [
            "curl", "-sS", "-X", "POST", "http://localhost:8003/transcribe",
            "-F", "file_path=/app/audio/test.wav",
            "-F", "language=en",
            "-F", "incomplete_elements_check=true",
            "-F", f"agent_url={AGENT_URL}",
            "-F", "agent_request_format=prompt_based",
            "-F", "timeout=240",
        ],
        capture_output=True,
        check=True,
    )  # fmt: skip
    body = json.loads(ran.stdout)
    assert (body["success"], body["backend"], body["is_dummy"]) == (True, "faster-whisper", False)
    assert "recorded" in body["text"]
    assert (body["agent_type"], body["is_agent_dummy"]) == ("vllm", False)
    assert body["agent_analysis"]
    assert body["incomplete_elements"]["elements"]


def test_its_log_lines_in_their_order(local: Stack) -> None:
    """The original's own command."""
    transcribe(**CHECK)
    command = (
        r'docker logs api-server-local 2>&1 | grep "\[Transcribe\]\|\[AgentBackend\]\|\[STT\]"'
    )
    shown = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    loading = [
        f"[STT] 모델 로드 시작 (/app/models/{WHISPER})",
        "[STT] 모델 로드 완료 (faster-whisper, ",
    ]
    assert in_order(shown.stdout, loading + HEALTHY_CALL) == []
    assert 'text="' in shown.stdout, "the local file sets LOG_TRANSCRIPTS"
    assert "[STT]" in logs(STT)
    kept = (local.folder / "logs" / "api-server.log").read_text("utf-8")
    assert in_order(kept, HEALTHY_CALL) == []


def test_health_of_each(local: Stack) -> None:
    assert get(LLM, "/health").status_code == 200
    for container in (API, STT):
        awaited(  # the LLM server may have come up after the API server asked it
            lambda name=container: get(name, "/health").json()["status"] == "healthy",
            f"{container} is healthy",
        )
        assert get(container, "/health/ready").json() == READY


def test_the_model_is_loaded_by_hand_in_the_container(local: Stack) -> None:
    program = (
        "from stt_engine import WhisperSTT\n"
        f"stt = WhisperSTT('/app/models/{WHISPER}')\n"
        "result = stt.transcribe('/app/audio/test.wav', language='en')\n"
        "import json; print(json.dumps(result))"
    )
    printed = docker("exec", STT, "python", "-c", program)
    result = json.loads(printed.splitlines()[-1])
    assert (result["success"], result["backend"]) == (True, "faster-whisper")
    assert "recorded" in result["text"]


def test_the_llm_by_itself(local: Stack) -> None:
    question = {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "안녕하세요"}],
        "temperature": 0.7,
        "max_tokens": 20,
    }
    ran = subprocess.run(
        [
            "curl", "-sS", "http://localhost:8000/v1/chat/completions",
            "-H", "Content-Type: application/json", "-d", json.dumps(question),
        ],
        capture_output=True,
        check=True,
    )  # fmt: skip
    assert json.loads(ran.stdout)["choices"][0]["message"]["content"]


def test_recognition_by_itself(local: Stack) -> None:
    body = transcribe(STT)
    assert (body["success"], body["backend"]) == (True, "faster-whisper")
    assert "recorded" in body["text"]


def test_the_drill(local: Stack) -> None:
    """Every fault of the walk-through, against the running containers."""
    ran = subprocess.run(
        [
            sys.executable, "-m", "stt_tools", "drill", "--docker", "--json",
            "--audio", "/app/audio/test.wav", "--timeout", "240",
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    results = json.loads(ran.stdout)["results"]
    assert ran.returncode == 0, ran.stderr
    assert [one["fault"] for one in results if one["verdict"] != "pass"] == []
    faults = {one["fault"] for one in results}
    assert {"models removed: stt-model", "LLM stopped", "LLM started again"} <= faults
    assert {"LLM hangs", "api-server killed (-9)", "recognition stopped in mid call"} <= faults


def test_models_really_deleted(local: Stack) -> None:
    """``rm -rf /app/models/*`` as printed; then they are copied back, and nothing is restarted."""
    started = inspect(API)["State"]["StartedAt"]
    local.compose("exec", "-T", "stt-model", "bash", "-c", "rm -rf /app/models/*")
    for container in (STT, API):
        body = transcribe(container)
        assert (body["success"], body["is_dummy"], body["text"]) == (False, True, "")
        assert body["error_type"] == "FileNotFoundError"
    awaited(lambda: health(STT) == "unhealthy", "Docker sees that it cannot work")
    local.put_models()
    for container in (STT, API):
        assert transcribe(container)["success"]
    wait_healthy(STT, API)
    assert inspect(API)["State"]["StartedAt"] == started
    docker("restart", LLM)  # its own model came back too
    wait_healthy(LLM)


def test_a_stop_waits_for_the_call_in_hand(local: Stack) -> None:
    answers: list[dict[str, Any]] = []
    caller = threading.Thread(target=lambda: answers.append(transcribe()))
    caller.start()
    awaited(_api_is_busy, "the call is under way")
    docker("stop", API)
    caller.join()
    assert answers[0]["success"]
    assert inspect(API)["State"]["ExitCode"] in {0, 143}
    docker("start", API)
    wait_healthy(API)


def _api_is_busy() -> bool:
    components = get(API, "/health").json()["components"]
    return any((one["name"], one["state"]) == ("faster-whisper", "busy") for one in components)


def test_stt_model_as_the_first_backend(local: Stack) -> None:
    """Asked first, paused, killed: the caller has the words each time."""
    remote = Stack(local.folder, settings={"STT_REMOTE_URL": "http://stt-model:8001"})
    remote.up("api-server")
    wait_healthy(API)
    assert transcribe()["provenance"]["server"] == "http://stt-model:8001"
    docker("pause", STT)
    try:
        body = transcribe()
    finally:
        docker("unpause", STT)
    assert body["success"]
    assert "server" not in body["provenance"]
    assert [one["backend"] for one in body["attempts"]] == ["remote"]
    docker("stop", STT)
    assert transcribe()["success"]
    docker("start", STT)
    wait_healthy(STT)
    awaited(lambda: "server" in transcribe()["provenance"], "it is asked again")
    local.up("api-server")
    wait_healthy(API)
