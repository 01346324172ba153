"""Voices with names: a client's references, and agents that were enrolled; a real call, in mono."""

from __future__ import annotations

import base64
import io
import json
import sqlite3
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import openai
import pytest
from typer.testing import CliRunner

from stt_tools.cli.program import app as program
from tests.support.in_process import Running, running
from tests.support.models import campplus
from tests.support.server import ROOT

pytestmark = pytest.mark.timeout(180)

CALL_SEC, RATE = 34.0, 8_000


def channels() -> tuple[np.ndarray, np.ndarray]:
    """Return the agent and the customer of the sample call."""
    with av.open(str(ROOT / "audio/sample_call.wav")) as container:
        resampler = av.AudioResampler("s16p", "stereo", RATE)
        frames = [
            one.to_ndarray()
            for frame in [*container.decode(audio=0), None]
            for one in resampler.resample(frame)
        ]
    agent, customer = np.concatenate(frames, axis=1)
    return agent, customer


def as_wav(samples: np.ndarray) -> bytes:
    raw = io.BytesIO()
    with wave.open(raw, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.astype("<i2").tobytes())
    return raw.getvalue()


def spoken(side: np.ndarray, first: float, seconds: float) -> bytes:
    """Return ``seconds`` of what a side says from a moment on, without its silence."""
    frames = side[int(first * RATE) :]
    frames = frames[: len(frames) // 80 * 80].reshape(-1, 80)
    loud = frames[np.abs(frames).max(axis=1) > 300]
    return as_wav(loud.reshape(-1)[: int(seconds * RATE)])


AGENT, CUSTOMER = channels()
MONO = as_wav(AGENT[: int(CALL_SEC * RATE)] // 2 + CUSTOMER[: int(CALL_SEC * RATE)] // 2)
AGENT_LATER = spoken(AGENT, CALL_SEC, 8.0)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    (folder / "keys").write_text(f"one:{'A' * 43}=\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
async def server(kept: Path) -> AsyncIterator[Running]:
    campplus()
    settings: dict[str, Any] = {
        "known_voices": True,
        "recordings_key_file": kept / "keys",
        "database_url": f"sqlite:///{kept}/cases.db",
        "recordings_reserve_bytes": 0,
    }
    async with running(**settings) as found:
        yield found


def said(segments: list[dict[str, Any]], what: str) -> set[str | None]:
    return {one[what] for one in segments if one["end"] - one["start"] > 1.0}


async def test_a_voice_that_a_client_names_is_found(server: Running) -> None:
    client = openai.AsyncOpenAI(
        base_url="http://localhost/v1", api_key="none", max_retries=0, http_client=server.client
    )
    url = "data:audio/wav;base64," + base64.b64encode(AGENT_LATER).decode()
    call: dict[str, Any] = {
        "model": "whisper-1",
        "language": "en",
        "response_format": "diarized_json",
        "file": ("call.wav", MONO),
    }
    found = await client.audio.transcriptions.create(
        **call, known_speaker_names=["Joe"], known_speaker_references=[url]
    )
    named = [one.text for one in found.segments if one.speaker == "Joe"]
    assert any("Union Bank" in one for one in named)
    assert not any("What is it about" in one for one in named)
    assert found.model_extra["stt_engine"]["known_speakers"]["named"][0]["name"] == "Joe"
    for sound, words in (
        (spoken(AGENT, CALL_SEC, 1.0), "speech"),
        (MONO[: 44 + 2 * 20 * RATE], "s"),
        (b"no audio", "number 1"),
    ):
        url = "data:audio/wav;base64," + base64.b64encode(sound).decode()
        with pytest.raises(openai.BadRequestError, match=words) as caught:
            await client.audio.transcriptions.create(
                **call, known_speaker_names=["Joe"], known_speaker_references=[url]
            )
        assert caught.value.param == "known_speaker_references"
        assert "/tmp" not in str(caught.value)


async def test_an_enrolled_agent_is_the_agent_until_erased(server: Running, kept: Path) -> None:
    enrol = {"data": {"name": "Joe Agent"}, "files": {"file": ("joe.wav", AGENT_LATER)}}
    made = await server.client.post("/voices", **enrol)
    assert made.status_code == 201, made.text
    assert (await server.client.post("/voices", **enrol)).status_code == 409
    two = {"data": {"name": "Two"}, "files": {"file": ("two.wav", MONO)}}
    assert "more than one voice" in (await server.client.post("/voices", **two)).text
    listed = (await server.client.get("/voices")).json()["voices"]
    assert [one["name"] for one in listed] == ["Joe Agent"]

    answer = (await server.post({"language": "en"}, ("call.wav", MONO))).json()
    facts = answer["provenance"]["speakers"]
    assert (facts["roles"]["by"], facts["known"]["named"][0]["name"]) == ("voice", "Joe Agent")
    agents = [one for one in answer["segments"] if one["speaker"] == "agent"]
    assert said(agents, "speaker_name") == {"Joe Agent"}
    assert said([one for one in answer["segments"] if one not in agents], "speaker_name") <= {None}

    voice = listed[0]["id"]
    assert (await server.client.delete(f"/voices/{voice}")).status_code == 200
    assert (await server.client.delete(f"/voices/{voice}")).status_code == 404
    with sqlite3.connect(kept / "cases.db") as database:
        rows = database.execute("SELECT facts FROM audit_entries WHERE kind = 'voice' ORDER BY seq")
        told = [json.loads(facts) for (facts,) in rows]
        assert database.execute("SELECT count(*) FROM known_voices").fetchone() == (0,)
    assert [one["what"] for one in told] == ["enrolled", "compared", "erased"]
    assert (told[1]["call"], told[1]["voices"]) == (answer["request_id"], [voice])
    assert "Joe" not in json.dumps(told)


async def test_where_it_is_off_nothing_is_enrolled() -> None:
    async with running(ready=False, stt_model_path=Path("/nowhere")) as found:
        enrol = {"data": {"name": "Joe"}, "files": {"file": ("joe.wav", AGENT_LATER)}}
        for answer in (
            await found.client.post("/voices", **enrol),
            await found.client.get("/voices"),
            await found.client.delete("/voices/one"),
        ):
            assert (answer.status_code, answer.json()["type"]) == (
                403,
                "urn:stt-engine:problem:voices-off",
            )


def test_the_commands(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "joe.wav"
    file.write_bytes(AGENT_LATER)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/cases.db")

    def run(*given: str) -> tuple[int, str]:
        found = CliRunner().invoke(program, ["voices", *given])
        return found.exit_code, found.output + str(found.exception or "")

    assert "KNOWN_VOICES" in run("enrol", "Joe", str(file))[1]
    monkeypatch.setenv("KNOWN_VOICES", "true")
    assert "RECORDINGS_KEY_FILE" in run("enrol", "Joe", str(file))[1]
    monkeypatch.setenv("RECORDINGS_KEY_FILE", str(kept / "keys"))
    code, told = run("enrol", "Joe", str(file), "--json")
    assert code == 0, told
    assert json.loads(told)[0]["seconds"] > 4
    assert "Joe" in run("list")[1]
    monkeypatch.setenv("KNOWN_VOICES", "false")
    assert run("erase", "Joe")[0] == 0
    assert "no voice of 'Joe'" in run("erase", "Joe")[1]
