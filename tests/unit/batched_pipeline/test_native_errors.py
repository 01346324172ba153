"""Errors of the native library in a batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stt_engine.backends.base import SpeechChunk
from stt_engine.backends.batching import DynamicBatcher
from stt_engine.backends.faster_whisper import batched
from stt_engine.backends.faster_whisper.batched import (
    Features,
    LowConfidence,
)
from stt_engine.backends.faster_whisper.model import (
    FasterWhisper,
)
from stt_engine.errors import OutOfMemory
from tests.support.batched_pipeline import (
    StubDecoder,
    Tokens,
    chunk,
    pipeline_of,
    said_of,
    text_of,
)


@pytest.mark.parametrize("error", [RuntimeError("CUBLAS said no"), ValueError("odd shape")])
def test_a_native_error_is_a_doubt_about_the_whole_group(library: Any, error: Exception) -> None:
    def breaks(_at: int) -> Any:
        raise error

    found = pipeline_of(library, StubDecoder(breaks)).transcribe([chunk(5.0)] * 2)
    assert len(found) == 2
    for one in found:
        assert isinstance(one, LowConfidence)
        assert str(error) in one.reason


def test_a_native_error_in_one_group_costs_the_other_nothing(library: Any, tokens: Tokens) -> None:
    decoder = StubDecoder(lambda _at: said_of(tokens("네")))

    def says(_at: int) -> Any:
        if len(decoder.asked[-1]["prompts"]) == 1:  # the long one is in a group of its own
            raise RuntimeError("something")
        return said_of(tokens("네"))

    decoder.says = says
    pipeline = pipeline_of(library, decoder, workers=2)
    pipeline._pool = batched.ThreadPoolExecutor(1)  # one at a time, so that the last asked is it
    found = pipeline.transcribe([chunk(1.0), chunk(24.0), chunk(1.0)])
    assert isinstance(found[1], LowConfidence)
    assert [text_of(found[0]), text_of(found[2])] == ["네", "네"]


def test_a_native_error_of_the_encoder_is_a_doubt_too(library: Any, tokens: Tokens) -> None:
    """The sequential pipeline needs no other library than CTranslate2."""
    pipeline = pipeline_of(library, StubDecoder(lambda _at: said_of(tokens("네"))))

    def encode(_features: Features) -> Features:
        raise RuntimeError("OpenVINO said no")

    pipeline.encoder = SimpleNamespace(facts={}, encode=encode)
    found = pipeline.transcribe([chunk(5.0)] * 2)
    assert [type(one) for one in found] == [LowConfidence] * 2


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (RuntimeError("std::bad_alloc"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (TypeError("a defect of ours"), TypeError),
    ],
)
def test_memory_and_defects_are_no_doubts(
    library: Any, error: Exception, named: type[Exception]
) -> None:
    """Where memory ran out a second try would need as much; a defect has to be seen."""

    def breaks(_at: int) -> Any:
        raise error

    with pytest.raises(named):
        pipeline_of(library, StubDecoder(breaks)).transcribe([chunk(5.0)])


def test_memory_that_ran_out_reaches_whose_step_it_is(
    model: FasterWhisper, library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_at: int) -> Any:
        raise RuntimeError("std::bad_alloc")

    monkeypatch.setattr(
        model, "_pipelines", [pipeline_of(library, StubDecoder(breaks)), model._pipelines[-1]]
    )
    item = hearing_item(chunk(5.0))
    with pytest.raises(OutOfMemory):
        DynamicBatcher(model, lambda _jobs: None)._transcribe([item], shared=False)
    assert item.result is None


def hearing_item(chunk: SpeechChunk) -> Any:
    return SimpleNamespace(chunk=chunk, result=None)
