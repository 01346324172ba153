"""The single-stream pipeline: when it is used, and why it is not."""

from __future__ import annotations

import gc
import re
import resource
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stt_engine.backends.base import ChunkResult, SpeechChunk
from stt_engine.backends.faster_whisper.batched import (
    BatchedPipeline,
    LowConfidence,
)
from stt_engine.backends.faster_whisper.decoder import (
    DecodedTokens,
)
from stt_engine.backends.faster_whisper.model import FasterWhisper
from stt_engine.backends.faster_whisper.openvino import encoder, single_stream
from stt_engine.backends.faster_whisper.openvino.decoder_graph import Vocabulary
from stt_engine.backends.faster_whisper.openvino.encoder import FORMS, possible_form
from stt_engine.backends.faster_whisper.openvino.graph import OpenVinoUnavailable
from stt_engine.backends.faster_whisper.openvino.single_stream import check_agreement
from tests.support.openvino_decoding import BEAM_SIZE, WORDS
from tests.support.units import needs_library, needs_units


# A road of its own for a stretch that is alone ---------------------------------------------
def _job(folder: Path, **changes: object) -> dict[str, Any]:
    job = {"folder": str(folder), "device": "cpu", "compute_type": "auto", "beam_size": BEAM_SIZE}
    return {**job, "encoder": "auto", "decoding": "batched", **changes}


@pytest.fixture(scope="module")
def model(whisper_base: Path) -> FasterWhisper:
    return _prepared(_job(whisper_base))


def _prepared(job: dict[str, Any]) -> FasterWhisper:
    """Load, and wait for the road that is built beside the work."""
    model = FasterWhisper(job)
    if model.alone is not None:
        model.alone.wait()
    return model


def _pipeline(model: FasterWhisper) -> BatchedPipeline:
    assert model.alone is not None
    pipeline, _ = model.alone.now()
    assert pipeline is not None
    return pipeline


@needs_units
def test_one_stretch_is_heard_by_openvino_and_several_are_not(
    model: FasterWhisper, clip: SpeechChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = _pipeline(model)
    heard: list[int] = []
    transcribe = pipeline.transcribe
    monkeypatch.setattr(
        pipeline, "transcribe", lambda asked: heard.append(len(asked)) or transcribe(asked)
    )
    (one,) = model.transcribe([clip])
    both = model.transcribe([clip, clip])
    assert heard == [1]
    form = possible_form("cpu")
    assert one.facts["alone"]["decoder"] == "openvino-int8-f32"
    assert one.facts["alone"]["encoder"] == f"openvino-{form}"
    assert [said.facts for said in both] == [{}, {}]
    for said in (one, *both):
        assert said.low_confidence == ()
        text = "".join(part.text for part in said.segments)
        assert " ".join(re.findall("[a-z]+", text.lower())) == WORDS


@needs_library
@pytest.mark.parametrize("units", FORMS)
def test_there_is_such_a_road_in_every_form(
    whisper_base: Path, clip: SpeechChunk, monkeypatch: pytest.MonkeyPatch, units: str
) -> None:
    """With the units that this CPU lacks it is slow, and right."""
    monkeypatch.setattr(encoder, "cpu_units", lambda: units)
    model = _prepared(_job(whisper_base))
    (said,) = model.transcribe([clip])
    assert said.facts["alone"]["encoder"] == f"openvino-{FORMS[units]}"
    assert said.facts["alone"]["decoder"] == "openvino-int8-f32"
    assert {one.pipeline for one in said.segments} == {"single-stream"}
    text = "".join(part.text for part in said.segments)
    assert " ".join(re.findall("[a-z]+", text.lower())) == WORDS
    assert said.low_confidence == ()


@needs_units
def test_words_have_their_times_there_too(model: FasterWhisper, clip: SpeechChunk) -> None:
    (said,) = model.transcribe([SpeechChunk(clip.samples, "en", "transcribe", words=True)])
    words = [word for part in said.segments for word in part.words or ()]
    assert len(words) == len(WORDS.split())
    times = [time for start, end, *_ in words for time in (start, end)]
    assert times == sorted(times)


@needs_units
def test_what_openvino_stumbles_over_is_heard_by_the_sequential_road(
    model: FasterWhisper, clip: SpeechChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = _pipeline(model)

    def fails(*_: object) -> list[DecodedTokens]:
        raise RuntimeError("OpenVINO said no")

    monkeypatch.setattr(pipeline._decoder, "decode", fails)
    (said,) = model.transcribe([clip])
    (doubt,) = said.low_confidence
    assert "OpenVINO said no" in doubt
    assert said.segments


@needs_units
def test_a_decoder_that_disagrees_is_not_used_and_the_reason_is_told(
    whisper_base: Path, clip: SpeechChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = Vocabulary.embedded

    def shifted(self: Any, tokens: Any) -> Any:
        return embedded(self, tokens - 1)

    monkeypatch.setattr(Vocabulary, "embedded", shifted)
    model = _prepared(_job(whisper_base))
    (said,) = model.transcribe([clip])
    assert set(said.facts) == {"alone_reason"}
    assert re.search("does not agree|could not be compared", said.facts["alone_reason"])
    assert said.low_confidence == ()


def test_openvino_is_not_used_where_ctranslate2_is_asked_for(whisper_base: Path) -> None:
    assert FasterWhisper(_job(whisper_base, encoder="ctranslate2")).alone is None


@needs_units
def test_nothing_is_rounded_where_float32_is_asked_for(whisper_base: Path) -> None:
    model = FasterWhisper(_job(whisper_base, compute_type="float32"))
    assert model.alone is None
    assert model.facts["compute_type"] == "float32"
    assert model.facts["encoder_reason"] == "the compute type is float32"


@needs_units
def test_until_that_road_is_there_a_stretch_is_heard_as_the_others_are(
    whisper_base: Path, clip: SpeechChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, prove = threading.Event(), single_stream.SingleStream._proved

    def late(self: single_stream.SingleStream) -> Any:
        assert built.wait(60)
        return prove(self)

    monkeypatch.setattr(single_stream.SingleStream, "_proved", late)
    model = FasterWhisper(_job(whisper_base))
    assert model.alone is not None
    try:
        (before,) = model.transcribe([clip])
    finally:
        built.set()
        model.alone.wait()
    assert before.facts == {"alone_reason": "it is still being prepared"}
    assert before.low_confidence == ()
    (after,) = model.transcribe([clip])
    assert set(after.facts) == {"alone"}
    assert [one.text for one in after.segments] == [one.text for one in before.segments]


@needs_units
def test_a_defect_in_building_it_is_told_and_costs_nothing_else(
    whisper_base: Path, clip: SpeechChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: object, **__: object) -> None:
        raise KeyError("a name")

    monkeypatch.setattr(single_stream, "special_tokens", defect)
    (said,) = _prepared(_job(whisper_base)).transcribe([clip])
    assert "a name" in said.facts["alone_reason"]
    assert said.low_confidence == ()
    assert said.segments


@needs_units
def test_a_building_that_failed_keeps_nothing_in_memory(
    whisper_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error's traceback holds the weights; in a cycle they stayed until the next collection."""
    raised: list[weakref.ref[BaseException]] = []

    class Failed(KeyError):
        """Can be referred to weakly."""

    def defect(*_: object, **__: object) -> None:
        error = Failed("a name")
        raised.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error  # else the traceback's own frame holds it

    monkeypatch.setattr(single_stream, "special_tokens", defect)
    gc.disable()
    try:
        model = _prepared(_job(whisper_base))
        assert [one() for one in raised] == [None]
    finally:
        gc.enable()
    assert model.alone is not None


@needs_units
@pytest.mark.parametrize("ceiling", [1 << 50, resource.RLIM_INFINITY])
def test_under_a_ceiling_of_memory_nothing_is_built_beside_a_call(
    whisper_base: Path, monkeypatch: pytest.MonkeyPatch, ceiling: int
) -> None:
    may_end, prove = threading.Event(), single_stream.SingleStream._proved

    def late(self: single_stream.SingleStream) -> Any:
        may_end.wait(1)
        return prove(self)

    monkeypatch.setattr(single_stream.SingleStream, "_proved", late)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (ceiling, ceiling))
    model = FasterWhisper(_job(whisper_base))
    assert model.alone is not None
    built, _ = model.alone.now()
    may_end.set()
    model.alone.wait()
    assert (built is not None) == (ceiling != resource.RLIM_INFINITY)


def _answers(text: str, confidence: float) -> Any:
    part = SimpleNamespace(text=text, confidence=confidence)
    return SimpleNamespace(transcribe=lambda _asked: [ChunkResult((part,))])


@pytest.mark.parametrize(
    ("found", "good"),
    [(("a", 0.85), True), (("b", 0.9), False), (("a", 0.6), False)],
    ids=["close", "other words", "other confidence"],
)
def test_roads_agree_about_words_and_confidence(found: tuple[str, float], good: bool) -> None:
    reference = _answers("a", 0.9)
    if good:
        check_agreement(_answers(*found), reference)
        return
    with pytest.raises(OpenVinoUnavailable, match="does not agree"):
        check_agreement(_answers(*found), reference)


def test_a_doubt_proves_nothing() -> None:
    doubting: Any = SimpleNamespace(transcribe=lambda _asked: [LowConfidence("low_probability")])
    with pytest.raises(OpenVinoUnavailable, match="could not be compared"):
        check_agreement(doubting, _answers("a", 0.9))
