"""Open WebUI as a client: the program itself, beside the tests (`make test-clients`)."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.in_process import CANARY_WORDS
from tests.support.server import ROOT, ApiServer, awaited

PROGRAM = Path(os.environ.get("STT_TEST_WEBUI", ROOT / ".venv-webui")) / "bin" / "open-webui"
CLIP = ROOT / "src/stt_engine/assets/canary.wav"

START_SEC = 600.0
"""It makes its database first, which takes minutes on a busy machine."""

pytestmark = [
    pytest.mark.timeout(2 * START_SEC),
    pytest.mark.skipif(not PROGRAM.is_file(), reason="Open WebUI is not here: make test-clients"),
]


@pytest.fixture(scope="module")
def webui(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Open WebUI with this server as its engine of speech to text, and its only user."""
    folder = tmp_path_factory.mktemp("webui")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "USE_SLIM_DOCKER": "true",  # as in its slim image: every model is another server's
        "DATA_DIR": folder,
        "WEBUI_AUTH": "false",
        "WEBUI_SECRET_KEY": "of-the-tests",
        "OFFLINE_MODE": "true",
        "ENABLE_OLLAMA_API": "false",
        "ENABLE_OPENAI_API": "false",
        "AUDIO_STT_ENGINE": "openai",
        "AUDIO_STT_OPENAI_API_BASE_URL": f"{server.base}/v1",
        "AUDIO_STT_OPENAI_API_KEY": "none",
        "AUDIO_STT_MODEL": "whisper-1",
    }
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [PROGRAM, "serve", "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
        ) as client:
            started = awaited(lambda: running.poll() or _answers(client), "Open WebUI", START_SEC)
            assert started is True, (folder / "log").read_text()[-3000:]
            entered = client.post(
                "/api/v1/auths/signin", json={"email": "admin@localhost", "password": "admin"}
            )
            client.headers["Authorization"] = f"Bearer {entered.json()['token']}"
            yield client
    finally:
        running.kill()
        running.wait()


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/health").is_success
    except httpx2.TransportError:
        return False


def transcribed(webui: httpx2.Client, content: bytes, **fields: str) -> httpx2.Response:
    """Send what a microphone in its page has recorded."""
    files = {"file": ("recording.wav", content, "audio/wav")}
    return webui.post("/api/v1/audio/transcriptions", files=files, data=fields)


@pytest.mark.parametrize("fields", [{}, {"language": "en"}])
def test_what_was_said_arrives(webui: httpx2.Client, fields: dict[str, str]) -> None:
    answer = transcribed(webui, CLIP.read_bytes(), **fields)
    assert answer.status_code == 200, answer.text
    assert CANARY_WORDS in answer.json()["text"].lower()


def test_what_is_no_recording_is_refused_with_the_cause(webui: httpx2.Client) -> None:
    answer = transcribed(webui, b"no audio")
    assert answer.status_code >= 400
    assert "no audio format" in answer.text
