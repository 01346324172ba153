"""Which results are of low confidence, and why."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from stt_engine.backends.base import ChunkResult
from stt_engine.backends.faster_whisper.batched import (
    LowConfidence,
)
from stt_engine.backends.faster_whisper.model import (
    SequentialPipeline,
)
from stt_engine.backends.vad import Samples
from tests.support.batched_pipeline import (
    DOUBTS,
    StubDecoder,
    Tokens,
    chunk,
    pipeline_of,
    said_of,
    text_of,
)


def test_an_ordinary_answer_is_not_doubted(library: Any, tokens: Tokens) -> None:
    pipeline = pipeline_of(
        library, StubDecoder(lambda _at: said_of(tokens("안녕하세요", 0.5, 2.5)))
    )
    (said,) = pipeline.transcribe([chunk(3.0)])
    assert isinstance(said, ChunkResult)
    (one,) = said.segments
    assert (one.start, one.end, one.text, said.low_confidence) == (0.5, 2.5, "안녕하세요", ())


@pytest.mark.parametrize("kind", DOUBTS)
def test_what_is_doubted_and_why(library: Any, tokens: Tokens, kind: str) -> None:
    reason, says = DOUBTS[kind]
    pipeline = pipeline_of(library, StubDecoder(lambda _at: says(tokens)))
    assert pipeline.transcribe([chunk(5.0)]) == [LowConfidence(reason)]


def test_an_improbable_answer_to_silence_is_silence(library: Any, tokens: Tokens) -> None:
    says = said_of(tokens("시청해주셔서 감사합니다"), score=-1.5, silent=0.9)
    assert pipeline_of(library, StubDecoder(lambda _at: says)).transcribe([chunk(5.0)]) == [
        ChunkResult()
    ]


def test_no_tokens_are_nothing_said(library: Any) -> None:
    assert pipeline_of(library, StubDecoder(lambda _at: said_of([]))).transcribe([chunk(5.0)]) == [
        ChunkResult()
    ]


def test_no_tokens_for_voice_are_doubted(library: Any) -> None:
    spoken = replace(chunk(5.0), voiced=((0.4, 4.6),))
    found = pipeline_of(library, StubDecoder(lambda _at: said_of([]))).transcribe([spoken])
    assert found == [LowConfidence("no_text")]


def test_one_doubtful_stretch_leaves_its_group_alone(library: Any, tokens: Tokens) -> None:
    answers = [
        said_of(tokens("네")),
        said_of(tokens("무엇"), score=-1.5),
        said_of(tokens("아니요")),
    ]
    found = pipeline_of(library, StubDecoder(lambda at: answers[at])).transcribe([chunk(5.0)] * 3)
    assert found[1] == LowConfidence("low_probability")
    assert [text_of(found[0]), text_of(found[2])] == ["네", "아니요"]


@pytest.mark.parametrize(
    ("seconds", "score", "silent", "doubted"),
    [
        (0.464, -0.99, 0.0, True),  # music, heard as "You"
        (0.464, -0.3, 0.0, False),
        (5.0, -0.9, 0.0, False),
        (5.0, -0.1, 0.7, True),
    ],
)
def test_what_is_perhaps_no_speech_is_heard_again(
    library: Any, tokens: Tokens, *, seconds: float, score: float, silent: float, doubted: bool
) -> None:
    says = said_of(tokens("네", 0.0, 0.4), score=score, silent=silent)
    (found,) = pipeline_of(library, StubDecoder(lambda _at: says)).transcribe([chunk(seconds)])
    assert (found == LowConfidence("perhaps_no_speech")) is doubted


# The sequential pipeline ------------------------------------------------------------------
@dataclass
class StubLibrary:
    """In place of ``WhisperModel``: says so many tokens, and where words have times, all of it."""

    tokens: int
    text: str
    asked: list[bool] = field(default_factory=list)

    def transcribe(self, _samples: Samples, **options: Any) -> tuple[list[Any], None]:
        self.asked.append(options["word_timestamps"])
        times = [(0.0, 20.0)] if not self.asked[-1] else [(0.0, 12.0), (12.0, 20.0)]
        words = [SimpleNamespace(start=0.0, end=1.0, word="네", probability=0.5)]
        return [
            SimpleNamespace(
                start=start,
                end=end,
                text=self.text,
                tokens=[1] * self.tokens,
                avg_logprob=-0.1,
                words=words if self.asked[-1] else None,
            )
            for start, end in times
        ], None


@pytest.mark.parametrize(
    ("tokens", "text", "words", "asked"),
    [
        (100, "네, 알겠습니다.", False, [False]),
        (223, "네, 알겠습니다.", False, [False, True]),
        (223, "네, 알겠습니다.", True, [True]),
        (223, "네 " * 200, False, [False]),
    ],
    ids=["usual", "cut", "cut with words", "a loop"],
)
def test_a_text_that_stops_at_the_limit_goes_on_where_its_last_word_ends(
    tokens: int, text: str, words: bool, asked: list[bool]
) -> None:
    library = StubLibrary(tokens, text)
    long = replace(chunk(20.0), words=words)
    (said,) = SequentialPipeline(library, 1, 5).transcribe([long])
    assert isinstance(said, ChunkResult)
    assert library.asked == asked
    assert [one.end for one in said.segments] == ([12.0, 20.0] if asked[-1] else [20.0])
    assert all(bool(one.words) == words for one in said.segments)
