"""livekit and pipecat as clients, in an environment of their own (`make test-clients`)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.in_process import CANARY_WORDS
from tests.support.server import ROOT, ApiServer

PYTHON = Path(os.environ.get("STT_TEST_CLIENTS", ROOT / ".venv-clients")) / "bin" / "python"
CLIP = ROOT / "src/stt_engine/assets/canary.wav"

pytestmark = pytest.mark.skipif(
    not PYTHON.is_file(), reason="livekit and pipecat are not here: make test-clients"
)


@pytest.fixture(scope="module")
def found(server: ApiServer) -> dict[str, Any]:
    script = ROOT / "tests/support/voice_agents_client.py"
    ended = subprocess.run(
        [PYTHON, script, f"{server.base}/v1", CLIP], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize(
    "how", ["livekit", "livekit_detects", "livekit_keywords", "pipecat", "pipecat_keywords"]
)
def test_the_words_arrive(found: dict[str, Any], how: str) -> None:
    assert CANARY_WORDS in str(found[how].get("text")).lower(), found[how]


def test_the_language_that_was_detected_arrives(found: dict[str, Any]) -> None:
    assert found["livekit_detects"]["language"] in {"en", "english"}


def test_a_model_that_is_not_here_is_no_silence(found: dict[str, Any]) -> None:
    assert found["livekit_no_model"] == {"error": "APIStatusError", "status": 404}
    assert found["pipecat_no_model"]["frame"] == "ErrorFrame"
    assert "nova" in str(found["pipecat_no_model"]["text"])
