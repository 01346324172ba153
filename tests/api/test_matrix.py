"""The stage matrix of POST /transcribe as one table: what is answered, and what is logged.

Recognition is real: real weights; a missing model folder; a kill -9 of the model's process in the
middle of the call. The LLM leg is scripted or broken over a real socket; the last test asks a real
model (llama.cpp).
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import httpx2
import pytest

from tests.support.in_process import CANARY_WORDS, Running, running
from tests.support.llm_server import llm_server
from tests.support.scripted_llm import INVENTED, QUOTED, llm

DUMMY_REASON = "모든 백엔드 실패로 인한 자동 fallback"
BACKENDS = ("faster-whisper", "transformers", "openai-whisper")


class Row(NamedTuple):
    """``elements``: what ``incomplete_elements`` holds; ``degraded``: the header's value."""

    stt: str
    llm: str
    success: bool
    partial: bool
    agent_type: str | None
    elements: str
    degraded: str | None


TABLE = (
    Row("ok", "not asked", True, False, None, "null", None),
    Row("ok", "ok", True, False, "vllm", "quoted", None),
    Row("ok", "refused", True, True, "dummy", "null", "agent"),
    Row("ok", "hung", True, True, "dummy", "null", "agent"),
    Row("ok", "non-JSON", True, True, "dummy", "null", "agent"),
    Row("ok", "lying", True, False, "vllm", "rejected", None),
    Row("failed", "not asked", False, False, None, "null", "stt"),
    Row("failed", "ok", False, False, "vllm", "undetermined", "stt"),
    Row("failed", "refused", False, False, "dummy", "null", "stt,agent"),
    Row("failed", "hung", False, False, "dummy", "null", "stt,agent"),
    Row("failed", "non-JSON", False, False, "dummy", "null", "stt,agent"),
    Row("failed", "lying", False, False, "vllm", "undetermined", "stt"),
    Row("crashed", "not asked", False, False, None, "null", "stt"),
    Row("crashed", "ok", False, False, "vllm", "undetermined", "stt"),
    Row("crashed", "refused", False, False, "dummy", "null", "stt,agent"),
    Row("crashed", "hung", False, False, "dummy", "null", "stt,agent"),
    Row("crashed", "non-JSON", False, False, "dummy", "null", "stt,agent"),
    Row("crashed", "lying", False, False, "vllm", "undetermined", "stt"),
)
DIED = r"WorkerDied: faster-whisper worker died \(signal SIGKILL.*\)"
MISSING = r"FileNotFoundError: .*missing not found .*model fetch.*"
CAUSE = {"failed": MISSING, "crashed": DIED}
STT_DUMMY = [
    r"WARNING - \[STT\] Dummy 응답으로 fallback \(로깅됨\)",
    rf"INFO - \[STT\] Dummy 응답: is_dummy=True, reason={DUMMY_REASON}",
]
STT_LINES = {
    "ok": [
        r'INFO - \[STT\] 음성 변환 완료 \(\d+\.\d초, text="\(비공개 \d+자\)"\)',
        r"INFO - \[Transcribe\] STT 성공",
    ],
    "failed": [
        *([rf"ERROR - \[STT\] 모델 로드 실패: {MISSING}"] * len(BACKENDS)),
        rf"ERROR - \[STT\] 모든 백엔드 실패: {MISSING}",
        *STT_DUMMY,
        r"WARNING - \[Transcribe\] STT 실패하였으나 Dummy 사용",
    ],
    "crashed": [
        rf"WARNING - \[STT\] 시도 실패 \(faster-whisper\): {DIED}",
        rf"ERROR - \[STT\] 모든 백엔드 실패: {DIED}",
        *STT_DUMMY,
        rf"ERROR - \[Transcribe\] STT 크래시: {DIED}",
        r"WARNING - \[Transcribe\] Dummy STT 사용",
    ],
}
AGENT_CAUSE = {
    "refused": r"Agent 서버 연결 실패: http://127\.0\.0\.1:\d+/v1/models: Connection refused",
    "hung": r"Agent 호출 타임아웃 \(1s\)",
    "non-JSON": r"Agent 응답이 JSON이 아님 \(27 bytes\)",
}
AGENT_ERROR_TYPE = {
    "refused": "ConnectionError",
    "hung": "TimeoutError",
    "non-JSON": "InvalidAnswer",
}
AGENT_ERROR = {
    "refused": r"연결 실패: http://127\.0\.0\.1:\d+/v1/models: Connection refused",
    "hung": r"타임아웃 발생 \(timeout=1s\)",
    "non-JSON": r"예기치 않은 오류: InvalidAnswer: Agent 응답이 JSON이 아님 \(27 bytes\)",
}


def expected_lines(row: Row, name: str) -> list[str]:
    """Return a pattern for every line of one call, in order."""
    lines = [
        r"INFO - \[Transcribe\] STT 처리 시작",
        rf"INFO - \[Transcribe\] 음성 파일 로드 시작 \({re.escape(name)}\)",
        r"INFO - \[STT\] 음성 변환 시작 \(language=en\)",
        *STT_LINES[row.stt],
    ]
    if row.llm != "not asked":
        lines += [
            r"INFO - \[Transcribe\] vLLM 불완전판매요소 검증 시작",
            (
                r"INFO - \[AgentBackend\] 호출 시작 "
                r"\(url=http://127\.0\.0\.1:\d+/v1/chat/completions, format=prompt_based\)"
            ),
        ]
    if row.llm in AGENT_CAUSE:
        lines += [
            rf"ERROR - \[AgentBackend\] {AGENT_ERROR[row.llm]}",
            r"WARNING - \[AgentBackend\] Dummy 응답으로 fallback \(로깅됨\)",
            rf"INFO - \[AgentBackend\] Dummy 응답: is_dummy=True, reason={AGENT_CAUSE[row.llm]}",
            r"WARNING - \[Transcribe\] vLLM 검증 실패하였으나 부분 결과 사용",
        ]
    elif row.llm != "not asked":
        lines += [
            r"INFO - \[AgentBackend\] 응답 수신 완료 \(\d+\.\d초\)",
            r"INFO - \[Transcribe\] vLLM 검증 성공"
            if row.stt == "ok"  # without a transcript nothing was checked
            else r"WARNING - \[Transcribe\] vLLM 검증 실패하였으나 부분 결과 사용",
        ]
    return [*lines, r"INFO - \[Transcribe\] 최종 응답 생성 완료"]


@asynccontextmanager
async def stt(mode: str, healthy: Running, modelless: Running) -> AsyncIterator[Running]:
    """Put recognition into a state for one call."""
    if mode == "failed":
        yield modelless
        return
    await healthy.until_ready()
    async with anyio.create_task_group() as tasks:
        if mode == "crashed":
            tasks.start_soon(_kill_at_work, healthy)
        yield healthy


async def _kill_at_work(healthy: Running) -> None:
    os.kill(await healthy.busy_pid(), signal.SIGKILL)


def _matches(pattern: str, text: str | None) -> bool:
    return text is not None and re.fullmatch(pattern, text) is not None


def assert_stt(row: Row, body: dict[str, Any]) -> None:
    if row.stt == "ok":
        assert CANARY_WORDS in body["text"].lower()
        assert " ".join(one["text"].strip() for one in body["segments"]) == body["text"]
        assert (body["outcome"], body["backend"]) == ("speech", "faster-whisper")
        assert (body["is_dummy"], body["dummy_reason"]) == (False, None)
        assert (body["error"], body["error_type"]) == (None, None)
        assert body["duration"] == pytest.approx(3.2, abs=0.5)
        return
    assert (body["text"], body["segments"], body["outcome"]) == ("", [], "failed")
    assert (body["backend"], body["is_dummy"]) == ("dummy", True)
    assert body["dummy_reason"] == DUMMY_REASON
    error_type, _, words = CAUSE[row.stt].partition(": ")
    assert body["error_type"] == error_type
    assert _matches(words, body["error"]), body["error"]
    assert [one["backend"] for one in body["attempts"]] == list(BACKENDS)
    assert body["duration"] == pytest.approx(3.2, abs=0.5)  # the recording could be read


def assert_agent(row: Row, body: dict[str, Any]) -> None:
    assert body["agent_type"] == row.agent_type
    cause = AGENT_CAUSE.get(row.llm)
    assert body["is_agent_dummy"] == (cause is not None)
    assert body["is_partial_failure"] == row.partial
    if cause is None:
        assert (body["agent_dummy_reason"], body["partial_failure_reason"]) == (None, None)
    else:
        assert _matches(cause, body["agent_dummy_reason"]), body["agent_dummy_reason"]
        assert body["agent_analysis"] is None
    if row.partial:
        told = rf"불완전판매요소 검증 실패 \({AGENT_ERROR_TYPE[row.llm]}: {cause}\)"
        assert _matches(told, body["partial_failure_reason"]), body["partial_failure_reason"]
    else:
        assert body["partial_failure_reason"] is None


def assert_elements(row: Row, body: dict[str, Any]) -> None:
    if row.elements == "null":
        assert body["incomplete_elements"] is None
        return
    found = {one["id"]: one for one in body["incomplete_elements"]["elements"]}
    assert len(found) >= 16
    one = found[QUOTED]
    if row.elements == "quoted":
        # What the clip says has nothing to do with the element, though it is quoted as it is.
        assert (one["status"], one["reason"]) == ("undetermined", "evidence_says_nothing")
        (quote,) = one["rejected_quotes"]
        assert quote in body["text"]
    elif row.elements == "rejected":
        assert (one["status"], one["evidence"]) == ("undetermined", [])
        assert one["rejected_quotes"] == [INVENTED]
    else:  # an opinion on an empty call is not a finding
        assert {each["status"] for each in found.values()} == {"undetermined"}
        assert not any(each["evidence"] or each["source"] for each in found.values())
        assert body["incomplete_elements"]["success"] is False


def assert_answer(row: Row, response: httpx2.Response, *, strict: bool) -> None:
    assert response.status_code == (503 if strict and row.degraded else 200), response.text
    assert response.headers.get("x-stt-degraded") == row.degraded
    body = response.json()
    assert body["success"] == row.success
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["language"] == "en"
    missing = row.degraded and {
        "case": None,
        "missing": row.degraded.split(","),
        "status": "off",
        "revision": 1,
        "expires_at": None,
    }
    assert body["repair"] == missing
    assert body["processing_time_sec"] > 0
    assert_stt(row, body)
    assert_agent(row, body)
    assert_elements(row, body)


def _cases() -> list[Any]:
    """Return every row plain and strict; of the crashes (slow: a model is loaded) two strict."""
    return [
        pytest.param(row, strict, id=f"{row.stt}-{row.llm}{'-strict' if strict else ''}")
        for row in TABLE
        for strict in (False, True)
        if not strict or row.stt != "crashed" or row.llm in {"not asked", "refused"}
    ]


@pytest.mark.parametrize(("row", "strict"), _cases())
async def test_matrix(
    row: Row, strict: bool, healthy: Running, modelless: Running, canary: bytes
) -> None:
    async with stt(row.stt, healthy, modelless) as app, llm(row.llm) as form:
        sent = {"language": "en", **form, **({"strict": "true"} if strict else {})}
        response = await app.post(sent, ("call.wav", canary))
    assert_answer(row, response, strict=strict)
    told = app.log.of(response.headers["x-request-id"], "STT", "Transcribe", "AgentBackend")
    patterns = expected_lines(row, "call.wav")
    wrong = [
        (pattern, line)
        for pattern, line in zip(patterns, told, strict=False)
        if not re.fullmatch(pattern, line)
    ]
    assert not wrong, wrong
    assert len(told) == len(patterns), told


def test_table_is_the_whole_matrix() -> None:
    states = [(row.stt, row.llm) for row in TABLE]
    assert len(states) == len(set(states)) == 18


async def test_strict_as_a_setting_and_the_field_that_overrules_it(canary: bytes) -> None:
    async with running(ready=False, stt_model_path="/nowhere", strict=True) as app:
        told = await app.post({}, ("a.wav", canary))
        overruled = await app.post({"strict": "false"}, ("a.wav", canary))
    assert (told.status_code, overruled.status_code) == (503, 200)
    assert told.json()["is_dummy"]
    assert told.headers["x-stt-degraded"] == overruled.headers["x-stt-degraded"] == "stt"


async def test_a_crash_is_followed_by_a_good_answer(healthy: Running, canary: bytes) -> None:
    await healthy.until_ready()
    pid = healthy.model_pid()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_kill_at_work, healthy)
        crashed = await healthy.post({"language": "en"}, ("a.wav", canary))
    again = await healthy.post({"language": "en"}, ("a.wav", canary))
    assert (crashed.json()["is_dummy"], again.json()["is_dummy"]) == (True, False)
    assert CANARY_WORDS in again.json()["text"].lower()
    assert healthy.model_pid() not in {None, pid}


RUBRIC = """
version = "test"
effective_from = 2026-11-22
title = "test"
disclaimer = "test"
[[elements]]
id = "test.topic"
article = "1"
title = "test"
kind = "required"
counts = "speech recognition"
"""


@pytest.mark.slow
async def test_real_llm(canary: bytes, tmp_path: Path) -> None:
    """llama.cpp with a model too small to judge: whatever it says, nothing unproved is told."""
    rubric = tmp_path / "one.toml"  # one short question: a small model needs seconds for it
    rubric.write_text(RUBRIC, encoding="utf-8")
    with llm_server(tmp_path) as server:
        form = {"language": "en", "incomplete_elements_check": "true", "timeout": "150"}
        settings = {"vllm_api_url": f"{server.base}/v1", "rubric_path": rubric}
        async with running(**settings) as app:
            response = await app.post(form, ("call.wav", canary))
    body = response.json()
    assert response.status_code == 200
    assert CANARY_WORDS in body["text"].lower()
    assert body["is_agent_dummy"] is body["is_partial_failure"] is False, body["agent_dummy_reason"]
    assert (body["agent_type"], body["incomplete_elements"]["model"]) == ("vllm", "smollm2")
    assert json.loads(body["agent_analysis"])
    for one in body["incomplete_elements"]["elements"]:
        assert one["status"] not in {"violated", "satisfied"} or one["evidence"]
        assert all(part["quote"] in body["text"] for part in one["evidence"])
