"""What counts as a repetition loop, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_engine.backends.repetition import (
    MAX_COMPRESSION_RATIO,
    compression_ratio,
    is_suspect,
    looped,
)
from tests.support.recognition_runs import LOOP


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
