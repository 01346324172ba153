"""``serve --stt-only``: recognition alone, over HTTP, on the real program."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ApiServer, api_server, awaited

STT_ONLY = "--stt-only"


@pytest.fixture(scope="module")
def leg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("leg"), STT_ONLY) as found:
        yield found
        assert found.metric("stt_engine_unexpected_failures_total") == 0


async def recognise(server: ApiServer, audio: bytes, **form: str) -> Any:
    async with server.client() as client:
        return await client.post("/transcribe", data=form, files={"file": ("call.wav", audio)})


async def test_a_recording_gives_the_engines_own_answer(leg: ApiServer, canary: bytes) -> None:
    response = await recognise(leg, canary, language="en", translate="true", word_timestamps="true")
    assert response.status_code == 200
    body = response.json()
    assert (body["success"], body["backend"], body["outcome"]) == (True, "faster-whisper", "speech")
    assert "recognition" in body["text"].lower()
    assert "recognition" in body["text_en"].lower()
    assert body["segments"][0]["words"][0]["word"].strip() == "This"
    assert body["provenance"]["model_sha256"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert "x-stt-degraded" not in response.headers


async def test_the_callers_mistakes_are_problem_documents(leg: ApiServer, canary: bytes) -> None:
    for audio, form, status in (
        (b"no audio at all", {}, 415),
        (canary, {"language": "klingon"}, 400),
        (canary, {"agent_channel": "2"}, 400),
    ):
        response = await recognise(leg, audio, **form)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"


def test_no_agent_is_part_of_it(leg: ApiServer) -> None:
    names = [one["name"] for one in leg.get("/health").json()["components"]]
    assert "faster-whisper" in names
    assert "agent" not in names
    assert leg.get("/health").json()["status"] == "healthy"
    assert leg.get("/analyze").status_code == 404
    assert set(leg.get("/openapi.json").json()["paths"]) == {
        "/transcribe",
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/models",
        "/v1/models/{model}",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
    }


async def test_a_removed_model_is_noticed_without_a_call_and_told_honestly(
    tmp_path: Path, whisper_base: Path, canary: bytes
) -> None:
    """The folder goes while nobody calls; it comes back, and so does readiness."""
    folder = tmp_path / "models" / "whisper"
    shutil.copytree(whisper_base, folder)
    away = folder.with_name("away")
    with api_server(tmp_path, STT_ONLY, stt_model_path=folder) as leg:
        folder.rename(away)
        awaited(lambda: leg.get("/health/ready").status_code == 503, "it is noticed")
        response = await recognise(leg, canary, language="en")
        body = response.json()
        assert (response.status_code, body["success"], body["text"]) == (200, False, "")
        assert (body["backend"], body["error_type"]) == ("dummy", "FileNotFoundError")
        assert response.headers["x-stt-degraded"] == "stt"
        strict = await recognise(leg, canary, language="en", strict="true")
        assert (strict.status_code, strict.json()["is_dummy"]) == (503, True)
        away.rename(folder)
        leg.wait_ready()
        assert (await recognise(leg, canary, language="en")).json()["success"]
