"""The decoder in OpenVINO: the same graph as CTranslate2's, proved on real weights."""

from __future__ import annotations

import gc
import re
import resource
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel

from stt_engine.backends import alone, openvino_encoder
from stt_engine.backends.alone import check_agreement
from stt_engine.backends.batched import BatchedRoad, Doubt, NativeEncoder, with_equal_silence
from stt_engine.backends.decoder_graph import Vocabulary
from stt_engine.backends.decoders import (
    Decoded,
    NativeDecoder,
    Numbers,
    special_tokens,
    tokenizer_of,
)
from stt_engine.backends.faster_whisper import FasterWhisper
from stt_engine.backends.model import Said, Stretch
from stt_engine.backends.openvino_decoder import OpenVinoDecoder
from stt_engine.backends.openvino_encoder import FORMS, known_samples, possible_form
from stt_engine.backends.openvino_graph import OpenVinoUnavailable, Rows
from stt_engine.speech import SAMPLE_RATE
from tests.support.units import needs_library, needs_units

BEAM_SIZE = 5
MOST = 60
WORDS = "this is a test of the speech recognition service"


@pytest.fixture(scope="module")
def library(whisper_base: Path) -> Any:
    """In float32: CTranslate2's own int8 is further from it than what is tried here."""
    return WhisperModel(
        str(whisper_base),
        device="cpu",
        compute_type="float32",
        cpu_threads=2,
        local_files_only=True,
    )


@pytest.fixture(scope="module")
def exact(library: Any, whisper_base: Path) -> OpenVinoDecoder:
    return OpenVinoDecoder(whisper_base, special_tokens(library), beam_size=BEAM_SIZE, threads=2)


@pytest.fixture(scope="module")
def native(library: Any) -> NativeDecoder:
    return NativeDecoder(library, BEAM_SIZE)


@pytest.fixture(scope="module")
def states(library: Any, native: NativeDecoder) -> Numbers:
    """What the encoder makes of a whole clip, its halves, noise and nothing: of one length."""
    road = BatchedRoad(library, NativeEncoder(library), native, 1)
    clip = known_samples()
    noise = np.random.default_rng(7).normal(0, 0.05, SAMPLE_RATE).astype(np.float32)
    half = len(clip) // 2
    sounds = [clip, noise, clip[:half], np.zeros(SAMPLE_RATE, np.float32), clip[half:]]
    return with_equal_silence([road.encoder.encode(road._features(one)) for one in sounds])


@pytest.fixture(scope="module")
def prompt(library: Any) -> list[int]:
    return list(tokenizer_of(library, "en", "transcribe").sot_sequence)


def _text(library: Any, decoded: Decoded) -> str:
    text = tokenizer_of(library, "en", "transcribe").decode(decoded.tokens)
    return " ".join(re.findall("[a-z]+", text.lower()))


@needs_library
def test_speech_is_decoded_as_by_ctranslate2(
    library: Any,
    exact: OpenVinoDecoder,
    native: NativeDecoder,
    states: Numbers,
    prompt: list[int],
) -> None:
    places = [0, 2, 4]
    found = exact.decode(states[places], [prompt] * 3, MOST)
    wanted = native.decode(np.ascontiguousarray(states[places]), [prompt] * 3, MOST)
    assert _text(library, found[0]) == WORDS
    for one, other in zip(found, wanted, strict=True):
        assert one.tokens == other.tokens
        assert one.logprob == pytest.approx(other.logprob, abs=0.05)
        assert one.no_speech_prob == pytest.approx(other.no_speech_prob, abs=0.02)


@needs_library
def test_each_is_decoded_as_if_it_were_alone(
    exact: OpenVinoDecoder, states: Numbers, prompt: list[int]
) -> None:
    """Some are done before others, in no order: their sound is left out meanwhile."""
    together = exact.decode(states, [prompt] * len(states), MOST)
    assert len({len(one.tokens) for one in together}) > 2
    for at, one in enumerate(together):
        (alone,) = exact.decode(states[at : at + 1], [prompt], MOST)
        assert alone.tokens == one.tokens
        assert alone.logprob == pytest.approx(one.logprob, abs=1e-3)


@needs_library
@pytest.mark.parametrize("most", [1, 2])
def test_tokens_at_once_are_as_one_by_one(
    exact: OpenVinoDecoder, states: Numbers, prompt: list[int], most: int
) -> None:
    """Each token attends to those before it and to none after it, whatever came at once."""
    rows = np.arange(1)
    exact._begin(states[:1], np.array([prompt]))
    wanted = exact._scores(slice(len(prompt) - 1, None, len(prompt)))
    wanted = replace(wanted, text=wanted.text.copy(), times=wanted.times.copy())
    exact._step.reset_state()
    for position in range(0, len(prompt), most):
        part = prompt[position : position + most]
        exact._run(np.array([part]), rows, position)
    found = exact._scores(slice(len(part) - 1, None, len(part)))
    np.testing.assert_allclose(found.text, wanted.text, atol=0.3)
    np.testing.assert_allclose(found.times, wanted.times, atol=0.3)


@needs_library
def test_languages_and_tasks_may_differ_and_silence_is_known(
    library: Any, exact: OpenVinoDecoder, states: Numbers, prompt: list[int]
) -> None:
    german = list(tokenizer_of(library, "de", "transcribe").sot_sequence)
    found = exact.decode(states[[0, 0, 3]], [german, prompt, prompt], MOST)
    assert _text(library, found[1]) == WORDS
    assert found[0].tokens != found[1].tokens
    assert found[0].no_speech_prob == pytest.approx(found[1].no_speech_prob, abs=1e-4)
    assert found[2].no_speech_prob > found[1].no_speech_prob


@needs_library
@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_tokens_than_asked_for(
    exact: OpenVinoDecoder, states: Numbers, prompt: list[int], most: int
) -> None:
    (found,) = exact.decode(states[:1], [prompt], most)
    assert len(found.tokens) == most


def test_rows_are_rounded_to_the_nearest() -> None:
    rows = np.random.default_rng(3).normal(0, 0.1, (1_200, 64)).astype(np.float32)
    rows[5] = 0
    order = np.random.default_rng(4).permutation(len(rows))
    found = Rows.rounded(rows, order)
    assert np.all(found.scales > 0)
    assert np.abs(found.values * found.scales - rows[order]).max() <= found.scales.max() / 2 + 1e-6
    assert np.array_equal(found[7:9].values, found.values[7:9])


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


def _road(model: FasterWhisper) -> BatchedRoad:
    assert model.alone is not None
    road, _ = model.alone.now()
    assert road is not None
    return road


@pytest.fixture
def clip() -> Stretch:
    return Stretch(known_samples(), "en", "transcribe")


@needs_units
def test_one_stretch_is_heard_by_openvino_and_several_are_not(
    model: FasterWhisper, clip: Stretch, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = _road(model)
    heard: list[int] = []
    hear = road.hear
    monkeypatch.setattr(road, "hear", lambda asked: heard.append(len(asked)) or hear(asked))
    (one,) = model.hear([clip])
    both = model.hear([clip, clip])
    assert heard == [1]
    form = possible_form("cpu")
    assert one.facts["alone"]["decoder"] == "openvino-int8-f32"
    assert one.facts["alone"]["encoder"] == f"openvino-{form}"
    assert [said.facts for said in both] == [{}, {}]
    for said in (one, *both):
        assert said.doubts == ()
        text = "".join(part.text for part in said.segments)
        assert " ".join(re.findall("[a-z]+", text.lower())) == WORDS


@needs_library
@pytest.mark.parametrize("units", FORMS)
def test_there_is_such_a_road_in_every_form(
    whisper_base: Path, clip: Stretch, monkeypatch: pytest.MonkeyPatch, units: str
) -> None:
    """With the units that this CPU lacks it is slow, and right."""
    monkeypatch.setattr(openvino_encoder, "cpu_units", lambda: units)
    model = _prepared(_job(whisper_base))
    (said,) = model.hear([clip])
    assert said.facts["alone"]["encoder"] == f"openvino-{FORMS[units]}"
    assert said.facts["alone"]["decoder"] == "openvino-int8-f32"
    text = "".join(part.text for part in said.segments)
    assert " ".join(re.findall("[a-z]+", text.lower())) == WORDS
    assert said.doubts == ()


@needs_units
def test_words_have_their_times_there_too(model: FasterWhisper, clip: Stretch) -> None:
    (said,) = model.hear([Stretch(clip.samples, "en", "transcribe", words=True)])
    words = [word for part in said.segments for word in part.words or ()]
    assert len(words) == len(WORDS.split())
    times = [time for start, end, *_ in words for time in (start, end)]
    assert times == sorted(times)


@needs_units
def test_what_openvino_stumbles_over_is_heard_by_the_sequential_road(
    model: FasterWhisper, clip: Stretch, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = _road(model)

    def fails(*_: object) -> list[Decoded]:
        raise RuntimeError("OpenVINO said no")

    monkeypatch.setattr(road._decoder, "decode", fails)
    (said,) = model.hear([clip])
    (doubt,) = said.doubts
    assert "OpenVINO said no" in doubt
    assert said.segments


@needs_units
def test_a_decoder_that_disagrees_is_not_used_and_the_reason_is_told(
    whisper_base: Path, clip: Stretch, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = Vocabulary.embedded

    def shifted(self: Any, tokens: Any) -> Any:
        return embedded(self, tokens - 1)

    monkeypatch.setattr(Vocabulary, "embedded", shifted)
    model = _prepared(_job(whisper_base))
    (said,) = model.hear([clip])
    assert set(said.facts) == {"alone_reason"}
    assert re.search("does not agree|could not be compared", said.facts["alone_reason"])
    assert said.doubts == ()


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
    whisper_base: Path, clip: Stretch, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, prove = threading.Event(), alone.Alone._proved

    def late(self: alone.Alone) -> Any:
        assert built.wait(60)
        return prove(self)

    monkeypatch.setattr(alone.Alone, "_proved", late)
    model = FasterWhisper(_job(whisper_base))
    assert model.alone is not None
    try:
        (before,) = model.hear([clip])
    finally:
        built.set()
        model.alone.wait()
    assert before.facts == {"alone_reason": "it is still being prepared"}
    assert before.doubts == ()
    (after,) = model.hear([clip])
    assert set(after.facts) == {"alone"}
    assert [one.text for one in after.segments] == [one.text for one in before.segments]


@needs_units
def test_a_defect_in_building_it_is_told_and_costs_nothing_else(
    whisper_base: Path, clip: Stretch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: object, **__: object) -> None:
        raise KeyError("a name")

    monkeypatch.setattr(alone, "special_tokens", defect)
    (said,) = _prepared(_job(whisper_base)).hear([clip])
    assert "a name" in said.facts["alone_reason"]
    assert said.doubts == ()
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

    monkeypatch.setattr(alone, "special_tokens", defect)
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
    may_end, prove = threading.Event(), alone.Alone._proved

    def late(self: alone.Alone) -> Any:
        may_end.wait(1)
        return prove(self)

    monkeypatch.setattr(alone.Alone, "_proved", late)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (ceiling, ceiling))
    model = FasterWhisper(_job(whisper_base))
    assert model.alone is not None
    built, _ = model.alone.now()
    may_end.set()
    model.alone.wait()
    assert (built is not None) == (ceiling != resource.RLIM_INFINITY)


def _answers(text: str, confidence: float) -> Any:
    part = SimpleNamespace(text=text, confidence=confidence)
    return SimpleNamespace(hear=lambda _asked: [Said((part,))])


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
    doubting: Any = SimpleNamespace(hear=lambda _asked: [Doubt("low_probability")])
    with pytest.raises(OpenVinoUnavailable, match="could not be compared"):
        check_agreement(doubting, _answers("a", 0.9))
