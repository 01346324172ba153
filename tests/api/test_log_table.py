"""Every log line that the contract names, produced by making its cause happen."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

from stt_engine.errors import ModelFetchFailed
from stt_engine.model_store.catalogue import Manifest
from stt_engine.model_store.sources import FetchJob, Progress, pinned_manifest
from stt_engine.model_store.store import ensure_model_exists
from tests.support.fault_server import FaultServer, answer, in_turn
from tests.support.in_process import Running, call_log, running
from tests.support.scripted_llm import honest, llm
from tests.support.small_model import CATALOGUE, FILES, NAME

CONTRACT = """
INFO - [STT] 모델 로드 시작 (/app/models/openai_whisper-large-v3-turbo)
INFO - [STT] 모델 로드 완료 (faster-whisper, 5.2초)
ERROR - [STT] 모델 로드 실패: FileNotFoundError: /app/models/faster-whisper-large-v3-turbo not found
INFO - [STT] 음성 변환 시작 (language=ko)
INFO - [STT] 음성 변환 완료 (8.2초, text="안녕하세요")
ERROR - [STT] 모든 백엔드 실패: TYPE: message
WARNING - [STT] Dummy 응답으로 fallback (로깅됨)
INFO - [STT] Dummy 응답: is_dummy=True, reason=모든 백엔드 실패로 인한 자동 fallback
INFO - [Transcribe] STT 처리 시작
INFO - [Transcribe] 음성 파일 로드 시작 (/app/audio/test.wav)
INFO - [Transcribe] STT 성공
WARNING - [Transcribe] STT 실패하였으나 Dummy 사용
ERROR - [Transcribe] STT 크래시: TYPE: message
WARNING - [Transcribe] Dummy STT 사용
INFO - [Transcribe] vLLM 불완전판매요소 검증 시작
INFO - [Transcribe] vLLM 검증 성공
WARNING - [Transcribe] vLLM 검증 실패하였으나 부분 결과 사용
ERROR - [Transcribe] vLLM 크래시: TYPE: message
WARNING - [Transcribe] vLLM 검증 생략 (Dummy 사용 안함 - 선택사항)
INFO - [Transcribe] 최종 응답 생성 완료
INFO - [AgentBackend] 호출 시작 (url=http://vllm:8000/v1/chat/completions, format=prompt_based)
INFO - [AgentBackend] 응답 수신 완료 (13.2초)
ERROR - [AgentBackend] 타임아웃 발생 (timeout=30s)
ERROR - [AgentBackend] 연결 실패: message
ERROR - [AgentBackend] 예기치 않은 오류: TYPE: message
WARNING - [AgentBackend] Dummy 응답으로 fallback (로깅됨)
INFO - [AgentBackend] Dummy 응답: is_dummy=True, reason=Agent 서버 연결 실패
[CircuitBreaker] Circuit 열림 (실패 5회)
[CircuitBreaker] Circuit 열림 - Dummy 사용
[CircuitBreaker] half-open
[CircuitBreaker] closed
[STT] 모델 자동 다운로드 시작: NAME
[STT] 모델 다운로드 완료
""".strip().splitlines()
"""The lines as the contract (sections 12, 7 and 9) prints them; values are examples."""


class Told(NamedTuple):
    """How one line of the contract is made to appear, and what it must look like in full."""

    contract: str
    scenario: str
    pattern: str


TABLE = (
    Told(CONTRACT[0], "first call", r"INFO - \[STT\] 모델 로드 시작 \(/.+faster-whisper-base\)"),
    Told(CONTRACT[1], "first call", r"INFO - \[STT\] 모델 로드 완료 \(faster-whisper, \d+\.\d초\)"),
    Told(
        CONTRACT[2],
        "no model",
        r"ERROR - \[STT\] 모델 로드 실패: FileNotFoundError: /.+ not found\b.*",
    ),
    Told(CONTRACT[3], "first call", r"INFO - \[STT\] 음성 변환 시작 \(language=en\)"),
    Told(
        CONTRACT[4],
        "first call",
        r'INFO - \[STT\] 음성 변환 완료 \(\d+\.\d초, text="This is a test of .+"\)',
    ),
    Told(
        CONTRACT[5],
        "no model",
        r"ERROR - \[STT\] 모든 백엔드 실패: FileNotFoundError: .+ not found\b.*",
    ),
    Told(CONTRACT[6], "no model", r"WARNING - \[STT\] Dummy 응답으로 fallback \(로깅됨\)"),
    Told(
        CONTRACT[7],
        "no model",
        r"INFO - \[STT\] Dummy 응답: is_dummy=True, reason=모든 백엔드 실패로 인한 자동 fallback",
    ),
    Told(CONTRACT[8], "first call", r"INFO - \[Transcribe\] STT 처리 시작"),
    Told(
        CONTRACT[9], "first call", r"INFO - \[Transcribe\] 음성 파일 로드 시작 \(/.+/canary\.wav\)"
    ),
    Told(CONTRACT[10], "first call", r"INFO - \[Transcribe\] STT 성공"),
    Told(CONTRACT[11], "no model", r"WARNING - \[Transcribe\] STT 실패하였으나 Dummy 사용"),
    Told(
        CONTRACT[12],
        "model killed",
        r"ERROR - \[Transcribe\] STT 크래시: WorkerDied: .+signal SIGKILL.*",
    ),
    Told(CONTRACT[13], "model killed", r"WARNING - \[Transcribe\] Dummy STT 사용"),
    Told(CONTRACT[14], "first call", r"INFO - \[Transcribe\] vLLM 불완전판매요소 검증 시작"),
    Told(CONTRACT[15], "first call", r"INFO - \[Transcribe\] vLLM 검증 성공"),
    Told(
        CONTRACT[16],
        "agent refused",
        r"WARNING - \[Transcribe\] vLLM 검증 실패하였으나 부분 결과 사용",
    ),
    Told(
        CONTRACT[17],
        "validator broken",
        r"ERROR - \[Transcribe\] vLLM 크래시: ZeroDivisionError: made on purpose",
    ),
    Told(
        CONTRACT[18],
        "validator broken",
        r"WARNING - \[Transcribe\] vLLM 검증 생략 \(Dummy 사용 안함 - 선택사항\)",
    ),
    Told(CONTRACT[19], "first call", r"INFO - \[Transcribe\] 최종 응답 생성 완료"),
    Told(
        CONTRACT[20],
        "first call",
        r"INFO - \[AgentBackend\] 호출 시작 "
        r"\(url=http://127\.0\.0\.1:\d+/v1/chat/completions, format=prompt_based\)",
    ),
    Told(CONTRACT[21], "first call", r"INFO - \[AgentBackend\] 응답 수신 완료 \(\d+\.\d초\)"),
    Told(CONTRACT[22], "agent hung", r"ERROR - \[AgentBackend\] 타임아웃 발생 \(timeout=1s\)"),
    Told(
        CONTRACT[23],
        "agent refused",
        r"ERROR - \[AgentBackend\] 연결 실패: http://127\.0\.0\.1:\d+\S*: Connection refused",
    ),
    Told(
        CONTRACT[24],
        "agent talks no JSON",
        r"ERROR - \[AgentBackend\] 예기치 않은 오류: InvalidAnswer: Agent 응답이 JSON이 아님.*",
    ),
    Told(
        CONTRACT[25],
        "agent refused",
        r"WARNING - \[AgentBackend\] Dummy 응답으로 fallback \(로깅됨\)",
    ),
    Told(
        CONTRACT[26],
        "agent refused",
        r"INFO - \[AgentBackend\] Dummy 응답: is_dummy=True, reason=Agent 서버 연결 실패: .+",
    ),
    Told(CONTRACT[27], "circuit", r"ERROR - \[CircuitBreaker\] Circuit 열림 \(실패 5회\)"),
    Told(CONTRACT[28], "circuit", r"WARNING - \[CircuitBreaker\] Circuit 열림 - Dummy 사용"),
    Told(CONTRACT[29], "circuit", r"INFO - \[CircuitBreaker\] Circuit 반열림 - .+"),
    Told(CONTRACT[30], "circuit", r"INFO - \[CircuitBreaker\] Circuit 닫힘 - 정상 복구"),
    Told(CONTRACT[31], "fetch", rf"INFO - \[STT\] 모델 자동 다운로드 시작: {re.escape(NAME)}"),
    Told(CONTRACT[32], "fetch", r"INFO - \[STT\] 모델 다운로드 완료"),
)


@dataclass
class Stage:
    """What the scenarios play on."""

    healthy: Running
    modelless: Running
    canary: bytes
    assets: Path
    folder: Path


async def _first_call(stage: Stage) -> list[str]:
    settings = {"log_transcripts": True, "audio_roots": [stage.assets]}
    async with running(**settings) as app, llm("ok") as form:
        await app.post({"file_path": str(stage.assets / "canary.wav"), "language": "en", **form})
        return app.log.all()


async def _no_model(stage: Stage) -> list[str]:
    return await _told(stage.modelless, stage.canary, {})


async def _model_killed(stage: Stage) -> list[str]:
    async def kill() -> None:
        os.kill(await stage.healthy.busy_pid(), signal.SIGKILL)

    await stage.healthy.until_ready()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        return await _told(stage.healthy, stage.canary, {"language": "en"})


def _agent(mode: str) -> Callable[[Stage], Awaitable[list[str]]]:
    async def scenario(stage: Stage) -> list[str]:
        async with llm(mode) as form:
            return await _told(stage.modelless, stage.canary, form)

    return scenario


async def _validator_broken(stage: Stage) -> list[str]:
    """Break the validator on purpose: the one way to see what a defect of ours would look like."""

    async def check(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("made on purpose")

    settings = {"stt_model_path": stage.folder / "missing", "ready_interval_sec": 3600.0}
    async with running(ready=False, defects_expected=True, **settings) as app, llm("ok") as form:
        app.service.validator.check = check  # type: ignore[method-assign,assignment]
        told = await _told(app, stage.canary, form)
    assert any("[Unexpected] Traceback" in line for line in told), told
    return told


async def _circuit(stage: Stage) -> list[str]:
    bad = answer(500, {"error": {"type": "server_error"}})
    settings = {
        "stt_model_path": stage.folder / "missing",
        "ready_interval_sec": 3600.0,
        "circuit_recovery_timeout_sec": 3.0,
    }
    async with (
        FaultServer(in_turn(*[bad] * 5, honest)) as server,
        running(ready=False, **settings) as app,
    ):
        body = {"text": "여보세요", "agent_url": server.url}
        failed = [await app.client.post("/analyze", json=body) for _ in range(5)]
        refused = await app.client.post("/analyze", json=body)
        assert [one.json()["error_type"] for one in failed] == ["AgentServerError"] * 5
        assert refused.json()["error_type"] == "CircuitOpen"
        assert len(server.posts) == 5
        with anyio.fail_after(30):
            while app.service.agent.circuits.snapshots()[0].retry_after:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        assert (await app.client.post("/analyze", json=body)).json()["success"]
        return app.log.all()


class _Shelf:
    """A source of models that has them."""

    name = "shelf"

    def fetch(self, job: FetchJob, _progress: Progress) -> Manifest:
        assert job.entry is not None
        for name, content in FILES.items():
            (job.files / name).write_bytes(content)
        return pinned_manifest(job.entry, self.name)


class _Empty:
    """A source of models that has none."""

    name = "empty"

    def fetch(self, _job: FetchJob, _progress: Progress) -> Manifest:
        raise ModelFetchFailed("nothing here")


async def _fetch(stage: Stage) -> list[str]:
    async with call_log() as log:
        ensure_model_exists(NAME, stage.folder, sources=[_Empty(), _Shelf()], catalogue=CATALOGUE)
        with pytest.raises(ModelFetchFailed):
            ensure_model_exists(NAME, stage.folder / "x", sources=[_Empty()], catalogue=CATALOGUE)
        told = log.all()
    assert "WARNING - [STT] 모델 다운로드 소스 실패 (empty): ModelFetchFailed: nothing here" in told
    assert f"ERROR - [STT] 모델 다운로드 실패: {NAME} (empty: nothing here)" in told
    return told


async def _told(app: Running, canary: bytes, form: dict[str, str]) -> list[str]:
    response = await app.post(form, ("call.wav", canary))
    assert response.status_code == 200, response.text
    return app.log.of(response.headers["x-request-id"])


SCENARIOS: dict[str, Callable[[Stage], Awaitable[list[str]]]] = {
    "first call": _first_call,
    "no model": _no_model,
    "model killed": _model_killed,
    "agent refused": _agent("refused"),
    "agent hung": _agent("hung"),
    "agent talks no JSON": _agent("non-JSON"),
    "validator broken": _validator_broken,
    "circuit": _circuit,
    "fetch": _fetch,
}


@pytest.fixture(scope="module")
def played() -> dict[str, list[str]]:
    """Every scenario's lines: each is played once."""
    return {}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.contract[:60])
async def test_line(
    row: Told,
    played: dict[str, list[str]],
    healthy: Running,
    modelless: Running,
    canary: bytes,
    tmp_path: Path,
) -> None:
    if row.scenario not in played:
        assets = Path(__file__).parents[2] / "src/stt_engine/assets"
        stage = Stage(healthy, modelless, canary, assets, tmp_path)
        played[row.scenario] = await SCENARIOS[row.scenario](stage)
    told = played[row.scenario]
    assert any(re.fullmatch(row.pattern, line) for line in told), told


def test_every_line_of_the_contract_has_a_scenario() -> None:
    assert [row.contract for row in TABLE] == CONTRACT
    assert {row.scenario for row in TABLE} == set(SCENARIOS)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.contract[:60])
def test_patterns_fit_the_contract(row: Told) -> None:
    """Level and component in a pattern are the contract's, and so are its fixed words."""
    head, _, words = row.contract.partition("] ")
    assert row.pattern.replace("\\", "").partition("] ")[0].endswith(head)
    fixed = re.split(r"[(:]", words)[0].strip()
    if re.search("[가-힣]", fixed):
        assert fixed in row.pattern.replace("\\", "")


async def test_no_line_tells_what_was_said(healthy: Running, canary: bytes) -> None:
    """LOG_TRANSCRIPTS is off here: not one word, in any line, at any level."""
    await healthy.until_ready()
    async with call_log() as log, llm("ok") as form:
        await _told_ok(healthy, canary, form)
        told = "\n".join(log.all())
    assert "비공개" in told
    assert "recognition" not in told.lower()


async def _told_ok(app: Running, canary: bytes, form: dict[str, str]) -> None:
    body = (await app.post({"language": "en", **form}, ("call.wav", canary))).json()
    assert "recognition" in body["text"].lower()


def test_components_of_the_contract() -> None:
    found = {re.split(r"[\[\]]", row.contract)[1] for row in TABLE}
    assert found == {"STT", "AgentBackend", "Transcribe", "CircuitBreaker"}
