"""Transcriptions as a stream: text as it is heard; whatever breaks, never a shorter call."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx2
import openai
import pytest
from openai.types.audio import (
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
)

from tests.api.test_openai_failures import PATH, client_of
from tests.api.test_sharing import worker_pid
from tests.api.test_stopping import busy
from tests.support.in_process import CANARY_WORDS, Running, running
from tests.support.server import ApiServer, api_server, awaited
from tests.support.sounds import repeated

NEVER = 3600.0
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("streaming")
    with api_server(folder, ready_proof_sec=NEVER) as found:
        yield found
        assert found.metric("stt_engine_unexpected_failures_total") == 0


@pytest.fixture
async def client(streaming: ApiServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(streaming) as found:
        yield found


async def collected(
    client: openai.AsyncOpenAI, recording: bytes, after: Callable[[int], None] = lambda _: None
) -> tuple[str, str | None, Exception | None]:
    """Return the pieces as one text, the text of the last event, and the error that came."""
    text, done = "", None
    try:
        stream = await client.audio.transcriptions.create(
            model="whisper-1", file=("call.wav", recording), language="en", stream=True
        )
        pieces = 0
        async for event in stream:
            if isinstance(event, TranscriptionTextDeltaEvent):
                text += event.delta
                pieces += 1
                await anyio.to_thread.run_sync(after, pieces)
            elif isinstance(event, TranscriptionTextDoneEvent):
                done = event.text
    except openai.APIError as exc:
        return text, done, exc
    return text, done, None


async def test_pieces_come_before_the_end_and_make_the_whole(
    streaming: ApiServer, client: openai.AsyncOpenAI, canary: bytes
) -> None:
    at_work: list[bool] = []
    recording = repeated(canary, 60)
    told, done, error = await collected(
        client, recording, lambda _: at_work.append(busy(streaming))
    )
    assert error is None
    assert told == done
    assert at_work[0], "the first words come while the rest is being recognised"
    assert told.lower().count(CANARY_WORDS.split(maxsplit=1)[0]) >= 50
    create = client.audio.transcriptions.create
    plain = await create(model="whisper-1", file=("call.wav", recording), language="en")
    assert plain.text == told


async def test_speakers_come_as_segments(client: openai.AsyncOpenAI, sample_call: Path) -> None:
    stream = await client.audio.transcriptions.create(
        model="whisper-1",
        file=sample_call,
        language="en",
        stream=True,
        response_format="diarized_json",
        chunking_strategy="auto",
    )
    events = [one async for one in stream]
    segments = [one for one in events if isinstance(one, TranscriptionTextSegmentEvent)]
    assert {one.speaker for one in segments} == {"agent", "customer"}
    done = events[-1]
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert " ".join(one.text for one in segments) == done.text
    deltas = [one.delta for one in events if isinstance(one, TranscriptionTextDeltaEvent)]
    assert "".join(deltas) == done.text


async def test_what_cannot_begin_is_a_plain_error(
    client: openai.AsyncOpenAI, modelless: Running, canary: bytes
) -> None:
    _, _, error = await collected(client, b"no audio")
    assert isinstance(error, openai.BadRequestError)
    assert error.code == "not_audio"
    form = {"model": "missing", "stream": "true"}
    files = {"file": ("x.wav", canary)}
    answer = await modelless.client.post(PATH, data=form, files=files)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "FileNotFoundError")


async def test_the_stream_on_the_wire(healthy: Running, canary: bytes) -> None:
    form = {"model": "whisper-1", "stream": "true", "language": "en"}
    answer = await healthy.client.post(PATH, data=form, files={"file": ("call.wav", canary)})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *events, end = [one.removeprefix("data: ") for one in answer.text.split("\n\n") if one]
    assert end == "[DONE]"
    kinds = [json.loads(one)["type"] for one in events]
    assert kinds == ["transcript.text.delta", "transcript.text.done"]
    assert json.loads(events[-1])["stt_engine"]["coverage"]["share"] == 1.0


async def test_what_is_masked_is_not_told_before(canary: bytes) -> None:
    async with running(redaction="everywhere") as masking:
        form: dict[str, Any] = {"model": "whisper-1", "stream": "true", "language": "en"}
        files = {"file": ("call.wav", repeated(canary, 12))}
        answer = await masking.client.post(PATH, data=form, files=files)
        assert answer.text.count("transcript.text.delta") == 1
        assert answer.text.endswith("data: [DONE]\n\n")


_LONG = [pytest.mark.slow, pytest.mark.long]
PLACES = [
    1,
    pytest.param(24, marks=pytest.mark.slow),
    *(pytest.param(one, marks=_LONG) for one in (8, 20, *range(29, 59, 5))),
]
"""Pieces after which something dies; most places are tried by `make test-long`."""


@pytest.mark.parametrize("place", PLACES)
async def test_a_killed_model_never_makes_a_short_text(
    streaming: ApiServer, client: openai.AsyncOpenAI, canary: bytes, place: int
) -> None:
    def kill(pieces: int) -> None:
        if pieces == place and busy(streaming):
            os.kill(worker_pid(streaming), signal.SIGKILL)

    told, done, error = await collected(client, repeated(canary, 60 + place), kill)
    if error is None:
        assert told == done
    else:
        assert done is None
        assert (error.code, error.type) in {
            ("WorkerDied", "server_error"),
            ("WorkerCrashLoop", "server_error"),
        }
    await anyio.to_thread.run_sync(streaming.wait_ready)


async def test_after_an_error_the_connection_is_broken(streaming: ApiServer, canary: bytes) -> None:
    form = {"model": "whisper-1", "stream": "true", "language": "en"}
    files = {"file": ("call.wav", repeated(canary, 90))}
    received = bytearray()
    async with (
        streaming.client() as client,
        client.stream("POST", PATH, data=form, files=files) as answer,
    ):
        with pytest.raises(httpx2.RemoteProtocolError):
            await _read(answer, received, streaming)
    assert b'"error"' in received
    assert b"[DONE]" not in received
    assert b"transcript.text.done" not in received


async def _read(answer: httpx2.Response, received: bytearray, server: ApiServer) -> None:
    """Read a stream whose model is killed once it has begun."""
    async for raw in answer.aiter_bytes():
        if not received:
            await anyio.to_thread.run_sync(_kill_model, server)
        received += raw


def _kill_model(server: ApiServer) -> None:
    assert busy(server)
    os.kill(worker_pid(server), signal.SIGKILL)


FEW = [
    1,
    pytest.param(17, marks=pytest.mark.slow),
    *(pytest.param(one, marks=_LONG) for one in (3, 5, 8, 11, 14, 20, 24, 28)),
]
"""Ten places again, all in the first of two steps."""


@pytest.mark.parametrize("place", FEW)
async def test_a_killed_server_never_makes_a_short_text(
    tmp_path: Path, canary: bytes, place: int
) -> None:
    server = ApiServer(tmp_path, ready_proof_sec=NEVER)
    try:
        server.wait_ready()
        async with client_of(server) as client:
            told, done, error = await collected(
                client, repeated(canary, 60), lambda n: server.kill() if n == place else None
            )
        assert told
        if place == 1 or error is not None:  # later on, all of it may be here already
            assert done is None
            assert isinstance(error, openai.APIConnectionError)
        else:
            assert told == done
    finally:
        server.kill()


@pytest.mark.parametrize("place", FEW)
async def test_a_reader_who_leaves_ends_the_work(
    streaming: ApiServer, client: openai.AsyncOpenAI, canary: bytes, place: int
) -> None:
    stream = await client.audio.transcriptions.create(
        model="whisper-1", file=("call.wav", repeated(canary, 60)), language="en", stream=True
    )
    pieces = 0
    async for _ in stream:
        pieces += 1
        if pieces == place:
            break
    await stream.close()
    await anyio.to_thread.run_sync(
        lambda: awaited(lambda: not busy(streaming), "the work has ended")
    )
    assert "Traceback" not in streaming.log.read_text("utf-8")
