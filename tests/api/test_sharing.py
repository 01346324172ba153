"""Calls that share a server: turns, callers that hang up, forecasts, recordings that kill."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import psutil
import pytest

from tests.api.test_stopping import InHand, busy
from tests.support.server import ApiServer, api_server, awaited
from tests.support.sounds import repeated

pytestmark = pytest.mark.timeout(240)

NEVER = 3600.0


def worker_pid(server: ApiServer) -> int:
    """Return the process that hears; there is none for a moment while it is being replaced."""
    return int(awaited(lambda: server.component("faster-whisper")["pid"], "a process that hears"))


@pytest.fixture(scope="module")
def long(canary: bytes) -> bytes:
    """Sixty stretches of speech: several steps."""
    return repeated(canary, 60)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server that proves nothing in between: a test may count its processes' work."""
    folder = tmp_path_factory.mktemp("shared")
    with api_server(folder, ready_proof_sec=NEVER, queue_max_wait_sec=100_000) as found:
        yield found
        assert found.metric("stt_engine_unexpected_failures_total") == 0


async def _ask(client: httpx2.AsyncClient, recording: bytes, into: list[Any], name: str) -> None:
    files = {"file": (f"{name}.wav", recording)}
    answer = await client.post("/transcribe", data={"language": "en"}, files=files)
    into.append((name, answer))


async def test_a_short_call_is_answered_in_the_middle_of_a_long_one(
    shared: ApiServer, canary: bytes, long: bytes
) -> None:
    answers: list[tuple[str, httpx2.Response]] = []
    async with shared.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(_ask, client, long, answers, "long")
        await anyio.to_thread.run_sync(awaited, partial(busy, shared), "the call is under way")
        await _ask(client, canary, answers, "short")
    assert [name for name, _ in answers] == ["short", "long"]
    bodies = {name: answer.json() for name, answer in answers}
    assert all(body["success"] for body in bodies.values())
    assert bodies["long"]["text"].lower().count("recognition") >= 45
    assert bodies["short"]["text"].lower().count("recognition") == 1


def test_who_hangs_up_is_not_worked_for(shared: ApiServer, long: bytes, canary: bytes) -> None:
    given_up = shared.metric("stt_engine_given_up_total")
    failures = shared.metric("stt_engine_failures_total")
    pid = worker_pid(shared)
    with socket.create_connection(("127.0.0.1", shared.port)) as caller:
        caller.sendall(_form(long))
        awaited(lambda: busy(shared), "the call is under way")
    awaited(
        lambda: shared.metric("stt_engine_given_up_total") == given_up + 1, "the call is given up"
    )
    awaited(lambda: not busy(shared), "the process is free")
    assert shared.component("queue")["audio_sec"] == 0
    assert not shared.leftovers()
    assert shared.metric("stt_engine_failures_total") == failures, "a hang-up is no failure"
    assert "INFO - [Transcribe] 호출자 연결 종료 - 처리 중단" in "\n".join(shared.lines)
    assert "recognition" in InHand(shared, canary).answer()["text"].lower()
    assert worker_pid(shared) == pid, "the process lives on"


def _form(recording: bytes) -> bytes:
    edge = hashlib.sha256(recording).hexdigest()
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    tail = (
        f"\r\n--{edge}\r\n"
        'Content-Disposition: form-data; name="language"\r\n\r\nen'
        f"\r\n--{edge}--\r\n"
    )
    body = head.encode() + recording + tail.encode()
    start = (
        "POST /transcribe HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary={edge}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return start.encode() + body


def test_a_crash_costs_the_neighbours_nothing(
    shared: ApiServer, long: bytes, canary: bytes
) -> None:
    """The call whose step it is gets a dummy; the others go on in the next process."""
    calls = [InHand(shared, recording) for recording in (long, canary, canary)]
    awaited(lambda: busy(shared), "the calls are under way")
    os.kill(worker_pid(shared), signal.SIGKILL)
    bodies = [call.answer() for call in calls]
    lost = [body for body in bodies if not body["success"]]
    assert len(lost) <= 1
    assert all(body["error_type"] == "WorkerDied" for body in lost)
    for body, words in zip(bodies, (6, 1, 1), strict=True):
        if body["success"]:
            assert body["text"].lower().count("recognition") >= words


@pytest.mark.slow
def test_a_recording_that_ends_the_process_twice_is_not_tried_again(
    tmp_path: Path, longer: bytes, canary: bytes
) -> None:
    with api_server(tmp_path, ready_proof_sec=NEVER, ready_interval_sec=0.1) as server:
        for _ in range(2):
            server.wait_ready()
            call = InHand(server, longer)
            awaited(lambda: busy(server), "the call is under way")
            os.kill(worker_pid(server), signal.SIGKILL)
            assert call.answer()["error_type"] == "WorkerDied"
        server.wait_ready()
        pid = worker_pid(server)
        body = InHand(server, longer).answer()
        assert (body["success"], body["text"], body["is_dummy"]) == (False, "", True)
        assert body["error_type"] == "RecordingQuarantined"
        assert body["attempts"][0]["backend"] == "quarantine"
        assert InHand(server, canary).answer()["success"], "others are"
        assert worker_pid(server) == pid


async def test_a_call_that_would_wait_too_long_is_told_when_to_come(
    tmp_path: Path, canary: bytes
) -> None:
    long = repeated(canary, 120)
    answers: list[tuple[str, httpx2.Response]] = []
    with api_server(tmp_path, queue_max_wait_sec=3, ready_proof_sec=NEVER) as server:
        async with server.client() as client, anyio.create_task_group() as tasks:
            tasks.start_soon(_ask, client, long, answers, "long")
            await anyio.to_thread.run_sync(awaited, partial(busy, server), "it is under way")
            await _ask(client, long, answers, "another")
            await _ask(client, canary, answers, "short")
            queue = server.component("queue")
            assert queue["audio_sec"] > 0
            assert queue["realtime_factor"] > 0
            assert server.metric("stt_engine_queue_audio_seconds") > 0
        told = dict(answers)
        assert [name for name, _ in answers] == ["another", "short", "long"]
        assert told["another"].status_code == 429
        assert "the wait would be" in told["another"].json()["detail"]
        assert int(told["another"].headers["retry-after"]) > 1
        assert told["short"].json()["success"]
        assert told["long"].json()["success"]


@pytest.mark.slow
def test_a_process_that_has_grown_is_replaced_before_the_next_call(
    tmp_path: Path, canary: bytes
) -> None:
    with api_server(tmp_path, stt_worker_recycle_mb=0, ready_proof_sec=NEVER) as server:
        pids = [worker_pid(server)]
        for _ in range(3):
            assert InHand(server, canary).answer()["success"]
            server.wait_ready()  # the new process is proved, which may be in another new one
            pids.append(worker_pid(server))
        assert len(set(pids)) == 4
        assert not any(psutil.pid_exists(pid) for pid in pids[:-1])
        assert server.metric("stt_engine_worker_events_total", what="recycled") >= 3
        assert "작업 프로세스 교체 (faster-whisper" in "\n".join(server.lines)
