"""Real servers whose LLM or model is gone and comes back: what was missing is completed, once."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.llm_server import LlmServer, free_port
from tests.support.models import whisper_base
from tests.support.scripted_llm_process import scripted_llm_process
from tests.support.server import ROOT, ApiServer, awaited

pytestmark = pytest.mark.timeout(400)

CLIP = (ROOT / "src/stt_engine/assets/canary.wav").read_bytes()
CALLS = 6
CHECKED = {"incomplete_elements_check": "true", "timeout": "60"}
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
KEEPING = {"repair_calls": "true", "recordings_reserve_bytes": 0, "ready_proof_sec": 3600}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Settings of a server that keeps what it answers in part; one short question of the LLM."""
    rubric = tmp_path / "one.toml"
    rubric.write_text(RUBRIC, encoding="utf-8")
    return {**KEEPING, "rubric_path": rubric}


@contextlib.contextmanager
def ended(server: ApiServer | LlmServer) -> Iterator[None]:
    try:
        yield
    finally:
        server.kill()


def call(server: ApiServer, **form: str) -> dict[str, Any]:
    with httpx2.Client(trust_env=False, timeout=90) as client:
        answer = client.post(
            f"{server.base}/transcribe",
            data={"language": "en", **form},
            files={"file": ("call.wav", CLIP)},
        )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def case_of(server: ApiServer, answer: dict[str, Any], revision: int = 0) -> dict[str, Any]:
    query = f"?revision={revision}" if revision else ""
    found: dict[str, Any] = server.get(f"/cases/{answer['repair']['case']}{query}").json()
    return found


def recordings(folder: Path) -> int:
    return len(list((folder / "recordings").glob("??/*")))


def revisions(folder: Path) -> list[tuple[int, int]]:
    """Return case and number of each answer, as the database has them."""
    with contextlib.closing(sqlite3.connect(folder / "cases.db")) as database:
        query = "SELECT case_seq, number FROM revisions ORDER BY 1, 2"
        return [(case, number) for case, number in database.execute(query)]


def recognised(server: ApiServer) -> float:
    return server.metric("stt_engine_outcomes_total", stage="stt", source="faster-whisper")


def test_calls_without_an_llm_are_checked_once_it_is_there(tmp_path: Path) -> None:
    port = free_port()
    llm = {"vllm_api_url": f"http://127.0.0.1:{port}/v1", "agent_proof_sec": 1}
    given = {**KEEPING, **llm, "circuit_recovery_timeout_sec": 1}
    server = ApiServer(tmp_path, **given)
    with ended(server):
        server.wait_ready()
        with ThreadPoolExecutor(4) as callers:
            answers = list(callers.map(lambda _: call(server, **CHECKED), range(CALLS)))
        for one in answers:
            assert (one["repair"]["status"], one["repair"]["missing"]) == ("pending", ["agent"])
            assert one["repair"]["expires_at"]
        heard = recognised(server)
        with scripted_llm_process(port):
            awaited(lambda: len(revisions(tmp_path)) == 2 * CALLS, "every call is checked")
        assert recognised(server) == heard, "nothing was recognised again"
        for one in answers[:3]:
            assert_checked_later(server, one)
        assert revisions(tmp_path) == [(n, r) for n in range(1, CALLS + 1) for r in (1, 2)]
        assert recordings(tmp_path) == 0
        assert server.metric("stt_engine_repairs_total", end="revised") == CALLS


@pytest.mark.slow
def test_a_call_is_checked_by_a_real_model_that_comes_back(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    port = free_port()
    llm = {"vllm_api_url": f"http://127.0.0.1:{port}/v1", "agent_proof_sec": 1}
    server = ApiServer(tmp_path, **{**settings, **llm, "agent_timeout_sec": 150})
    with ended(server):
        server.wait_ready()
        answer = call(server, **CHECKED)
        assert answer["repair"]["status"] == "pending"
        with ended(LlmServer(tmp_path / "llm.log", port=port)):
            awaited(lambda: len(revisions(tmp_path)) == 2, "the call is checked", 200)
        assert_checked_later(server, answer)


def assert_checked_later(server: ApiServer, answer: dict[str, Any]) -> None:
    """The case has a whole answer now, and the first one as it was given."""
    found = case_of(server, answer)
    assert (found["state"], found["revision"]) == ("done", 2)
    assert found["answer"]["repair"] == {
        "case": found["id"],
        "missing": [],
        "status": "done",
        "revision": 2,
        "expires_at": None,
    }
    assert found["answer"]["agent_type"] == "vllm"
    assert found["answer"]["text"] == answer["text"]
    first = case_of(server, answer, 1)["answer"]
    assert first["agent_dummy_reason"] == answer["agent_dummy_reason"]


def test_calls_without_a_model_are_recognised_once_it_is_there(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    model, away = tmp_path / "model", tmp_path / "away"
    shutil.copytree(whisper_base(), away, copy_function=_link)
    server = ApiServer(tmp_path, stt_model_path=model, **settings)
    with ended(server):
        answers = [call(server) for _ in range(2)]
        for one in answers:
            assert one["is_dummy"]
            assert (one["repair"]["status"], one["repair"]["missing"]) == ("pending", ["stt"])
        assert recordings(tmp_path) == 1, "the same content is kept once"
        assert case_of(server, answers[0])["state"] == "failed"
        away.rename(model)
        awaited(
            lambda: all(case_of(server, one)["repair"] == "done" for one in answers),
            "every call is recognised",
        )
        for one in answers:
            found = case_of(server, one)
            assert (found["state"], found["revision"]) == ("done", 2)
            assert "speech recognition" in found["answer"]["text"].lower()
            assert case_of(server, one, 1)["answer"]["is_dummy"]
        assert recordings(tmp_path) == 0


@pytest.mark.slow
def test_a_model_that_is_moved_away_and_back_completes_what_lacked_it_and_the_check_too(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    model, away = tmp_path / "model", tmp_path / "away"
    shutil.copytree(whisper_base(), model, copy_function=_link)
    port = free_port()
    given = {**settings, "ready_proof_sec": 0.1}
    server = ApiServer(tmp_path, stt_model_path=model, **given)
    with ended(server):
        server.wait_ready()
        model.rename(away)
        awaited(lambda: not server.get("/health/ready").json()["ready"], "the model is missed")
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        form = {"incomplete_elements_check": "true", "agent_url": url, "timeout": "5"}
        answer = call(server, **form)
        assert answer["repair"]["missing"] == ["stt", "agent"]
        away.rename(model)
        awaited(lambda: case_of(server, answer)["revision"] == 2, "it is recognised")
        found = case_of(server, answer)
        assert (found["state"], found["repair"]) == ("partial", "pending")
        assert found["answer"]["repair"]["missing"] == ["agent"]


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(Path(source).resolve())


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_repair_leaves_one_revision(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    model, away = tmp_path / "model", tmp_path / "away"
    shutil.copytree(whisper_base(), away, copy_function=_link)
    given = {**settings, "stt_model_path": model, "jobs_lease_sec": 1}
    server = ApiServer(tmp_path, **given)
    with ended(server):
        answers = [call(server) for _ in range(4)]
        away.rename(model)
        awaited(lambda: len(revisions(tmp_path)) > len(answers), "the first is recognised")
    server = ApiServer(tmp_path, **given)
    with ended(server):
        awaited(
            lambda: all(case_of(server, one)["repair"] == "done" for one in answers),
            "every call is recognised",
        )
    assert revisions(tmp_path) == [(n, r) for n in range(1, 5) for r in (1, 2)]
