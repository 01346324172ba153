"""The `openai` package for Node as a client (`make test-clients`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.in_process import CANARY_WORDS
from tests.support.server import ROOT, ApiServer

PACKAGES = Path(os.environ.get("STT_TEST_NODE", ROOT / ".cache/node")) / "node_modules"
CLIP = ROOT / "src/stt_engine/assets/canary.wav"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not PACKAGES.is_dir(), reason="Node's openai is not here: make test-clients"
)


@pytest.fixture(scope="module")
def found(server: ApiServer) -> dict[str, Any]:
    script = ROOT / "tests/support/node_client.mjs"
    ended = subprocess.run(
        [str(NODE), script, f"{server.base}/v1", CLIP, PACKAGES / "openai"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


@pytest.mark.parametrize(
    "how", ["plain", "timed", "diarized", "detection", "hints", "english", "name"]
)
def test_the_words_arrive(found: dict[str, Any], how: str) -> None:
    assert CANARY_WORDS in found[how]["text"].lower(), found[how]


def test_text_times_and_the_head_arrive(found: dict[str, Any]) -> None:
    assert CANARY_WORDS in found["text"].lower()
    assert found["timed"]["words"][0]["word"] == "This"
    assert found["timed"]["segments"][0]["start"] >= 0
    status, coverage, identity = found["head"]
    assert (status, float(coverage)) == (200, 1.0)
    assert identity


def test_models_are_listed_and_found_by_names_with_a_slash(found: dict[str, Any]) -> None:
    assert found["model"]["id"] == "Systran/faster-whisper-base"
    assert {found["model"]["id"], "whisper-1"} <= set(found["models"])


def test_a_stream_is_whole(found: dict[str, Any]) -> None:
    *deltas, done = found["stream"]
    assert done["type"] == "transcript.text.done"
    assert "".join(one["delta"] for one in deltas) == done["text"]


@pytest.mark.parametrize(
    ("how", "error", "code", "param"),
    [
        ("no_model", "NotFoundError", "model_not_found", "model"),
        ("no_audio", "BadRequestError", "not_audio", "file"),
        ("include", "BadRequestError", "unsupported_parameter", "include"),
    ],
)
def test_errors_are_its_own_kinds(
    found: dict[str, Any], how: str, error: str, code: str, param: str
) -> None:
    told = found[how]
    assert (told["error"], told["code"], told["param"]) == (error, code, param)
