"""The fast road through real weights, and what happens to an answer that it doubts."""

from __future__ import annotations

import re
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_engine.backends import batched, faster_whisper
from stt_engine.backends.batched import (
    BatchedRoad,
    Doubt,
    Features,
    token_cap,
    with_equal_silence,
)
from stt_engine.backends.decoders import NativeDecoder
from stt_engine.backends.faster_whisper import MOST_TOKENS, PAYS, FasterWhisper, SequentialRoad
from stt_engine.backends.hearing import Hearing
from stt_engine.backends.model import LATE_SEC, Said, Stretch
from stt_engine.backends.openvino_encoder import Form
from stt_engine.backends.openvino_graph import OpenVinoUnavailable
from stt_engine.backends.vad import Samples, speech_spans
from stt_engine.errors import DeviceUnavailable, OutOfMemory
from stt_engine.speech import SAMPLE_RATE
from tests.conftest import REPOSITORY

WORDS = "this is a test of the speech recognition service"
WIDTH = 512
"""Of Whisper base's states."""


def _loaded(folder: Path, **changes: object) -> FasterWhisper:
    job = {
        "folder": str(folder),
        "device": "cpu",
        "compute_type": "int8",
        "beam_size": 5,
        "encoder": "ctranslate2",
        "decoding": "batched",
    }
    found = faster_whisper.load({**job, **changes})
    assert isinstance(found, FasterWhisper)
    return found


@pytest.fixture(scope="module")
def model(whisper_base: Path) -> FasterWhisper:
    return _loaded(whisper_base)


@pytest.fixture(scope="module")
def library(model: FasterWhisper) -> Any:
    """faster-whisper's own model."""
    return model._library


@pytest.fixture(scope="module")
def fast(model: FasterWhisper) -> BatchedRoad:
    road = model._roads[0]
    assert isinstance(road, BatchedRoad)
    return road


@pytest.fixture(scope="module")
def plain(model: FasterWhisper) -> SequentialRoad:
    road = model._roads[-1]
    assert isinstance(road, SequentialRoad)
    return road


def _canary() -> Samples:
    with wave.open(str(REPOSITORY / "src/stt_engine/assets/canary.wav")) as clip:
        raw = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
    return raw.astype(np.float32) / 32_768


@pytest.fixture(scope="module")
def canary() -> Stretch:
    return Stretch(_canary(), "en", "transcribe")


@pytest.fixture(scope="module")
def call(sample_call: Path) -> list[Stretch]:
    """What is said in the sample call: 19 stretches of two to seven seconds."""
    with av.open(str(sample_call)) as file:
        resampler = av.AudioResampler("fltp", "stereo", SAMPLE_RATE)
        frames = [
            part.to_ndarray()
            for frame in file.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    return [
        Stretch(np.ascontiguousarray(channel[start:end]), "en", "transcribe")
        for channel in np.concatenate(frames, axis=1).astype(np.float32)
        for start, end in speech_spans(channel)
    ]


def _text(answer: object) -> str:
    assert isinstance(answer, Said), answer
    return "".join(one.text for one in answer.segments)


def _words(answer: object) -> str:
    return " ".join(re.findall(r"[a-z']+", _text(answer).lower()))


# The same words, whoever is heard beside them ---------------------------------------------


def test_the_clip_is_heard(model: FasterWhisper, canary: Stretch) -> None:
    (said,) = model.hear([canary])
    assert _words(said) == WORDS
    assert said.doubts == ()
    assert all(one.words is None for one in said.segments)
    assert all(0.5 < (one.confidence or 0) <= 1 for one in said.segments)
    assert said.segments[0].start == 0
    assert 2 < said.segments[-1].end <= canary.seconds + LATE_SEC


def test_the_clip_is_heard_the_same_among_others_of_other_lengths_and_languages(
    fast: BatchedRoad, canary: Stretch, call: list[Stretch]
) -> None:
    kinds = [("en", "transcribe"), ("de", "transcribe"), ("ko", "translate")]
    others = [
        replace(one, language=kinds[at % 3][0], task=kinds[at % 3][1])
        for at, one in enumerate(call[:15])
    ]
    others[4] = replace(others[4], samples=np.concatenate([one.samples for one in call[:5]]))
    for place in (0, 9):
        found = fast.hear([*others[:place], canary, *others[place:]])
        assert len(found) == 16
        assert _words(found[place]) == WORDS


def test_each_gets_its_own_words_in_the_order_it_was_asked(
    model: FasterWhisper, call: list[Stretch]
) -> None:
    """Not to the letter: how much silence follows a stretch depends on the longest beside it."""
    together = model.hear(call)
    alone = [model.hear([one])[0] for one in call]
    for one, other in zip(together, alone, strict=True):
        likeness = SequenceMatcher(None, _words(one).split(), _words(other).split()).ratio()
        assert likeness > 0.8, (_text(one), _text(other))


def test_the_same_stretches_give_the_same_answers(fast: BatchedRoad, call: list[Stretch]) -> None:
    """Whichever of the threads hears them."""
    found = [fast.hear(call[10:18]) for _ in range(2)]
    assert found[0] == found[1]


def test_nothing_to_hear_is_no_answers(model: FasterWhisper) -> None:
    assert model.hear([]) == []


def test_the_language_is_found(model: FasterWhisper, canary: Stretch) -> None:
    assert model.detect(canary.samples) == "en"


def test_words_on_request_have_their_times(
    fast: BatchedRoad, canary: Stretch, call: list[Stretch]
) -> None:
    asked = [replace(one, words=at != 2) for at, one in enumerate([canary, *call[:6]])]
    found = fast.hear(asked)
    for stretch, answer in zip(asked, found, strict=True):
        assert isinstance(answer, Said)
        assert answer.segments
        for segment in answer.segments:
            if not stretch.words:
                assert segment.words is None
                continue
            assert segment.words
            assert "".join(word for _, _, word, _ in segment.words) == segment.text
            assert all(0 <= probability <= 1 for *_, probability in segment.words)
            assert segment.start <= segment.words[0][0]
        times = [
            time
            for one in answer.segments
            for word in one.words or ((one.start, one.end, "", 1.0),)
            for time in word[:2]
        ]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= stretch.seconds


# Doubts -----------------------------------------------------------------------------------


@dataclass
class StubDecoder:
    """In place of CTranslate2's model: generates what ``says`` gives, and notes its arguments."""

    says: Callable[[int], Any]
    is_multilingual: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)

    def generate(self, encoded: Any, prompts: list[list[int]], **options: Any) -> list[Any]:
        self.asked.append({"shape": list(encoded.shape), "prompts": prompts, **options})
        return [self.says(at) for at in range(len(prompts))]


class StubEncoder:
    facts: dict[str, Any]

    def __init__(self) -> None:
        self.facts = {"encoder": "stub"}
        self.frames: list[int] = []

    def encode(self, features: Features) -> Features:
        self.frames.append(features.shape[-1])
        return np.zeros((1, features.shape[-1] // 2, WIDTH), np.float32)


def _said(tokens: list[int], *, score: float = -0.1, silent: float = 0.0) -> Any:
    return SimpleNamespace(sequences_ids=[tokens], scores=[score], no_speech_prob=silent)


def _road(library: Any, decoder: StubDecoder, workers: int = 1) -> BatchedRoad:
    """The fast road with the real tokenizer and features, and a stub in the weights' place."""
    stub = SimpleNamespace(
        model=decoder,
        hf_tokenizer=library.hf_tokenizer,
        feature_extractor=library.feature_extractor,
    )
    return BatchedRoad(stub, StubEncoder(), NativeDecoder(stub, 5), workers)


def _stretch(seconds: float, language: str = "ko", task: str = "transcribe") -> Stretch:
    return Stretch(np.zeros(round(seconds * SAMPLE_RATE), np.float32), language, task)


@pytest.fixture(scope="module")
def tokens(fast: BatchedRoad) -> Callable[..., list[int]]:
    """Give the tokens of a text between two times."""
    tokenizer = fast._tokenizer(_stretch(1.0))

    def of(text: str, start: float = 0.0, end: float = 2.0) -> list[int]:
        first, last = (tokenizer.timestamp_begin + round(one / 0.02) for one in (start, end))
        return [first, *tokenizer.encode(text), last]

    return of


Tokens = Callable[..., list[int]]


def test_an_ordinary_answer_is_not_doubted(library: Any, tokens: Tokens) -> None:
    road = _road(library, StubDecoder(lambda _at: _said(tokens("안녕하세요", 0.5, 2.5))))
    (said,) = road.hear([_stretch(3.0)])
    assert isinstance(said, Said)
    (one,) = said.segments
    assert (one.start, one.end, one.text, said.doubts) == (0.5, 2.5, "안녕하세요", ())


DOUBTS: dict[str, tuple[str, Callable[[Tokens], Any]]] = {
    "improbable": ("low_probability", lambda of: _said(of("무엇"), score=-1.5)),
    "endless": ("too_many_tokens", lambda of: _said([*of("네"), *([of("네")[1]] * 200)])),
    "late": ("impossible_times", lambda of: _said(of("시청해주셔서", 12.0, 14.0))),
    "again and again": ("repetition_loop", lambda of: _said(of("네 네 네 " * 12))),
}


@pytest.mark.parametrize("kind", DOUBTS)
def test_what_is_doubted_and_why(library: Any, tokens: Tokens, kind: str) -> None:
    reason, says = DOUBTS[kind]
    road = _road(library, StubDecoder(lambda _at: says(tokens)))
    assert road.hear([_stretch(5.0)]) == [Doubt(reason)]


def test_an_improbable_answer_to_silence_is_silence(library: Any, tokens: Tokens) -> None:
    says = _said(tokens("시청해주셔서 감사합니다"), score=-1.5, silent=0.9)
    assert _road(library, StubDecoder(lambda _at: says)).hear([_stretch(5.0)]) == [Said()]


def test_no_tokens_are_nothing_said(library: Any) -> None:
    assert _road(library, StubDecoder(lambda _at: _said([]))).hear([_stretch(5.0)]) == [Said()]


def test_one_doubtful_stretch_leaves_its_group_alone(library: Any, tokens: Tokens) -> None:
    answers = [_said(tokens("네")), _said(tokens("무엇"), score=-1.5), _said(tokens("아니요"))]
    found = _road(library, StubDecoder(lambda at: answers[at])).hear([_stretch(5.0)] * 3)
    assert found[1] == Doubt("low_probability")
    assert [_text(found[0]), _text(found[2])] == ["네", "아니요"]


@pytest.mark.parametrize("error", [RuntimeError("CUBLAS said no"), ValueError("odd shape")])
def test_a_native_error_is_a_doubt_about_the_whole_group(library: Any, error: Exception) -> None:
    def breaks(_at: int) -> Any:
        raise error

    found = _road(library, StubDecoder(breaks)).hear([_stretch(5.0)] * 2)
    assert len(found) == 2
    for one in found:
        assert isinstance(one, Doubt)
        assert str(error) in one.reason


def test_a_native_error_in_one_group_costs_the_other_nothing(library: Any, tokens: Tokens) -> None:
    decoder = StubDecoder(lambda _at: _said(tokens("네")))

    def says(_at: int) -> Any:
        if len(decoder.asked[-1]["prompts"]) == 1:  # the long one is in a group of its own
            raise RuntimeError("something")
        return _said(tokens("네"))

    decoder.says = says
    road = _road(library, decoder, workers=2)
    road._pool = batched.ThreadPoolExecutor(1)  # one at a time, so that the last asked is it
    found = road.hear([_stretch(1.0), _stretch(24.0), _stretch(1.0)])
    assert isinstance(found[1], Doubt)
    assert [_text(found[0]), _text(found[2])] == ["네", "네"]


def test_a_native_error_of_the_encoder_is_a_doubt_too(library: Any, tokens: Tokens) -> None:
    """The sequential road needs no other library than CTranslate2."""
    road = _road(library, StubDecoder(lambda _at: _said(tokens("네"))))

    def encode(_features: Features) -> Features:
        raise RuntimeError("OpenVINO said no")

    road.encoder = SimpleNamespace(facts={}, encode=encode)
    found = road.hear([_stretch(5.0)] * 2)
    assert [type(one) for one in found] == [Doubt] * 2


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
        _road(library, StubDecoder(breaks)).hear([_stretch(5.0)])


@pytest.mark.parametrize("kind", [*DOUBTS, "broken"])
def test_what_is_doubted_is_heard_again_by_the_sequential_road(
    model: FasterWhisper,
    library: Any,
    plain: SequentialRoad,
    canary: Stretch,
    tokens: Tokens,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    def says(_at: int) -> Any:
        if kind == "broken":
            raise RuntimeError("something")
        return DOUBTS[kind][1](tokens)

    asked: list[int] = []

    class Counting(SequentialRoad):
        def __init__(self) -> None:
            pass

        def hear(self, stretches: Sequence[Stretch]) -> list[Said | Doubt]:
            asked.append(len(stretches))
            return plain.hear(stretches)

    monkeypatch.setattr(model, "_roads", [_road(library, StubDecoder(says)), Counting()])
    (said,) = model.hear([canary])
    assert asked == [1]
    assert _words(said) == WORDS
    (doubt,) = said.doubts
    assert doubt == DOUBTS[kind][0] if kind in DOUBTS else "something" in doubt
    assert (replace(said, doubts=()),) == tuple(plain.hear([canary]))


def test_only_what_is_doubted_is_heard_again_and_the_order_stays(
    model: FasterWhisper,
    library: Any,
    canary: Stretch,
    tokens: Tokens,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [_said(tokens("하나")), _said(tokens("?"), score=-2.0), _said(tokens("셋"))]
    road = _road(library, StubDecoder(lambda at: answers[at]))
    asked: list[Sequence[Stretch]] = []
    plain = model._roads[-1]

    def hear(stretches: Sequence[Stretch]) -> Sequence[Said | Doubt]:
        asked.append(stretches)
        return plain.hear(stretches)

    second = SimpleNamespace(name="sequential", hear=hear)
    monkeypatch.setattr(model, "_roads", [road, second])
    same = replace(canary, language="ko")
    found = model.hear([same, canary, same])
    assert [_text(found[0]), _text(found[2])] == ["하나", "셋"]
    assert [one.doubts for one in found] == [(), ("low_probability",), ()]
    assert _words(found[1]) == WORDS
    assert [list(one) for one in asked] == [[canary]]


def test_memory_that_ran_out_reaches_whose_step_it_is(
    model: FasterWhisper, library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_at: int) -> Any:
        raise RuntimeError("std::bad_alloc")

    monkeypatch.setattr(model, "_roads", [_road(library, StubDecoder(breaks)), model._roads[-1]])
    item = hearing_item(_stretch(5.0))
    with pytest.raises(OutOfMemory):
        Hearing(model, lambda _jobs: None)._ask([item])
    assert item.said is None


def hearing_item(stretch: Stretch) -> Any:
    return SimpleNamespace(stretch=stretch, said=None)


def test_the_sequential_road_never_doubts(
    plain: SequentialRoad, canary: Stretch, call: list[Stretch]
) -> None:
    rng = np.random.default_rng(7)
    noise = Stretch(rng.normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32), "ko", "transcribe")
    found = plain.hear([noise, _stretch(1.0), canary, replace(call[0], task="translate")])
    assert [type(one) for one in found] == [Said] * 4
    assert _words(found[2]) == WORDS


def test_a_model_may_begin_with_the_sequential_road(
    model: FasterWhisper, whisper_base: Path, canary: Stretch
) -> None:
    found = _loaded(whisper_base, decoding="sequential")
    assert found.facts["parameters"]["decoding"] == ["sequential"]
    assert model.facts["parameters"]["decoding"] == ["batched", "sequential"]
    (said,) = found.hear([canary])
    assert (_words(said), said.doubts) == (WORDS, ())


# What is asked of the weights -------------------------------------------------------------


@given(st.floats(0, 30), st.floats(0, 30))
def test_the_cap_grows_with_the_stretch_and_never_exceeds_half_of_whispers_text(
    one: float, other: float
) -> None:
    short, long = sorted((one, other))
    assert 0 < token_cap(short) <= token_cap(long) <= 224
    assert token_cap(long) >= min(224, 8 * long), "hardly anybody speaks faster"
    assert token_cap(long, MOST_TOKENS) >= min(224, 14 * long), "nobody speaks faster"


def test_the_cap_is_reached_in_the_real_decoder(
    fast: BatchedRoad, canary: Stretch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It generates as many tokens as the cap says: fewer would be taken for the whole."""
    monkeypatch.setattr(batched, "token_cap", lambda *_: 7)
    assert fast.hear([canary]) == [Doubt("too_many_tokens")]


def test_each_stretch_has_its_own_language_and_task(library: Any, tokens: Tokens) -> None:
    decoder = StubDecoder(lambda _at: _said(tokens("네")))
    stretches = [
        _stretch(5.0, language, task)
        for language, task in (("ko", "transcribe"), ("en", "transcribe"), ("ja", "translate"))
    ]
    _road(library, decoder).hear(stretches)
    (asked,) = decoder.asked
    decoded = [
        [library.hf_tokenizer.id_to_token(token) for token in prompt] for prompt in asked["prompts"]
    ]
    assert decoded == [
        ["<|startoftranscript|>", f"<|{one.language}|>", f"<|{one.task}|>"] for one in stretches
    ]
    assert asked["max_length"] == 2 * token_cap(5.0)
    assert asked["beam_size"] == 5


def test_each_is_encoded_with_its_own_silence_and_decoded_at_one_length(
    library: Any, tokens: Tokens
) -> None:
    decoder = StubDecoder(lambda _at: _said(tokens("네")))
    road = _road(library, decoder)
    encoder = road.encoder
    assert isinstance(encoder, StubEncoder)
    encoder.frames.clear()
    road.hear([_stretch(2.0), _stretch(3.011)])
    assert sorted(encoder.frames) == [550, 652], "three and a half seconds more, in whole states"
    assert decoder.asked[-1]["shape"] == [2, 326, WIDTH]
    encoder.frames.clear()
    road.hear([_stretch(27.0), _stretch(28.0), _stretch(29.0), _stretch(30.0)])
    assert encoder.frames == [3000] * 4, "no more than the window"
    shapes = [asked["shape"] for asked in decoder.asked[-2:]]
    assert shapes == [[2, 1500, WIDTH]] * 2, "all in one group would be too much"


@given(st.lists(st.integers(250, 320), min_size=1, max_size=4))
def test_silence_is_made_equal_and_what_was_encoded_stays(lengths: list[int]) -> None:
    rng = np.random.default_rng(7)
    encoded = [rng.random((1, length, 3), np.float32) for length in lengths]
    found = with_equal_silence(encoded)
    assert found.shape == (len(lengths), max(lengths), 3)
    for states, joined in zip(encoded, found, strict=True):
        own, added = joined[: states.shape[1]], joined[states.shape[1] :]
        assert np.array_equal(own, states[0])
        last_second = {row.tobytes() for row in states[0, -50:]}
        assert all(row.tobytes() in last_second for row in added)


# Whose encoder ----------------------------------------------------------------------------


def test_ctranslate2s_own_encoder_is_taken_where_it_is_asked_for(
    whisper_base: Path, canary: Stretch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faster_whisper, "open_encoder", lambda *_, **__: pytest.fail("opened"))
    found = _loaded(whisper_base)
    assert found.facts["encoder"] == "ctranslate2"
    assert "encoder_reason" not in found.facts
    assert _words(found.hear([canary])[0]) == WORDS


def _unavailable(*_: object, **__: object) -> None:
    raise OpenVinoUnavailable("the CPU has no such units")


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU with which the other encoder pays, whatever this one has."""
    monkeypatch.setattr(faster_whisper, "possible_form", lambda *_: PAYS)


@pytest.mark.usefixtures("units")
def test_where_the_other_encoder_cannot_be_had_the_reason_is_told(
    whisper_base: Path, canary: Stretch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faster_whisper, "open_encoder", _unavailable)
    found = _loaded(whisper_base, encoder="auto")
    assert found.facts["encoder"] == "ctranslate2"
    assert found.facts["encoder_reason"] == "the CPU has no such units"
    assert _words(found.hear([canary])[0]) == WORDS


@pytest.mark.usefixtures("units")
def test_an_encoder_that_was_asked_for_and_cannot_be_had_is_a_failure(
    whisper_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faster_whisper, "open_encoder", _unavailable)
    with pytest.raises(DeviceUnavailable, match="openvino: the CPU has no such units"):
        _loaded(whisper_base, encoder="openvino")


@pytest.mark.usefixtures("units")
def test_the_other_encoder_is_used_where_it_can_be_had(
    whisper_base: Path, library: Any, canary: Stretch, monkeypatch: pytest.MonkeyPatch
) -> None:
    native, used = batched.NativeEncoder(library), []

    class Other(StubEncoder):
        def encode(self, features: Features) -> Features:
            used.append(features.shape)
            return native.encode(features)

    monkeypatch.setattr(faster_whisper, "open_encoder", lambda *_, **__: Other())
    found = _loaded(whisper_base, encoder="auto")
    assert found.facts["encoder"] == "stub"
    used.clear()
    assert _words(found.hear([canary])[0]) == WORDS
    assert len(used) == 1


def test_for_many_stretches_openvino_is_used_only_where_it_is_faster(
    whisper_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faster_whisper, "possible_form", lambda *_: Form("int8", "f32"))
    monkeypatch.setattr(faster_whisper, "open_encoder", lambda *_, **__: StubEncoder())
    found = _loaded(whisper_base, encoder="auto")
    assert found.facts["encoder"] == "ctranslate2"
    assert found.facts["encoder_reason"] == "for one stretch only: for many, int8-f32 is no faster"


def test_silence_is_made_equal_by_its_own_last_second() -> None:
    short = np.arange(120, dtype=np.float32).reshape(1, 60, 2)
    long = np.zeros((1, 140, 2), np.float32)
    joined = batched.with_equal_silence([short, long])
    assert joined.shape == (2, 140, 2)
    assert (joined[0, :60] == short[0]).all()
    assert (joined[0, 60:110] == short[0, 10:]).all()
    assert (joined[0, 110:] == short[0, 10:40]).all()
    assert (joined[1] == long[0]).all()


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
    says = _said(tokens("네", 0.0, 0.4), score=score, silent=silent)
    (found,) = _road(library, StubDecoder(lambda _at: says)).hear([_stretch(seconds)])
    assert (found == Doubt("perhaps_no_speech")) is doubted
