"""Segments that are rejected, and how that is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stt_engine.backends.base import ChunkResult, RawSegment, SpeechChunk
from stt_engine.errors import (
    EmptyTranscript,
)
from tests.support.recognition_runs import LOOP, run
from tests.support.stub_model import EchoModel, FakeModel, channel_at, job_of


def test_a_loop_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (1, 4), (6, 9))
    model = FakeModel([[RawSegment(0, 3, "안녕하세요")], [RawSegment(0, 3, LOOP)]])
    found = run(model, job_of(file))
    assert found["text"] == "안녕하세요"
    assert found["rejected"] == [
        {"start": 6.0, "end": 9.0, "channel": 0, "reason": "repetition_loop"}
    ]


def test_what_cannot_have_been_said_in_a_stretch_is_left_out_and_said_to_be(
    tmp_path: Path,
) -> None:
    file = channel_at(tmp_path / "a", (1, 4), (6, 9))
    late = RawSegment(20, 28, "시청해주셔서 감사합니다")
    model = FakeModel([[RawSegment(0, 30, "안녕하세요"), late], [RawSegment(3.5, 4.5, "네")]])
    found = run(model, job_of(file))
    assert found["text"] == "안녕하세요 네"
    times = [(segment["start"], segment["end"]) for segment in found["segments"]]
    assert times == [(1.0, 4.0), (9.0, 9.0)], "no time beyond the speech"
    assert found["rejected"] == [
        {"start": 4.0, "end": 4.0, "channel": 0, "reason": "impossible_times"}
    ]


@pytest.mark.parametrize(
    ("low_confidence", "taken"),
    [
        ((), True),
        (("repetition_loop",), True),
        (("perhaps_no_speech",), False),
        (("low_probability",), False),
    ],
)
def test_a_sentence_that_comes_twice_is_rejected_where_there_may_be_no_words(
    tmp_path: Path, low_confidence: tuple[str, ...], taken: bool
) -> None:
    sentence = "지금은 통화량이 많아 연결이 지연되고 있습니다. 잠시만 더 기다려 주시기 바랍니다."
    file = channel_at(tmp_path / "a", (1, 4), (6, 16))

    class Unsure(FakeModel):
        def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
            return [
                replace(said, low_confidence=low_confidence) if chunk.seconds > 5 else said
                for chunk, said in zip(chunks, super().transcribe(chunks), strict=True)
            ]

    twice = [RawSegment(0, 5, sentence), RawSegment(5, 10, sentence)]
    found = run(Unsure([[RawSegment(0, 3, "안녕하세요")], twice]), job_of(file))
    assert len(found["segments"]) == (3 if taken else 1)
    assert [one["reason"] for one in found["rejected"]] == (
        [] if taken else ["repetition_loop"] * 2
    )


def test_nothing_but_loops_is_a_failure_and_no_silence(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (1, 4))
    with pytest.raises(EmptyTranscript, match="1 segments"):
        run(FakeModel([[RawSegment(0, 3, LOOP)]]), job_of(file))


def test_blank_segments_are_no_speech(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (1, 4))
    found = run(FakeModel([[RawSegment(0, 1, "  "), RawSegment(1, 2, "")]]), job_of(file))
    assert found["segments"] == ()
    assert found["text"] == ""
    assert found["rejected"] == []


def test_silence_never_reaches_the_model(tmp_path: Path) -> None:
    model = FakeModel([[RawSegment(0, 3, "시청해주셔서 감사합니다")]])
    found = run(model, job_of(channel_at(tmp_path / "a"), language="auto"))
    assert model.asked == []
    assert model.detected == []
    assert found["segments"] == ()
    assert found["speech_sec"] == 0
    assert found["language"] == "auto"


class DoubtingModel(EchoModel):
    """Hears every third second of speech again."""

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        found = zip(chunks, super().transcribe(chunks), strict=True)
        return [
            replace(said, low_confidence=() if chunk.seconds % 3 else ("too_long", "too_loud"))
            for chunk, said in found
        ]


def test_what_was_heard_again_is_counted_by_its_reasons(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (0, 1), (2, 5), (6, 8), (9, 12))
    found = run(DoubtingModel(), job_of(file))
    assert found["provenance"]["heard_again"] == {"too_long": 2, "too_loud": 2}
    assert len(found["segments"]) == 4
    assert run(EchoModel(), job_of(file))["provenance"]["heard_again"] == {}
