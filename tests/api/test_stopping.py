"""SIGTERM with calls in hand: each is finished or answered, and nothing is left behind."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx2
import pytest

from tests.support.fault_server import FaultServer, hang
from tests.support.server import CLEAN_EXITS, ApiServer, awaited

pytestmark = pytest.mark.timeout(180)


class InHand:
    """One call, made from a thread of its own."""

    def __init__(self, server: ApiServer, audio: bytes, **form: str) -> None:
        self._answers: list[httpx2.Response] = []
        url = f"{server.base}/transcribe"

        def ask() -> None:
            files = {"file": ("call.wav", audio)}
            data = {"language": "en", **form}
            with httpx2.Client(trust_env=False, timeout=120) as client:
                self._answers.append(client.post(url, data=data, files=files))

        self._thread = threading.Thread(target=ask)
        self._thread.start()

    def answer(self) -> dict[str, Any]:
        self._thread.join(120)
        assert self._answers, "the caller got no answer"
        assert self._answers[0].status_code == 200
        body: dict[str, Any] = self._answers[0].json()
        return body


def busy(server: ApiServer) -> bool:
    return bool(server.component("faster-whisper")["state"] == "busy")


def ended(server: ApiServer) -> None:
    assert server.stop() in CLEAN_EXITS
    assert not server.leftovers()


def test_a_call_that_can_finish_does(tmp_path: Path, canary: bytes) -> None:
    server = ApiServer(tmp_path)
    try:
        server.wait_ready()
        call = InHand(server, canary)
        awaited(lambda: busy(server), "the call is under way")
        ended(server)
        assert "recognition" in call.answer()["text"].lower()
    finally:
        server.kill()


def test_a_call_that_cannot_is_told_so(tmp_path: Path, longer: bytes) -> None:
    server = ApiServer(tmp_path, stop_grace_sec=0, ready_proof_sec=3600)
    try:
        server.wait_ready()
        call = InHand(server, longer)
        awaited(lambda: busy(server), "the call is under way")
        ended(server)
        body = call.answer()
        assert (body["success"], body["text"], body["is_dummy"]) == (False, "", True)
        assert (body["error_type"], body["error"]) == ("ServerStopping", "the server is stopping")
        assert "ERROR - [STT] 모든 백엔드 실패: ServerStopping" in "\n".join(server.lines)
    finally:
        server.kill()


async def test_an_llm_that_hangs_holds_nothing_up(tmp_path: Path, canary: bytes) -> None:
    async with FaultServer(hang) as llm:
        server = ApiServer(tmp_path, stop_grace_sec=0.5, vllm_api_url=f"{llm.base}/v1")
        try:
            server.wait_ready()
            call = InHand(server, canary, incomplete_elements_check="true", timeout="120")
            await llm.wait_for_requests()
            server.send(signal.SIGTERM)
            body = await _in_thread(call.answer)
            assert (body["success"], body["is_agent_dummy"]) == (True, True)
            assert "ServerStopping" in body["partial_failure_reason"]
            assert "recognition" in body["text"].lower()
            assert await _in_thread(server.process.wait) in CLEAN_EXITS
        finally:
            server.kill()


async def _in_thread(work: Any) -> Any:
    return await anyio.to_thread.run_sync(work)
