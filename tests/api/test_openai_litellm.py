"""LiteLLM as a client, in an environment of its own (`make test-clients`)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import srt

from tests.support.in_process import CANARY_WORDS
from tests.support.server import ROOT, ApiServer

PYTHON = Path(os.environ.get("STT_TEST_CLIENTS", ROOT / ".venv-clients")) / "bin" / "python"
CLIP = ROOT / "src/stt_engine/assets/canary.wav"

pytestmark = pytest.mark.skipif(
    not PYTHON.is_file(), reason="LiteLLM is not here: make test-clients"
)


@pytest.fixture(scope="module")
def found(server: ApiServer) -> dict[str, Any]:
    script = ROOT / "tests/support/litellm_client.py"
    ended = subprocess.run(
        [PYTHON, script, f"{server.base}/v1", CLIP],
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("how", ["plain", "timed", "hints", "async"])
def test_the_words_arrive(found: dict[str, Any], how: str) -> None:
    assert CANARY_WORDS in found[how]["text"].lower(), found[how]


def test_times_and_subtitles_arrive(found: dict[str, Any]) -> None:
    assert found["timed"]["words"][0]["word"] == "This"
    (cue,) = srt.parse(found["srt"]["text"], ignore_errors=False)
    assert CANARY_WORDS in cue.content.replace("\n", " ").lower()


@pytest.mark.parametrize(
    ("how", "error", "status", "words"),
    [
        ("no_model", "NotFoundError", 404, "nova"),
        ("no_audio", "BadRequestError", 400, "no audio format"),
    ],
)
def test_errors_are_its_own_kinds(
    found: dict[str, Any], how: str, error: str, status: int, words: str
) -> None:
    assert (found[how]["error"], found[how]["status"]) == (error, status)
    assert words in found[how]["message"]
