"""Answers are those of OpenAI's own OpenAPI document (`make test-clients` has it)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_openai_litellm import PYTHON
from tests.api.test_openai_wire import PATH
from tests.support.in_process import Running
from tests.support.server import ROOT

pytestmark = pytest.mark.skipif(
    not PYTHON.is_file(), reason="OpenAI's document is not here: make test-clients"
)


@pytest.fixture
def two_channels(sample_call: Path) -> bytes:
    return sample_call.read_bytes()


async def test_every_shape_is_the_documents(
    healthy: Running, canary: bytes, two_channels: bytes
) -> None:
    async def asked(path: str = PATH, recording: bytes = canary, **form: Any) -> Any:
        files = {"file": ("call.wav", recording)}
        return await healthy.client.post(path, data={"model": "whisper-1", **form}, files=files)

    call = {"recording": two_channels, "response_format": "diarized_json"}
    english = "/v1/audio/translations"
    timed = [
        await asked(response_format="verbose_json", timestamp_granularities=kinds)
        for kinds in (["word"], ["segment"], ["word", "segment"])
    ]
    stream = (await asked(language="en", stream="true", **call)).text.split("\n\n")
    events = [json.loads(one.removeprefix("data: ")) for one in stream if one.startswith("data: {")]
    answers = {
        "CreateTranscriptionResponseJson": [
            (await asked()).json(),
            (await asked(language="en", keywords="Kensington")).json(),
        ],
        "CreateTranscriptionResponseVerboseJson": [one.json() for one in timed],
        "CreateTranscriptionResponseDiarizedJson": [(await asked(language="en", **call)).json()],
        "CreateTranslationResponseJson": [(await asked(english)).json()],
        "CreateTranslationResponseVerboseJson": [
            (await asked(english, response_format="verbose_json")).json()
        ],
        "CreateTranscriptionResponseStreamEvent": events,
        "ListModelsResponse": [(await healthy.client.get("/v1/models")).json()],
        "ErrorResponse": [(await asked(language="klingon")).json()],
    }
    assert {one["type"].rpartition(".")[2] for one in events} == {"delta", "segment", "done"}
    assert wrong_with(answers) == {name: [] for name in answers}


def wrong_with(answers: dict[str, Any]) -> Any:
    ended = subprocess.run(
        [PYTHON, ROOT / "tests/support/openai_schema.py"],
        input=json.dumps(answers),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
