"""Another server as the first backend: what it answers is used, what it cannot is done here.

The other server is the real program in a process of its own, killed and stopped for real; only
answers that no version of ours gives come from a socket server of the tests.
"""

from __future__ import annotations

import io
import math
import os
import signal
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from api_server.clients.remote_stt import RemoteStt, RemoteSttDisconnected
from stt_engine.call import CallCancelled, CallContext
from stt_engine.errors import AudioUnreadable, ServerStopping
from stt_engine.limits import Limits
from stt_engine.speech import DecodedAudio, SpeechRequest
from tests.support import fault_server as fault
from tests.support.fault_server import FaultServer, answer, refused_port
from tests.support.in_process import Running, running
from tests.support.server import ROOT, ApiServer, api_server

CANARY = ROOT / "src/stt_engine/assets/canary.wav"
FORM = {"language": "en"}
READY = answer(200, {"ready": True})
GOOD = {
    "success": True,
    "text": "hello",
    "duration": 2.0,
    "language": "en",
    "backend": "faster-whisper",
    "is_dummy": False,
    "outcome": "speech",
    "segments": [{"id": 0, "start": 0.0, "end": 1.0, "text": "hello"}],
}


def _wav(samples: bytes) -> bytes:
    raw = io.BytesIO()
    with wave.open(raw, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(samples)
    return raw.getvalue()


SILENCE = _wav(bytes(2 * 2 * 16_000))
"""Two seconds: quickly heard."""


def _clip_in_a_row(times: int) -> bytes:
    with wave.open(str(CANARY)) as clip:
        assert (clip.getnchannels(), clip.getframerate()) == (1, 16_000)
        return _wav(clip.readframes(clip.getnframes()) * times)


async def transcribed(app: Running, audio: bytes | None = None) -> dict[str, Any]:
    response = await app.post(FORM, ("call.wav", audio or CANARY.read_bytes()))
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert app.service.metrics.registry.get_sample_value(
        "stt_engine_unexpected_failures_total"
    ) in {0, None}
    return body


@pytest.fixture
def leg(tmp_path: Path) -> Iterator[ApiServer]:
    found = ApiServer(tmp_path, "--stt-only", stt_stall_timeout_sec=3)
    try:
        found.wait_ready()
        yield found
    finally:
        found.kill()


@pytest.fixture(scope="module")
async def faulty() -> AsyncIterator[tuple[Running, FaultServer]]:
    """A server whose remote answers what each test says, with a circuit that never opens."""
    async with FaultServer(READY, models=READY) as remote:
        settings = {
            "stt_remote_url": remote.base,
            "circuit_failure_threshold": 1000,
            "stt_stall_timeout_sec": 2,
        }
        async with running(ready=False, ready_interval_sec=3600.0, **settings) as app:
            yield app, remote


async def test_the_remote_answers_and_nothing_is_loaded_here(leg: ApiServer) -> None:
    async with running(stt_remote_url=leg.base) as app:
        body = await transcribed(app)
        assert (body["success"], body["backend"]) == (True, "faster-whisper")
        assert "recognition" in body["text"].lower()
        assert body["attempts"] == []
        assert body["provenance"]["server"] == leg.base
        assert body["provenance"]["model_sha256"]
        assert app.model_pid() is None
        health = (await app.client.get("/health")).json()
        states = {one["name"]: one["state"] for one in health["components"]}
        assert (states["remote"], states["faster-whisper"]) == ("idle", "stopped")
        assert health["status"] == "healthy"
        assert {one["target"] for one in health["circuits"]} == {leg.base}
        assert "INFO - [STT] 모델 로드 완료 (remote, " in "\n".join(app.log.all())
        refused = await app.post(FORM, ("noise.txt", b"not audio"))
        assert refused.status_code == 415


async def test_what_is_asked_for_is_asked_over_there_too(leg: ApiServer) -> None:
    form = {**FORM, "translate": "true", "prompt": "A test.", "temperature": "0.1"}
    async with running(stt_remote_url=leg.base, ready=False, ready_interval_sec=3600.0) as app:
        form["keywords"] = "Kensington"
        answer = await app.post(form, ("call.wav", CANARY.read_bytes()))
        told = answer.json()
    assert told["provenance"]["server"] == leg.base
    assert (told["provenance"]["hints"]["keywords"], told["provenance"]["temperature"]) == (1, 0.1)
    assert told["segments_en"][0]["text"] == told["text_en"]


async def test_the_request_keeps_its_id_over_there(leg: ApiServer) -> None:
    async with running(stt_remote_url=leg.base, ready=False, ready_interval_sec=3600.0) as app:
        response = await app.client.post(
            "/transcribe",
            data=FORM,
            files={"file": ("a.wav", CANARY.read_bytes())},
            headers={"X-Request-ID": "call-4711"},
        )
        assert response.json()["provenance"]["server"] == leg.base
    assert leg.get("/health").json()["metrics"]["stt_total_count"] >= 1


async def test_no_server_there_is_answered_here(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{refused_port()}"
    async with running(stt_remote_url=url, circuit_failure_threshold=2) as app:
        body = await transcribed(app)
        assert (body["success"], body["backend"]) == (True, "faster-whisper")
        assert "server" not in body["provenance"]
        types = [(one["backend"], one["error_type"]) for one in body["attempts"]]
        assert types in ([("remote", "RemoteSttUnavailable")], [("remote", "CircuitOpen")])
        if types[0][1] == "RemoteSttUnavailable":
            assert body["attempts"][0]["error"] == f"{url}: Connection refused"
        for _ in range(2):
            body = await transcribed(app)
        assert body["success"]
        assert body["attempts"][0]["error_type"] == "CircuitOpen"
        assert "[CircuitBreaker] Circuit 열림 (실패 2회)" in "\n".join(app.log.all())
        assert (await app.client.get("/health")).json()["status"] == "degraded"


@pytest.mark.slow
async def test_it_is_used_again_once_it_is_back(tmp_path: Path) -> None:
    """Absent it is replaced by this machine; started, it is found without a restart."""
    port = refused_port()
    settings = {"circuit_recovery_timeout_sec": 0.2, "ready_proof_sec": 0.2}
    async with running(stt_remote_url=f"http://127.0.0.1:{port}", **settings) as app:
        assert (await transcribed(app))["attempts"]
        with api_server(tmp_path, "--stt-only", "--port", str(port)):
            with anyio.fail_after(60):
                while "server" not in (body := await transcribed(app))["provenance"]:  # noqa: ASYNC110
                    await anyio.sleep(0.1)
            assert body["attempts"] == []


@pytest.mark.parametrize(
    ("number", "error_type"),
    [(signal.SIGKILL, "RemoteSttDisconnected"), (signal.SIGSTOP, "TimeoutError")],
    ids=["killed", "stopped"],
)
@pytest.mark.slow
async def test_lost_in_mid_call(leg: ApiServer, number: signal.Signals, error_type: str) -> None:
    """The call in hand is answered by this machine, and says why."""
    async with running(stt_remote_url=leg.base, stt_stall_timeout_sec=3) as app:
        bodies: list[dict[str, Any]] = []

        async def ask() -> None:
            bodies.append(await transcribed(app, _clip_in_a_row(4)))

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                with anyio.fail_after(60):
                    while leg.component("faster-whisper")["state"] != "busy":  # noqa: ASYNC110
                        await anyio.sleep(0.01)
                os.kill(leg.process.pid, number)
        finally:
            if number == signal.SIGSTOP:
                os.kill(leg.process.pid, signal.SIGCONT)
        (body,) = bodies
        assert (body["success"], body["backend"]) == (True, "faster-whisper")
        assert "server" not in body["provenance"]
        assert [(one["backend"], one["error_type"]) for one in body["attempts"]] == [
            ("remote", error_type)
        ]
        lines = app.log.of(body["request_id"], "STT")
        assert any(line.startswith("WARNING - [STT] 시도 실패 (remote): ") for line in lines)


async def test_both_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    missing = tmp_path / "missing"
    with api_server(tmp_path / "there", "--stt-only", ready=False, stt_model_path=missing) as leg:
        leg.get("/health/live")
        async with running(ready=False, stt_remote_url=leg.base, stt_model_path=missing) as app:
            body = await transcribed(app)
    assert (body["success"], body["backend"], body["text"]) == (False, "dummy", "")
    assert [(one["backend"], one["error_type"]) for one in body["attempts"]][:2] == [
        ("remote", "FileNotFoundError"),
        ("faster-whisper", "FileNotFoundError"),
    ]


BAD = {
    "not JSON": (answer(200, b"<html>"), "RemoteSttInvalid"),
    "cut JSON": (answer(200, b'{"success": true, "te'), "RemoteSttInvalid"),
    "another shape": (answer(200, {"transcript": "hello"}), "RemoteSttInvalid"),
    "speech without words": (answer(200, {**GOOD, "text": ""}), "RemoteSttInvalid"),
    "speech without a letter": (answer(200, {**GOOD, "text": " \n"}), "RemoteSttInvalid"),
    "time that is no number": (
        answer(200, {**GOOD, "timings": {"total_sec": math.nan}}),
        "RemoteSttInvalid",
    ),
    "words without speech": (answer(200, {**GOOD, "outcome": "no_speech"}), "RemoteSttInvalid"),
    "success that failed": (answer(200, {**GOOD, "outcome": "failed"}), "RemoteSttInvalid"),
    "half the recording": (answer(200, {**GOOD, "duration": 0.9}), "RemoteSttInvalid"),
    "a dummy": (
        answer(200, {**GOOD, "success": False, "is_dummy": True, "error_type": "MemoryError"}),
        "MemoryError",
    ),
    "a dummy with a hostile name": (
        answer(200, {**GOOD, "success": False, "is_dummy": True, "error_type": "x\n" * 90}),
        "RemoteSttFailed",
    ),
    "401": (answer(401, {}), "RemoteSttRefused"),
    "413": (answer(413, {}), "RemoteSttRefused"),
    "redirect": (answer(307, b"", Location="http://127.0.0.1:1/"), "RemoteSttInvalid"),
    "429": (answer(429, {}, Retry_After="1"), "RemoteSttUnavailable"),
    "500": (answer(500, b"oops"), "RemoteSttUnavailable"),
    "reset": (fault.reset_at_once, "RemoteSttDisconnected"),
    "cut body": (fault.die_mid_body, "RemoteSttDisconnected"),
    "no HTTP": (fault.not_http, "RemoteSttDisconnected"),
}


@pytest.mark.parametrize(("script", "error_type"), BAD.values(), ids=BAD.keys())
async def test_a_bad_answer_is_a_failed_attempt(
    faulty: tuple[Running, FaultServer], script: fault.Script, error_type: str
) -> None:
    app, remote = faulty
    remote.script = script
    body = await transcribed(app, SILENCE)
    assert (body["success"], body["outcome"]) == (True, "no_speech"), (
        "heard here, where all is quiet"
    )
    assert [(one["backend"], one["error_type"]) for one in body["attempts"]] == [
        ("remote", error_type)
    ]
    assert "\n" not in body["attempts"][0]["error_type"]


async def test_a_remote_that_neither_answers_nor_lives(
    faulty: tuple[Running, FaultServer],
) -> None:
    app, remote = faulty
    remote.script = remote.models = fault.hang
    body = await transcribed(app, SILENCE)
    assert body["success"]
    assert body["attempts"][0]["error_type"] == "TimeoutError"
    assert "silent" in body["attempts"][0]["error"]
    remote.models = READY


async def test_a_good_answer_is_taken_as_it_is(faulty: tuple[Running, FaultServer]) -> None:
    app, remote = faulty
    remote.script, remote.models = answer(200, GOOD), READY
    body = await transcribed(app, SILENCE)
    assert (body["text"], body["backend"], body["attempts"]) == ("hello", "faster-whisper", [])
    sent = remote.posts[-1]
    assert sent.path == "/transcribe"
    assert SILENCE in sent.body, "the recording goes as it is"
    assert b'name="language"\r\n\r\nen' in sent.body
    assert sent.headers["x-request-id"] == body["request_id"]


def _uploaded(remote: RemoteStt, path: Path = CANARY, context: CallContext | None = None) -> None:
    request = SpeechRequest(path, "en")
    remote.transcribe(request, DecodedAudio(path, 2.0, (path,)), context or CallContext())


async def _ended_in_hand(
    remote: RemoteStt, server: FaultServer, end: Callable[[CallContext], None]
) -> BaseException:
    """Return what a call raises that ``end`` ends while the server works on it."""
    raised: list[BaseException] = []
    context = CallContext()

    def upload() -> None:
        with pytest.raises((Exception, CallCancelled)) as caught:
            _uploaded(remote, CANARY, context)
        raised.append(caught.value)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, upload)
            await server.wait_for_requests()
            end(context)
    return raised[0]


async def test_only_a_failure_of_the_server_makes_it_unready() -> None:
    """A caller who hangs up, a recording that is gone, our own stop: it is as ready as before."""
    async with FaultServer(fault.hang, models=READY) as server:
        remote = RemoteStt(server.base, Limits(stall_timeout_sec=0.5))
        await anyio.to_thread.run_sync(remote.ensure_loaded)
        assert remote.state == "idle"
        hung_up = await _ended_in_hand(remote, server, CallContext.cancel)
        assert (type(hung_up), remote.state) == (CallCancelled, "idle")
        with pytest.raises(AudioUnreadable):
            await anyio.to_thread.run_sync(_uploaded, remote, Path("/nowhere.wav"))
        assert remote.state == "idle"
        server.requests.clear()
        stopped = await _ended_in_hand(remote, server, lambda _context: remote.stop())
        assert (type(stopped), remote.state) == (ServerStopping, "idle")
        assert [one.failures for one in remote.circuits.snapshots()] == [0]
        server.script = fault.reset_at_once
        with pytest.raises(RemoteSttDisconnected):
            await anyio.to_thread.run_sync(_uploaded, remote)
        assert remote.state == "stopped"


@pytest.mark.parametrize("url", ["stt-model:8001", "ftp://stt-model", "http://", "http://a/?b=c"])
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    from pydantic import ValidationError  # noqa: PLC0415

    from api_server.settings import Settings  # noqa: PLC0415

    with pytest.raises(ValidationError, match=r"http://HOST:PORT|leave out what follows"):
        Settings(_env_file=None, stt_remote_url=url)  # type: ignore[call-arg]
