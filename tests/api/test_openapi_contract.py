"""Both applications against their own OpenAPI documents: generated requests, good and bad.

The recogniser is a fake that answers at once: thousands of requests are to meet the API, not a
model. The decoder's child process, the rules and everything else are real; the agent's port is
closed.
"""

from __future__ import annotations

import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import schemathesis.specs.openapi.schemas  # before there are threads: see below
from fastapi import FastAPI
from schemathesis.engine.core import Engine  # from_schema would import it among threads
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.python.asgi import shutdown_lifespans

from api_server.app import create_app, create_stt_app
from api_server.settings import Settings
from stt_engine.speech import DecodedAudio, Segment, SpeechRequest, Transcript
from tests.support.in_process import NEVER
from tests.support.server import ROOT

# CPython 3.11 can fail to parse a module while another thread parses one (gh-106905), and pytest
# parses every module of its plugins again: schemathesis would do it at its first use.
for module in pkgutil.walk_packages(schemathesis.engine.__path__, "schemathesis.engine."):
    import_module(module.name)

Make = Callable[[Settings], FastAPI]

EXAMPLES = 40
FEWEST_ANSWERS = 200
MOST_TOLD = 12
ACCEPTED = ["2xx", "403", "404", "415", "503"]
UNSAYABLE = (
    "give each segment an 'id' of its own",
    "the idempotency key stands for another",
    "keywords: each has from",
    "format: the check's result has no place",
    "english: only 'format' has it",
    "has no transcript",
    "has no translation",
)
"""Refusals whose reasons no schema can say."""
KEY = "a-key-of-the-test"
CLIP = ROOT / "src/stt_engine/assets/canary.wav"


class Parrot:
    """A recogniser that hears the same in every recording."""

    name = "faster-whisper"
    state = "idle"
    pid = None
    loaded = True

    def intact(self) -> bool:
        return True

    def ensure_loaded(self) -> None: ...

    def close(self) -> None: ...

    def stop(self) -> None: ...

    def transcribe(self, request: SpeechRequest, audio: DecodedAudio) -> Transcript:
        heard = Segment(0, 0.0, audio.duration, "원금이 보장됩니다", speaker="agent")
        language = "ko" if request.language == "auto" else request.language
        return Transcript(heard.text, language, audio.duration, "speech", segments=(heard,))


def _application(make: Make, folder: Path, keys: list[str]) -> FastAPI:
    given: dict[str, Any] = {
        "stt_model_path": folder,
        "audio_roots": [CLIP.parent],
        "vllm_api_url": "http://127.0.0.1:1/v1",
        "ready_interval_sec": NEVER,
        "log_file": None,
        "database_url": f"sqlite:///{folder}/cases.db",
        "recordings_reserve_bytes": 0,
        "api_keys": keys,
        "api_allowed_hosts": ["testserver"],
    }
    app = make(Settings(_env_file=None, **given))
    app.state.service.stt._backends = (Parrot(),)
    return app


def _of_the_interpreter(event: NonFatalError | FatalError) -> bool:
    """Return whether Python 3.11 failed, where two threads cannot parse code at once."""
    return "AST constructor recursion depth mismatch" in repr(event)


def _failures(app: FastAPI, keys: list[str], examples: int) -> Counter[str]:
    """Run every phase of schemathesis; give what failed, and how many answers were checked."""
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    config = schemathesis.Config.from_dict(
        {
            "generation": {"max-examples": examples, "deterministic": True},
            "checks": {
                # No schema can say which bytes are a recording.
                "positive_data_acceptance": {"expected-statuses": ACCEPTED},
                "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503"]},
            },
            # A body that is no recording is a bad field there, as at OpenAI.
            "operations": [
                # A stream ends with its job, and none is begun here; test_job_events follows some.
                {"include-path-regex": "^/jobs/.*/events$", "enabled": False},
                {
                    "include-path-regex": "^/v1/",
                    "checks": {"positive_data_acceptance": {"enabled": False}},
                },
                # A form holds text alone: 0 is a way to say false, and a job of it is taken; no
                # schema can say which text is JSON.
                {
                    "include-path-regex": "^/jobs$",
                    "checks": {
                        "negative_data_rejection": {"enabled": False},
                        "positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "400"]},
                    },
                },
            ],
            "headers": headers,
        }
    )
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config, headers=headers)
    found: Counter[str] = Counter()
    for event in Engine(schema=schema).execute():
        if isinstance(event, ScenarioFinished):
            found["answers"] += len(event.recorder.checks)
            found.update(_told(event.recorder))
        elif isinstance(event, NonFatalError | FatalError) and not _of_the_interpreter(event):
            found[repr(event)] += 1
    return found


def _told(recorder: ScenarioRecorder) -> Iterator[str]:
    """Describe each failed check with the request that failed it."""
    for case, check in ((c, one) for c, checks in recorder.checks.items() for one in checks):
        if info := check.failure_info:
            said = recorder.interactions[case].response
            if said and any(words in said.text for words in UNSAYABLE):
                continue
            answer = f"{said.status_code} {said.text[:200]}" if said else "no answer"
            words = f"{info.failure.title}: {info.failure.message[:300]} {answer}"
            yield f"{recorder.label} {check.name}: {words}\n{info.code_sample[:600]}"


APPLICATIONS = pytest.mark.parametrize(
    ("make", "keys"),
    [(create_app, []), (create_stt_app, []), (create_app, [KEY])],
    ids=["whole", "recognition", "keys"],
)


@APPLICATIONS
def test_every_answer_is_as_described(make: Make, keys: list[str], tmp_path: Path) -> None:
    check(make, keys, tmp_path, EXAMPLES)


@pytest.mark.slow
@pytest.mark.timeout(600)
@APPLICATIONS
def test_thousands_of_answers_are_as_described(make: Make, keys: list[str], tmp_path: Path) -> None:
    check(make, keys, tmp_path, 10 * EXAMPLES)


def check(make: Make, keys: list[str], folder: Path, examples: int) -> None:
    app = _application(make, folder, keys)
    try:
        found = _failures(app, keys, examples)
    finally:
        shutdown_lifespans()
    answers = found.pop("answers")
    told = [f"{count} x {words}" for words, count in found.most_common(MOST_TOLD)]
    assert not found, "\n\n".join(told)
    assert answers > FEWEST_ANSWERS
    unexpected = "stt_engine_unexpected_failures_total"
    assert not app.state.service.metrics.registry.get_sample_value(unexpected)
