"""Transcripts in the shapes of OpenAI's audio API."""

from __future__ import annotations

import pytest

from api_server.pipeline.render import openai
from stt_engine.speech import Segment, Transcript


@pytest.mark.parametrize(
    ("said", "speakers"),
    [
        ([("agent", 1), (None, 0), (None, None), (None, 1)], ["agent", "B", "unknown", "A"]),
        ([(None, 0), (None, 1), (None, 0)], ["A", "B", "A"]),
        ([(None, 0), (None, None)], ["unknown", "unknown"]),
        ([("customer", None), (None, None)], ["customer", "unknown"]),
    ],
)
def test_voices_without_a_role_have_letters(
    said: list[tuple[str | None, int | None]], speakers: list[str]
) -> None:
    segments = tuple(
        Segment(at, at, at + 1, "네", speaker=speaker, voice=voice)
        for at, (speaker, voice) in enumerate(said)
    )
    found = openai.diarized_json(Transcript("네", "ko", 9.0, "speech", segments=segments))
    assert [one["speaker"] for one in found["segments"]] == speakers
