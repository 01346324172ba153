"""OpenAI's audio API when things break: an error with its cause, never a text that is none."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import openai
import pytest

from api_server.http.openai.errors import RETRY_AFTER, failed
from stt_engine.errors import all_errors
from stt_engine.events import Stage
from stt_engine.outcome import Failure
from tests.api.test_openai_wire import ask
from tests.api.test_sharing import worker_pid
from tests.api.test_stopping import busy
from tests.support.in_process import Running, running
from tests.support.server import ApiServer, api_server, awaited
from tests.support.sounds import repeated

PATH = "/v1/audio/transcriptions"


def client_of(server: ApiServer) -> openai.AsyncOpenAI:
    http = httpx2.AsyncClient(trust_env=False, timeout=120)
    base = f"{server.base}/v1"
    return openai.AsyncOpenAI(base_url=base, api_key="none", http_client=http, max_retries=0)


async def test_no_model_is_an_error_that_is_not_tried_again(
    modelless: Running, canary: bytes
) -> None:
    for path in (PATH, "/v1/audio/translations"):
        answer = await ask(modelless, ("file", canary), ("model", "missing"), path=path)
        assert answer.status_code == 503
        told = answer.json()["error"]
        assert (told["code"], told["type"]) == ("FileNotFoundError", "server_error")
        assert "FileNotFoundError" in told["message"]
        assert answer.headers["x-should-retry"] == "false"
        assert "retry-after" not in answer.headers


async def test_a_full_queue_is_a_rate_limit(canary: bytes) -> None:
    async with running(queue_max_wait_sec=0.001, queue_max_waiting=1) as busy:
        answers: list[httpx2.Response] = []

        async def one() -> None:
            recording = ("file", repeated(canary, 8))
            answers.append(await ask(busy, recording, ("model", "whisper-1")))

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(one)
        refused = [one for one in answers if one.status_code == 429]
        assert refused
        for one in refused:
            assert one.json()["error"]["code"] == "rate_limit_exceeded"
            assert one.json()["error"]["type"] == "rate_limit_error"
            assert int(one.headers["retry-after"]) >= 1


@pytest.mark.parametrize("kind", sorted({one.error_type for one in all_errors().values()}))
def test_a_client_is_told_to_try_again_only_where_that_helps(kind: str) -> None:
    headers = failed(Failure(Stage.STT, "faster-whisper", kind, "why", 0.1)).response().headers
    wanted = "true" if kind in RETRY_AFTER else "false"
    assert headers["x-should-retry"] == wanted
    assert ("retry-after" in headers) == (kind in RETRY_AFTER)


def test_every_cause_that_may_be_over_is_one() -> None:
    from api_server.clients import errors  # noqa: PLC0415 - makes its errors known

    assert errors
    assert set(RETRY_AFTER) <= {one.error_type for one in all_errors().values()}


def _at_work(server: ApiServer) -> None:
    awaited(lambda: busy(server), "the model is at work")


@pytest.mark.timeout(300)
async def test_a_model_that_is_killed_is_an_error_and_the_next_try_has_it_all(
    tmp_path: Path, canary: bytes
) -> None:
    file = ("call.wav", repeated(canary, 20))
    with api_server(tmp_path, ready_proof_sec=3600.0) as server:
        async with client_of(server) as client:
            ask_for = partial(
                client.audio.transcriptions.create, model="whisper-1", file=file, language="en"
            )
            whole = (await ask_for()).text
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_is_told, ask_for)
                await anyio.to_thread.run_sync(_at_work, server)
                os.kill(worker_pid(server), signal.SIGKILL)
            assert (await ask_for()).text == whole


async def _is_told(ask_for: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await ask_for()
    assert (caught.value.status_code, caught.value.code) == (503, "WorkerDied")
    assert caught.value.response.headers["x-should-retry"] == "true"
    assert caught.value.response.headers["retry-after"] == "1"


@pytest.mark.timeout(300)
async def test_a_server_that_is_killed_is_no_short_text(tmp_path: Path, canary: bytes) -> None:
    recording = ("call.wav", repeated(canary, 20))
    server = ApiServer(tmp_path, ready_proof_sec=3600.0)
    try:
        server.wait_ready()
        async with client_of(server) as client, anyio.create_task_group() as tasks:

            async def call() -> None:
                create = client.audio.transcriptions.create
                with pytest.raises(openai.APIConnectionError):
                    await create(model="whisper-1", file=recording, language="en")

            tasks.start_soon(call)
            await anyio.to_thread.run_sync(_at_work, server)
            server.kill()
    finally:
        server.kill()


async def test_a_caller_who_hangs_up_ends_the_work(tmp_path: Path, canary: bytes) -> None:
    with api_server(tmp_path, ready_proof_sec=3600.0) as server:
        async with client_of(server) as client:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_call_for_good, client, repeated(canary, 200))
                    await anyio.to_thread.run_sync(_at_work, server)
                    scope.cancel()
            await anyio.to_thread.run_sync(
                lambda: awaited(lambda: not busy(server), "the work has ended")
            )
            assert server.metric("stt_engine_outcomes_total", stage="transcribe") == 0


async def test_what_a_client_sends_when_it_tries_again() -> None:
    """Its key for the tries of one call stays with it: no server could know them by that."""
    sent: list[dict[str, str]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(dict(request.headers))
        return httpx2.Response(503, headers={"retry-after-ms": "1"})

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    client = openai.AsyncOpenAI(base_url="http://x/v1", api_key="none", http_client=http)
    with pytest.raises(openai.InternalServerError):
        await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"x"))
    assert [one["x-stainless-retry-count"] for one in sent] == ["0", "1", "2"]
    assert not any("idempotency-key" in one for one in sent)


async def test_tries_of_one_client_are_never_at_work_together(
    tmp_path: Path, canary: bytes
) -> None:
    with api_server(tmp_path, ready_proof_sec=3600.0) as server:
        async with client_of(server) as client:
            impatient = client.with_options(max_retries=2, timeout=1.0)
            with pytest.raises(openai.APITimeoutError):
                await _call_for_good(impatient, repeated(canary, 200))
            await anyio.to_thread.run_sync(
                lambda: awaited(lambda: not busy(server), "the work has ended")
            )
            assert 1 <= server.metric("stt_engine_given_up_total") <= 3  # one may not have begun
            assert server.metric("stt_engine_outcomes_total", stage="transcribe") == 0


async def _call_for_good(client: openai.AsyncOpenAI, recording: bytes) -> None:
    file = ("call.wav", recording)
    await client.audio.transcriptions.create(model="whisper-1", file=file, language="en")
