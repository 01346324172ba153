"""What all backends share, with a model of a few lines in place of the weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_engine.backends import recognition
from stt_engine.backends.loops import (
    MAX_COMPRESSION_RATIO,
    compression_ratio,
    is_suspect,
    looped,
)
from stt_engine.backends.model import Heard, Said, Stretch
from stt_engine.backends.native import native_errors
from stt_engine.backends.recognition import model_operations, pieces, recognise
from stt_engine.backends.vad import MAX_SPAN_SEC, speech_spans
from stt_engine.collected import Collected
from stt_engine.errors import (
    DeviceUnavailable,
    EmptyTranscript,
    EngineError,
    LanguageNotSupported,
    OutOfMemory,
    TranscriptionFailed,
)
from stt_engine.speech import SAMPLE_RATE, DecodedAudio, SpeechRequest
from tests.support.stub_model import EchoModel, FakeModel, channel_at, job_of, loud_spans

LOOP = "감사합니다. " * 40


@pytest.fixture(autouse=True)
def loud_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every stretch of samples that are not zero for speech, in place of Silero."""
    monkeypatch.setattr(recognition, "speech_spans", loud_spans)


def _steps(model: FakeModel, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give each step as the parent gets it: over a pipe, as JSON."""
    for step in recognise(model, model.facts, job):
        yield json.loads(json.dumps(step))


def _collected(job: dict[str, Any]) -> Collected:
    files = tuple(Path(name) for name in job["files"])
    duration = max(file.stat().st_size for file in files) / 2 / SAMPLE_RATE
    request = SpeechRequest(
        Path("a"), job["language"], job["translate"], job["words"], job["agent_channel"]
    )
    return Collected(request, DecodedAudio(Path("a"), duration, files))


def _told(so_far: Collected) -> dict[str, Any]:
    heard = so_far.transcript()
    return {
        **asdict(heard),
        "rejected": heard.provenance["rejected_segments"],
        "speech_sec": heard.provenance["speech_sec"],
    }


def _run(model: FakeModel, job: dict[str, Any]) -> dict[str, Any]:
    so_far = _collected(job)
    for step in _steps(model, job):
        so_far.add(step, 0.0)
    return _told(so_far)


# Pieces -----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.floats(0, 200),
    limit=st.floats(1, 90),
    seed=st.integers(0, 2**32 - 1),
    quiet=st.booleans(),
)
def test_pieces_cover_everything_in_order_and_none_is_too_long(
    seconds: float, limit: float, seed: int, quiet: bool
) -> None:
    total = int(seconds * SAMPLE_RATE)
    samples = np.zeros(total, np.int16)
    if not quiet:
        samples[:] = np.random.default_rng(seed).integers(-32_768, 32_767, total, np.int16)
    found = list(pieces(samples, limit))
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])][: len(found)]
    assert (found[-1][1] if found else 0) == total
    assert all(0 < end - start <= int(limit * SAMPLE_RATE) for start, end in found)


def test_no_samples_are_no_pieces() -> None:
    assert list(pieces(np.zeros(0, np.int16))) == []


def test_a_piece_is_cut_in_the_pause_and_not_in_a_word() -> None:
    samples = np.full(100 * SAMPLE_RATE, 5_000, np.int16)
    samples[50 * SAMPLE_RATE : 52 * SAMPLE_RATE] = 0
    (_, cut), *_ = pieces(samples, 60.0)
    assert 50 * SAMPLE_RATE <= cut <= 52 * SAMPLE_RATE


def test_a_long_call_is_heard_piece_by_piece_with_its_own_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "pieces", lambda raw: pieces(raw, 40.0))
    file = channel_at(tmp_path / "a", (5, 8), (45, 48), (85, 88), seconds=100)
    model = FakeModel([[Heard(0.5, 2.5, text)] for text in ("하나", "둘", "셋")])
    so_far = _collected(job_of(file))
    done = []
    for step in _steps(model, job_of(file)):
        so_far.add(step, 1.0)
        done.append(so_far.done_sec)
    found = _told(so_far)
    assert [(one["start"], one["end"], one["text"]) for one in found["segments"]] == [
        (5.5, 7.5, "하나"),
        (45.5, 47.5, "둘"),
        (85.5, 87.5, "셋"),
    ]
    assert done == sorted(done)
    assert done[-1] == so_far.work_sec == 100.0


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_job_that_goes_on_in_another_process_loses_and_repeats_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("resume")
    talks = [[(s, s + 1) for s in range(1, 30, gap)] for gap in data.draw(_GAPS)]
    files = [
        channel_at(folder / str(number), *spans, seconds=32) for number, spans in enumerate(talks)
    ]
    translate, language = data.draw(st.booleans()), data.draw(st.sampled_from(["ko", "auto"]))
    job = job_of(*files, translate=translate, language=language)
    together = data.draw(st.integers(1, 5))

    def model() -> FakeModel:
        return EchoModel(together=together)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recognition, "pieces", lambda raw: pieces(raw, 11.0))
        whole = _run(model(), job)
        so_far = _collected(job)
        while True:
            lives = data.draw(st.integers(1, 9))
            steps = list(islice(_steps(model(), so_far.job()), lives + 1))
            for step in steps[:lives]:
                so_far.add(step, 0.0)
            if len(steps) <= lives:
                break
            if lives == 1:  # the first step only tells who listens: no progress for ever
                so_far.add(steps[1], 0.0)
    assert _told(so_far) == whole
    assert so_far.done_sec == so_far.work_sec


_GAPS = st.lists(st.sampled_from([2, 3, 7]), min_size=1, max_size=2)


# Gates ------------------------------------------------------------------------------------


def test_an_ordinary_sentence_passes_the_gate_and_a_loop_does_not() -> None:
    assert (
        compression_ratio("네, 상담사 김민지입니다. 무엇을 도와드릴까요?") < MAX_COMPRESSION_RATIO
    )
    assert compression_ratio("네.") < MAX_COMPRESSION_RATIO
    assert compression_ratio(LOOP) > MAX_COMPRESSION_RATIO


@given(st.text(min_size=1, max_size=20), st.integers(60, 200))
def test_any_text_said_often_enough_is_a_loop(text: str, times: int) -> None:
    try:
        looped = (text * times).encode()
    except UnicodeEncodeError:  # a lone surrogate, which no tokenizer gives
        return
    assert compression_ratio(looped.decode()) > MAX_COMPRESSION_RATIO


def test_a_loop_over_many_segments_is_seen_and_what_was_said_before_it_stays() -> None:
    said = ["I don't think so.", "What do you want?", "Really?", *["To that law?"] * 6, "Yes."]
    assert looped(said) == {3, 4, 5, 6, 7, 8}


@pytest.mark.parametrize(
    "said",
    [
        ["여보세요?"] * 4,
        ["네, 네, 네, 네, 네, 네, 네."],
        ["감사합니다."] * 3,
        ["010-0000-0000입니다."],
        ["지금은 통화량이 많아 연결이 지연되고 있습니다. 잠시만 기다려 주시기 바랍니다."] * 2,
        ["This is a test of the speech recognition service."] * 4,
        ["This is a test. " * 2 + "And that was it."] * 3,
    ],
    ids=["hello", "yes", "thanks", "number", "announcement", "test", "tests"],
)
def test_what_people_and_announcements_repeat_is_no_loop(said: list[str]) -> None:
    assert looped(said) == set()


def test_a_sentence_five_times_on_end_is_a_loop_wherever_its_segments_end() -> None:
    """What a decoder made of many people speaking at once: 28 letters, again and again."""
    sentence = "The transplant is the place where"
    assert looped([sentence] * 5) == {0, 1, 2, 3, 4}
    assert looped(["Well.", *[f"{sentence} {sentence}"] * 3, "Yes."]) == {1, 2, 3}


def test_an_announcement_that_comes_twice_is_heard_again() -> None:
    twice = "지금은 통화량이 많아 연결이 지연되고 있습니다. 잠시만 더 기다려 주시기를 바랍니다." * 2
    assert is_suspect(twice)
    assert not is_suspect(twice[: len(twice) // 2])


@given(st.text("가나다 .", min_size=6, max_size=40), st.integers(0, 3), st.integers(0, 3))
def test_no_text_is_taken_for_a_loop_by_what_stands_beside_it(
    phrase: str, before: int, after: int
) -> None:
    beside = ["오늘 상담은 여기까지입니다."] * before, ["좋은 하루 보내세요."] * after
    found = looped([*beside[0], *[phrase] * 12, *beside[1]])
    assert found <= set(range(before, before + 12))
    if any(letter.isalnum() for letter in phrase):
        assert found == set(range(before, before + 12))


def test_a_loop_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (1, 4), (6, 9))
    model = FakeModel([[Heard(0, 3, "안녕하세요")], [Heard(0, 3, LOOP)]])
    found = _run(model, job_of(file))
    assert found["text"] == "안녕하세요"
    assert found["rejected"] == [
        {"start": 6.0, "end": 9.0, "channel": 0, "reason": "repetition_loop"}
    ]


def test_what_cannot_have_been_said_in_a_stretch_is_left_out_and_said_to_be(
    tmp_path: Path,
) -> None:
    file = channel_at(tmp_path / "a", (1, 4), (6, 9))
    late = Heard(20, 28, "시청해주셔서 감사합니다")
    model = FakeModel([[Heard(0, 30, "안녕하세요"), late], [Heard(3.5, 4.5, "네")]])
    found = _run(model, job_of(file))
    assert found["text"] == "안녕하세요 네"
    times = [(segment["start"], segment["end"]) for segment in found["segments"]]
    assert times == [(1.0, 4.0), (9.0, 9.0)], "no time beyond the speech"
    assert found["rejected"] == [
        {"start": 4.0, "end": 4.0, "channel": 0, "reason": "impossible_times"}
    ]


@pytest.mark.parametrize(
    ("doubts", "taken"),
    [
        ((), True),
        (("repetition_loop",), True),
        (("perhaps_no_speech",), False),
        (("low_probability",), False),
    ],
)
def test_a_sentence_that_comes_twice_is_rejected_where_there_may_be_no_words(
    tmp_path: Path, doubts: tuple[str, ...], taken: bool
) -> None:
    sentence = "지금은 통화량이 많아 연결이 지연되고 있습니다. 잠시만 더 기다려 주시기 바랍니다."
    file = channel_at(tmp_path / "a", (1, 4), (6, 16))

    class Unsure(FakeModel):
        def hear(self, stretches: Sequence[Stretch]) -> list[Said]:
            return [
                replace(said, doubts=doubts) if stretch.seconds > 5 else said
                for stretch, said in zip(stretches, super().hear(stretches), strict=True)
            ]

    twice = [Heard(0, 5, sentence), Heard(5, 10, sentence)]
    found = _run(Unsure([[Heard(0, 3, "안녕하세요")], twice]), job_of(file))
    assert len(found["segments"]) == (3 if taken else 1)
    assert [one["reason"] for one in found["rejected"]] == (
        [] if taken else ["repetition_loop"] * 2
    )


def test_nothing_but_loops_is_a_failure_and_no_silence(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (1, 4))
    with pytest.raises(EmptyTranscript, match="1 segments"):
        _run(FakeModel([[Heard(0, 3, LOOP)]]), job_of(file))


def test_blank_segments_are_no_speech(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (1, 4))
    found = _run(FakeModel([[Heard(0, 1, "  "), Heard(1, 2, "")]]), job_of(file))
    assert found["segments"] == ()
    assert found["text"] == ""
    assert found["rejected"] == []


def test_silence_never_reaches_the_model(tmp_path: Path) -> None:
    model = FakeModel([[Heard(0, 3, "시청해주셔서 감사합니다")]])
    found = _run(model, job_of(channel_at(tmp_path / "a"), language="auto"))
    assert model.asked == []
    assert model.detected == []
    assert found["segments"] == ()
    assert found["speech_sec"] == 0
    assert found["language"] == "auto"


class DoubtingModel(EchoModel):
    """Hears every third second of speech again."""

    def hear(self, stretches: Sequence[Stretch]) -> list[Said]:
        found = zip(stretches, super().hear(stretches), strict=True)
        return [
            replace(said, doubts=() if stretch.seconds % 3 else ("too_long", "too_loud"))
            for stretch, said in found
        ]


def test_what_was_heard_again_is_counted_by_its_reasons(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (0, 1), (2, 5), (6, 8), (9, 12))
    found = _run(DoubtingModel(), job_of(file))
    assert found["provenance"]["heard_again"] == {"too_long": 2, "too_loud": 2}
    assert len(found["segments"]) == 4
    assert _run(EchoModel(), job_of(file))["provenance"]["heard_again"] == {}


# Channels ---------------------------------------------------------------------------------


def test_two_channels_are_merged_by_time_and_named(tmp_path: Path) -> None:
    left = channel_at(tmp_path / "l", (0, 2), (8, 10))
    right = channel_at(tmp_path / "r", (3, 5), (12, 14))
    says = [[Heard(0, 2, text)] for text in ("여보세요", "네 고객님", "안녕하세요", "감사합니다")]
    found = _run(FakeModel(says), job_of(left, right))
    assert [
        (one["id"], one["start"], one["channel"], one["speaker"], one["text"])
        for one in found["segments"]
    ] == [
        (0, 0.0, 0, "agent", "여보세요"),
        (1, 3.0, 1, "customer", "안녕하세요"),
        (2, 8.0, 0, "agent", "네 고객님"),
        (3, 12.0, 1, "customer", "감사합니다"),
    ]
    assert found["text"] == "여보세요 안녕하세요 네 고객님 감사합니다"
    assert found["speech_sec"] == pytest.approx(8.0)


def test_the_agent_may_be_on_the_otherchannel(tmp_path: Path) -> None:
    files = [channel_at(tmp_path / name, (1, 2)) for name in "lr"]
    says = [[Heard(0, 1, "왼쪽")], [Heard(0, 1, "오른쪽")]]
    found = _run(FakeModel(says), job_of(*files, agent_channel=1))
    assert [(one["channel"], one["speaker"]) for one in found["segments"]] == [
        (0, "customer"),
        (1, "agent"),
    ]


def test_one_channel_does_not_tell_who_speaks(tmp_path: Path) -> None:
    found = _run(FakeModel([[Heard(0, 1, "네")]]), job_of(channel_at(tmp_path / "a", (1, 2))))
    assert found["segments"][0]["speaker"] is None


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_two_channels_lose_nothing_and_are_in_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    says: list[list[Heard]] = []
    files = []
    for channel in "lr":
        starts = data.draw(st.sets(st.integers(0, 9), max_size=6))
        files.append(channel_at(folder / channel, *((2 * s, 2 * s + 1) for s in sorted(starts))))
        says += [[Heard(0, 1, f"{channel}{s}")] for s in sorted(starts)]
    found = _run(FakeModel(says), job_of(*files))["segments"]
    expected = sorted((2.0 * int(one[0].text[1:]), one[0].text) for one in says)
    assert [(one["start"], one["text"]) for one in found] == expected
    assert [one["id"] for one in found] == list(range(len(found)))


def test_word_times_move_with_their_segment(tmp_path: Path) -> None:
    heard = Heard(0, 2, "네 네", 0.9, ((0.0, 0.5, "네", 0.8), (1.0, 1.5, " 네", 0.7)))
    found = _run(FakeModel([[heard]]), job_of(channel_at(tmp_path / "a", (10, 12)), words=True))
    (segment,) = found["segments"]
    assert [tuple(word.values()) for word in segment["words"]] == [
        (10.0, 10.5, "네", 0.8),
        (11.0, 11.5, " 네", 0.7),
    ]
    assert segment["confidence"] == 0.9


# Languages --------------------------------------------------------------------------------


def test_the_language_that_was_asked_for_is_used_without_listening_for_it(tmp_path: Path) -> None:
    model = FakeModel([[Heard(0, 1, "네")]], speaks="ja")
    found = _run(model, job_of(channel_at(tmp_path / "a", (1, 2))))
    assert model.asked == [(1.0, "ko", "transcribe")]
    assert model.detected == []
    assert found["language"] == "ko"


def test_auto_listens_once_to_the_longest_stretch(tmp_path: Path) -> None:
    model = FakeModel([[Heard(0, 1, "a")]] * 3, speaks="en")
    file = channel_at(tmp_path / "a", (1, 2), (4, 9), (12, 14))
    found = _run(model, job_of(file, language="auto"))
    assert model.detected == [5.0]
    assert {language for _, language, _ in model.asked} == {"en"}
    assert found["language"] == "en"


def test_an_english_only_model_refuses_korean_instead_of_inventing(tmp_path: Path) -> None:
    model = FakeModel([[Heard(0, 1, "nonsense")]], multilingual=False)
    with pytest.raises(LanguageNotSupported, match="'ko'"):
        _run(model, job_of(channel_at(tmp_path / "a", (1, 2))))
    assert model.asked == []


@pytest.mark.parametrize("language", ["en", "auto"])
def test_an_english_only_model_hears_english(tmp_path: Path, language: str) -> None:
    model = FakeModel([[Heard(0, 1, "yes")]], multilingual=False)
    found = _run(model, job_of(channel_at(tmp_path / "a", (1, 2)), language=language))
    assert found["language"] == "en"
    assert model.detected == []


def test_translation_only_when_asked(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (1, 2))
    says = [[Heard(0, 1, "네")], [Heard(0, 1, "Yes")]]
    assert _run(FakeModel(says), job_of(file))["text_en"] == ""
    model = FakeModel(says)
    found = _run(model, job_of(file, translate=True))
    assert (found["text"], found["text_en"]) == ("네", "Yes")
    assert [task for _, _, task in model.asked] == ["transcribe", "translate"]
    assert found["speech_sec"] == pytest.approx(1.0)  # not counted twice


def test_english_needs_no_translation(tmp_path: Path) -> None:
    model = FakeModel([[Heard(0, 1, "Yes")]])
    found = _run(model, job_of(channel_at(tmp_path / "a", (1, 2)), language="en", translate=True))
    assert found["text_en"] == "Yes"
    assert len(model.asked) == 1


# Operations and native errors -------------------------------------------------------------


def test_loading_again_replaces_the_model(tmp_path: Path) -> None:
    models = [FakeModel([[Heard(0, 1, text)]], facts={"device": text}) for text in ("old", "new")]
    operations = model_operations(lambda job: models[job["number"]])
    job = job_of(channel_at(tmp_path / "a", (1, 2)))
    for number, text in enumerate(("old", "new")):
        operations["load"]({"number": number, "facts": {"model": "here"}})
        first, second, *_ = operations["transcribe"](job)
        facts = first["provenance"]
        assert (facts["device"], facts["model"]) == (text, "here")
        assert facts["engine_version"]
        assert second["segments"][0]["text"] == text


@pytest.mark.parametrize(
    ("raised", "named"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemory),
        (RuntimeError("mkl_malloc: failed to allocate memory"), OutOfMemory),
        (RuntimeError("std::bad_alloc"), OutOfMemory),
        (ImportError("x.so: failed to map segment from shared object"), OutOfMemory),
        (ImportError("x.so: cannot allocate memory in static TLS block"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (RuntimeError("CUDA driver version is insufficient"), DeviceUnavailable),
        (ValueError("unsupported device tpu"), DeviceUnavailable),
        (RuntimeError("something else"), TranscriptionFailed),
        (KeyError("lang_ids"), TranscriptionFailed),
        (Exception("Model missing. at line 1 column 2"), TranscriptionFailed),
    ],
)
def test_the_libraries_words_become_the_taxonomys_names(
    raised: Exception, named: type[EngineError]
) -> None:
    with pytest.raises(named) as caught, native_errors():
        raise raised
    assert type(caught.value) is named
    assert caught.value.__cause__ is raised
    assert str(raised) in str(caught.value) or isinstance(raised, MemoryError)


def test_what_a_library_stumbled_over_names_the_error_and_not_its_guess() -> None:
    """faster-whisper says "requires the onnxruntime package" when its import ran out of memory."""
    guess = RuntimeError("Applying the VAD filter requires the onnxruntime package")
    guess.__cause__ = ImportError("x.so: failed to map segment from shared object")
    with (
        pytest.raises(OutOfMemory, match=r"onnxruntime package.*failed to map"),
        native_errors(),
    ):
        raise guess


@pytest.mark.parametrize("kind", [TypeError, AttributeError, AssertionError])
def test_our_own_defects_are_not_given_a_librarys_name(kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, native_errors():
        raise kind("a bug")
    assert caught.type is kind


def test_a_named_error_keeps_its_name() -> None:
    with pytest.raises(EmptyTranscript), native_errors():
        raise EmptyTranscript("x")


# The real voice detection -----------------------------------------------------------------


def test_the_real_voice_detection_finds_speech_and_no_other_sound(sample_call: Path) -> None:
    import av  # noqa: PLC0415

    with av.open(str(sample_call)) as file:
        resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
        parts = [
            out.to_ndarray()[0]
            for frame in file.decode(audio=0)
            for out in resampler.resample(frame)
        ]
    call = np.concatenate(parts).astype(np.float32)
    spans = speech_spans(call)
    spoken = sum(end - start for start, end in spans) / SAMPLE_RATE
    assert 40 < spoken < len(call) / SAMPLE_RATE
    assert all(end - start <= (MAX_SPAN_SEC + 1) * SAMPLE_RATE for start, end in spans)
    assert [start for start, _ in spans] == sorted(start for start, _ in spans)
    assert speech_spans(np.zeros(5 * SAMPLE_RATE, np.float32)) == []


# --- how much of the speech became text ---------------------------------------------------


@pytest.mark.parametrize(
    ("heard", "recognised"),
    [
        ([], 0.0),
        ([(10.3, 19.5)], 10.0),
        ([(10.0, 12.0), (13.5, 20.0)], 10.0),
        ([(10.0, 14.0)], 4.0),
        ([(15.0, 20.0)], 5.0),
        ([(10.0, 11.0), (18.0, 20.0)], 3.0),
    ],
)
def test_coverage_leaves_out_long_gaps(heard: list[tuple[float, float]], recognised: float) -> None:
    """One stretch of speech from 10 s to 20 s."""
    so_far = Collected(
        SpeechRequest(Path("a")), DecodedAudio(Path("a"), 30.0, (Path("0"), Path("1")))
    )
    segments = [
        {
            "start": start,
            "end": end,
            "text": "네",
            "channel": 1,
            "speaker": None,
            "confidence": None,
            "words": None,
        }
        for start, end in heard
    ]
    place = {"task": "transcribe", "channel": 1, "sample": 20 * SAMPLE_RATE, "language": "ko"}
    so_far.add({**place, "speech_sec": 10.0, "segments": segments, "rejected": []}, 1.0)
    so_far.add({**place, "sample": 30 * SAMPLE_RATE}, 0.1)
    assert so_far.transcript().provenance["coverage"] == [
        {"channel": 1, "speech_sec": 10.0, "recognised_sec": pytest.approx(recognised)}
    ]
