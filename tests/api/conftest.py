"""Servers that the tests of the HTTP API share: none of these tests breaks one for good."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.in_process import Running, running
from tests.support.server import ROOT, ApiServer, api_server

AUDIO_MAX_BYTES = 3_000_000


@pytest.fixture(scope="session")
def canary() -> bytes:
    """Six words of real speech, about three seconds."""
    return (ROOT / "src/stt_engine/assets/canary.wav").read_bytes()


@pytest.fixture(scope="session")
def longer(canary: bytes) -> bytes:
    """The same words three times: long enough to be asked about in the meantime."""
    raw = io.BytesIO()
    with wave.open(io.BytesIO(canary)) as source, wave.open(raw, "wb") as out:
        out.setparams(source.getparams())
        out.writeframes(source.readframes(source.getnframes()) * 3)
    return raw.getvalue()


@pytest.fixture(scope="session")
def audio_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audio-root")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, audio_root: Path) -> Iterator[ApiServer]:
    """One real server process for the whole session."""
    folder = tmp_path_factory.mktemp("server")
    settings = {
        "audio_roots": audio_root,
        "audio_max_bytes": AUDIO_MAX_BYTES,
        "analyze_max_bytes": 100_000,
        "agent_allowed_hosts": "127.0.0.1:*",
    }
    with api_server(folder, **settings) as found:
        yield found
        assert found.metric("stt_engine_unexpected_failures_total") == 0


@pytest.fixture(scope="session")
async def healthy() -> AsyncIterator[Running]:
    """The application in this process, with the real model in a child process."""
    async with running(audio_roots=[ROOT / "src/stt_engine/assets"]) as found:
        yield found


@pytest.fixture(scope="session")
async def modelless(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The application whose model folder is not there."""
    missing = tmp_path_factory.mktemp("models") / "missing"
    settings = {"stt_model_path": missing, "ready_interval_sec": 3600.0}
    async with running(ready=False, **settings) as found:
        yield found
