"""Runs of a recognition job with a stub model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stt_engine.backends.recognition import recognise
from stt_engine.recognition.progress import TranscriptBuilder
from stt_engine.speech import SAMPLE_RATE, DecodedAudio, SpeechRequest
from tests.support.stub_model import FakeModel

LOOP = "감사합니다. " * 40


def steps_of(model: FakeModel, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each step as the parent gets it: over a pipe, as JSON."""
    for step in recognise(model, model.facts, job):
        yield json.loads(json.dumps(step))


def collected(job: dict[str, Any], agent_channel: int = 0) -> TranscriptBuilder:
    files = tuple(Path(name) for name in job["files"])
    duration = max(file.stat().st_size for file in files) / 2 / SAMPLE_RATE
    request = SpeechRequest(
        Path("a"), job["language"], job["translate"], job["words"], agent_channel
    )
    return TranscriptBuilder(request, DecodedAudio(Path("a"), duration, files))


def told(so_far: TranscriptBuilder) -> dict[str, Any]:
    heard = so_far.transcript()
    return {
        **asdict(heard),
        "coverage": heard.coverage and heard.coverage.as_data(),
        "rejected": heard.provenance["rejected_segments"],
        "speech_sec": heard.provenance["speech_sec"],
    }


def run(model: FakeModel, job: dict[str, Any], agent_channel: int = 0) -> dict[str, Any]:
    so_far = collected(job, agent_channel)
    for step in steps_of(model, job):
        so_far.add(step, 0.0)
    return told(so_far)
