"""Hints correct what was heard, and never make it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_engine.backends.base import ChunkResult, RawSegment, SpeechChunk
from stt_engine.backends.hinted import HintedModel, judge
from stt_engine.engine import check
from stt_engine.errors import InvalidRequest
from stt_engine.hints import LONGEST_KEYWORD, LONGEST_PROMPT, MOST_KEYWORDS, NO_HINTS, Hints
from stt_engine.recognition.progress import TranscriptBuilder
from stt_engine.speech import SpeechRequest
from tests.support.recognition_runs import collected, steps_of
from tests.support.stub_model import FakeModel, channel_at, job_of, loud_spans

PRODUCTS = Hints(keywords=("누진제", "한빛증권"))


@pytest.mark.parametrize(
    ("plain", "hinted", "verdict"),
    [
        ("전기의 유진제 적용하는 국가", "전기의 누진제 적용하는 국가", "taken"),
        ("전기의 누진 제 적용하는 국가", "전기의 누진제 적용하는 국가", "taken"),
        ("전기의 누진제 적용하는 국가", "전기에 누진제 적용하는 국가", "same"),
        ("전기의 요금 적용하는 국가", "전기의 한빛증권 적용하는 국가", "refused"),
        ("전기를 적용하는 국가", "전기를 적용하는 국가 한빛증권", "refused"),
        ("전기의 유진제 적용하는 국가", "누진제", "refused"),
        ("네", "한빛증권", "refused"),
        ("전기의 유진제 적용하는", "전기의 누진제 누진제 누진제 적용하는", "refused"),
    ],
)
def test_a_keyword_is_taken_where_something_like_it_was_heard(
    plain: str, hinted: str, verdict: str
) -> None:
    assert judge(plain, hinted, PRODUCTS) == verdict


def test_a_prompt_may_change_how_it_is_written_and_little_else() -> None:
    style = Hints("Hello, welcome. How are you?")
    assert judge("hello how are you", "Hello, how are you?", style) == "taken"
    assert judge("hello how are you", "Hello, welcome.", style) == "refused"


@given(st.text("가나다라 ABc,.", max_size=20), st.text("가나다라 ABc,.", max_size=20))
def test_a_word_that_nothing_sounds_like_is_never_taken(plain: str, around: str) -> None:
    hints = Hints(keywords=("쿠퓨툐뵤",))
    assert judge(plain, f"{around} 쿠퓨툐뵤", hints) != "taken"


@dataclass
class Suggestible(FakeModel):
    """Says what it is shown, over any sound."""

    shown: list[Hints] = field(default_factory=list)

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        self.shown += [one.hints for one in chunks]
        return [self._said_of(one) for one in chunks]

    def _said_of(self, chunk: SpeechChunk) -> ChunkResult:
        heard = "전기의 유진제 적용" if chunk.samples.any() else ""
        text = heard.replace("유진제", chunk.hints.keywords[0]) if chunk.hints else heard
        text = text or " ".join(chunk.hints.keywords)
        return ChunkResult((RawSegment(0, chunk.seconds, text),) if text else ())


def chunk_of(loud: float, hints: Hints = PRODUCTS) -> SpeechChunk:
    return SpeechChunk(np.full(16_000, loud, np.float32), "ko", "transcribe", hints=hints)


TAKES = {"takes": ["words", "hints", "temperature"]}


def test_where_nothing_is_heard_hints_are_not_even_shown() -> None:
    model = Suggestible(facts=TAKES)
    (silent,) = HintedModel(model).transcribe([chunk_of(0.0)])
    assert silent == ChunkResult()
    assert model.shown == [NO_HINTS]


def test_without_hints_there_is_one_pass_and_the_same_answer() -> None:
    model = Suggestible(facts=TAKES)
    (found,) = HintedModel(model).transcribe([chunk_of(0.1, NO_HINTS)])
    assert (found.hinted, len(model.shown)) == ("", 1)


def test_each_chunk_has_hints_of_its_own_call() -> None:
    model = Suggestible(facts=TAKES)
    chunks = [chunk_of(0.1), chunk_of(0.1, NO_HINTS), chunk_of(0.1, Hints(keywords=("한빛증권",)))]
    found = HintedModel(model).transcribe(chunks)
    assert [one.hinted for one in found] == ["taken", "", "refused"]
    assert "누진제" in found[0].segments[0].text
    assert {one.segments[0].text for one in found[1:]} == {"전기의 유진제 적용"}


@dataclass
class Listening(Suggestible):
    """Says, too, how much less likely it finds what it was shown."""

    loss: float = 0.0
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def log_likelihoods(self, _chunk: SpeechChunk, texts: Sequence[str]) -> list[float]:
        self.asked.append(tuple(texts))
        return [-10.0, -10.0 - self.loss]


@pytest.mark.parametrize(("loss", "verdict"), [(6.9, "taken"), (7.1, "refused"), (-3.0, "taken")])
def test_the_sound_has_the_last_word(loss: float, verdict: str) -> None:
    model = Listening(facts=TAKES, loss=loss)
    (found,) = HintedModel(model).transcribe([chunk_of(0.1)])
    assert found.hinted == verdict
    assert ("누진제" in found.segments[0].text) == (verdict == "taken")
    assert model.asked == [("전기의 유진제 적용", "전기의 누진제 적용")]


def test_the_sound_is_asked_only_about_a_new_keyword_that_would_be_taken() -> None:
    model = Listening(facts=TAKES)
    other = Hints(keywords=("한빛증권",))  # refused by its letters
    chunks = [chunk_of(0.1, other), chunk_of(0.1, NO_HINTS), chunk_of(0.0)]
    HintedModel(model).transcribe(chunks)
    assert model.asked == []


def heard(model: FakeModel, job: dict[str, object]) -> TranscriptBuilder:
    so_far = collected(job)
    object.__setattr__(so_far.request, "hints", PRODUCTS)
    object.__setattr__(so_far.request, "temperature", 0.5)
    for step in steps_of(model, job):
        so_far.add(step, 0.0)
        if step["kind"] == "model":
            so_far.begun(step["provenance"])
    return so_far


def test_the_answer_says_what_came_of_hints(tmp_path: Path, loud: None) -> None:
    job = job_of(channel_at(tmp_path / "a", (2, 5)), keywords=list(PRODUCTS.keywords))
    told = heard(Suggestible(facts=TAKES), job).transcript()
    assert told.provenance["hints"] == {
        "prompt": False,
        "keywords": 2,
        "same": 0,
        "taken": [[2.0, 5.0, 0]],
        "refused": [],
    }
    assert told.provenance["temperature"] == 0.5
    assert told.warnings == ()


def test_what_a_model_cannot_do_is_a_warning(tmp_path: Path, loud: None) -> None:
    model = Suggestible(facts={"takes": ["words"]})
    told = heard(
        model, job_of(channel_at(tmp_path / "a", (2, 5)), keywords=["누진제"])
    ).transcript()
    assert [(one.code, one.detail) for one in told.warnings] == [
        ("not_taken", "hints, temperature")
    ]
    assert model.shown == [NO_HINTS]


@pytest.fixture
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_engine.backends.recognition.speech_spans", loud_spans)


@pytest.mark.parametrize(
    ("hints", "why"),
    [
        (Hints("x" * (LONGEST_PROMPT + 1)), "prompt"),
        (Hints(keywords=tuple(f"말{at}" for at in range(MOST_KEYWORDS + 1))), "keywords"),
        (Hints(keywords=("말" * (LONGEST_KEYWORD + 1),)), "keywords"),
        (Hints(keywords=("말",)), "keywords"),
        (Hints(keywords=("...!",)), "keywords"),
    ],
)
def test_hints_have_bounds(hints: Hints, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        check(SpeechRequest(Path("a"), hints=hints))


@pytest.mark.parametrize("temperature", [-0.1, 1.1, float("nan")])
def test_a_temperature_has_bounds(temperature: float) -> None:
    with pytest.raises(InvalidRequest, match="temperature"):
        check(SpeechRequest(Path("a"), temperature=temperature))


def test_hints_are_tidied() -> None:
    assert Hints.of(" a ", [" 한빛  펀드 ", "", "한빛 펀드"]) == Hints("a", ("한빛 펀드",))
    assert not Hints.of(None, None)
    assert not Hints.of(" ", [" "])
