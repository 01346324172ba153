"""Low-confidence chunks are transcribed again by the sequential pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stt_engine.backends.base import ChunkResult, SpeechChunk
from stt_engine.backends.faster_whisper.batched import (
    LowConfidence,
)
from stt_engine.backends.faster_whisper.model import (
    FasterWhisper,
    SequentialPipeline,
)
from stt_engine.speech import SAMPLE_RATE
from tests.support.batched_pipeline import (
    DOUBTS,
    WORDS,
    StubDecoder,
    Tokens,
    chunk,
    loaded,
    pipeline_of,
    said_of,
    text_of,
    words_of,
)


@pytest.fixture(scope="module")
def plain(model: FasterWhisper) -> SequentialPipeline:
    pipeline = model._pipelines[-1]
    assert isinstance(pipeline, SequentialPipeline)
    return pipeline


@pytest.mark.parametrize("kind", [*DOUBTS, "broken"])
def test_what_is_doubted_is_heard_again_by_the_sequential_road(
    model: FasterWhisper,
    library: Any,
    plain: SequentialPipeline,
    canary: SpeechChunk,
    tokens: Tokens,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    def says(_at: int) -> Any:
        if kind == "broken":
            raise RuntimeError("something")
        return DOUBTS[kind][1](tokens)

    asked: list[int] = []

    class Counting(SequentialPipeline):
        def __init__(self) -> None:
            pass

        def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult | LowConfidence]:
            asked.append(len(chunks))
            return plain.transcribe(chunks)

    monkeypatch.setattr(model, "_pipelines", [pipeline_of(library, StubDecoder(says)), Counting()])
    (said,) = model.transcribe([canary])
    assert asked == [1]
    assert words_of(said) == WORDS
    assert {one.pipeline for one in said.segments} == {"sequential"}
    (doubt,) = said.low_confidence
    assert doubt == DOUBTS[kind][0] if kind in DOUBTS else "something" in doubt
    assert (replace(said, low_confidence=()),) == tuple(plain.transcribe([canary]))


def test_only_what_is_doubted_is_heard_again_and_the_order_stays(
    model: FasterWhisper,
    library: Any,
    canary: SpeechChunk,
    tokens: Tokens,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [said_of(tokens("하나")), said_of(tokens("?"), score=-2.0), said_of(tokens("셋"))]
    pipeline = pipeline_of(library, StubDecoder(lambda at: answers[at]))
    asked: list[Sequence[SpeechChunk]] = []
    plain = model._pipelines[-1]

    def transcribe(chunks: Sequence[SpeechChunk]) -> Sequence[ChunkResult | LowConfidence]:
        asked.append(chunks)
        return plain.transcribe(chunks)

    second = SimpleNamespace(name="sequential", transcribe=transcribe)
    monkeypatch.setattr(model, "_pipelines", [pipeline, second])
    same = replace(canary, language="ko")
    found = model.transcribe([same, canary, same])
    assert [text_of(found[0]), text_of(found[2])] == ["하나", "셋"]
    assert [one.low_confidence for one in found] == [(), ("low_probability",), ()]
    through = [{segment.pipeline for segment in one.segments} for one in found]
    assert through == [{"batched"}, {"sequential"}, {"batched"}]
    assert words_of(found[1]) == WORDS
    assert [list(one) for one in asked] == [[canary]]


def test_the_sequential_road_never_doubts(
    plain: SequentialPipeline, canary: SpeechChunk, call: list[SpeechChunk]
) -> None:
    rng = np.random.default_rng(7)
    noise = SpeechChunk(rng.normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32), "ko", "transcribe")
    found = plain.transcribe([noise, chunk(1.0), canary, replace(call[0], task="translate")])
    assert [type(one) for one in found] == [ChunkResult] * 4
    assert words_of(found[2]) == WORDS


def test_a_model_may_begin_with_the_sequential_road(
    model: FasterWhisper, whisper_base: Path, canary: SpeechChunk
) -> None:
    found = loaded(whisper_base, decoding="sequential")
    assert found.facts["parameters"]["decoding"] == ["sequential"]
    assert model.facts["parameters"]["decoding"] == ["batched", "sequential"]
    (said,) = found.transcribe([canary])
    assert (words_of(said), said.low_confidence) == (WORDS, ())
