"""The proof that an LLM read a chunk: words that nobody can guess, over its whole length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.compliance.llm_review import ReviewLimits
from api_server.compliance.reading import MARK_EVERY_CHARS, MOST_MARKS, MarkedText, without_marks
from api_server.compliance.untrusted import neutralise
from api_server.compliance.validator import get_incomplete_elements_validator
from stt_engine.speech import Segment
from tests.unit.validation_fakes import (
    CALL,
    CONFIG,
    NO_RULES,
    FakeAgent,
    answer,
    checked,
    marks_of,
    statuses,
)

LINES = [one.text for one in CALL]


def marked(lines: Sequence[str] = LINES, nonce: str = "n") -> MarkedText:
    return MarkedText.of(lines, nonce)


def proof(text: MarkedText) -> str:
    return marks_of("\n".join(text.render()))


def test_who_copies_every_mark_has_read() -> None:
    text = marked()
    assert text.is_proved_by(proof(text))
    assert text.is_proved_by(proof(text).replace("[", "\n ["))
    assert len(text.marks) >= 2


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda read: "",
        lambda read: read[: read.rindex("[")],  # the end of the call is missing
        lambda read: read[read.index("[", 1) :],  # its beginning
        lambda read: " ".join(re.findall(r"\[\d{4}\]", read)),  # marks alone
        lambda read: re.sub(r"\[\d{4}\]", "[1234]", read),  # words alone
        lambda read: re.sub(r"\[\d{4}\]", "", read),
        lambda read: " ".join(reversed(re.findall(r"\[[^\[]+", read))),
        lambda read: re.sub(r"\] .", "] 힣", read),  # other words
        lambda read: read + " [1111] 더 많은 말",
    ],
)
def test_anything_less_is_no_proof(spoiled: object) -> None:
    text = marked()
    assert not text.is_proved_by(spoiled(proof(text)))  # type: ignore[operator]


@pytest.mark.parametrize("count", [1, 2, 3, 27])
def test_the_proof_of_another_check_is_none(count: int) -> None:
    """Not even of the same call, however short it is."""
    first = proof(marked(LINES[:count], "one"))
    assert not any(marked(LINES[:count], f"{n}").is_proved_by(first) for n in range(50))


def test_marks_stand_all_over_the_call() -> None:
    text = marked([f"{number}번째 문장에서 말하는 내용입니다" for number in range(400)])
    places = [mark.line / 400 for mark in text.marks]
    assert len(places) == MOST_MARKS
    assert places[0] < 0.02
    assert places[-1] > 0.98
    assert max(b - a for a, b in pairwise(places)) < 2 / MOST_MARKS


@pytest.mark.parametrize("space", [" ", ""])
def test_they_stand_inside_a_long_line_too(space: str) -> None:
    words = space.join(f"낱말{number}입니다" for number in range(400))
    text = marked([words])
    assert len(text.marks) == min(MOST_MARKS, len(words) // MARK_EVERY_CHARS)
    assert text.marks[-1].offset > len(words) - 800
    assert text.is_proved_by(proof(text))
    assert without_marks(next(iter(text.render()))).replace(" ", "") == words.replace(" ", "")


def test_a_greeting_is_not_asked_for() -> None:
    """Where there is anything else at that end of the call."""
    told = ["대출 만기가 언제인지 궁금합니다", "다음 달 십일입니다 고객님"]
    lines = ["안녕하세요 가온은행입니다", told[0], "네.", told[1], "감사합니다 고객님"]
    for number in range(30):
        assert {mark.line for mark in marked(lines, str(number)).marks} == {1, 3}


@pytest.mark.parametrize(
    ("lines", "count"),
    [(["네.", "네", "아"], 0), (["여보세요?", "네, 말씀하세요."], 2), (["안녕하세요"], 1), ([], 0)],
)
def test_a_call_of_little(lines: list[str], count: int) -> None:
    text = marked(lines)
    assert len(text.marks) == count
    assert text.is_proved_by(proof(text)) == bool(count)


@given(st.lists(st.text(max_size=400), max_size=12), st.text(max_size=4))
def test_any_words_can_be_marked(lines: list[str], nonce: str) -> None:
    text = marked(lines, nonce)
    shown = list(text.render())
    assert [without_marks(one).split() for one in shown] == [
        neutralise(one).split() for one in lines
    ] or any(mark.offset for mark in text.marks)
    assert len({mark.code for mark in text.marks}) == len(text.marks)
    assert len(re.findall(r"\[\d{4}\]", "".join(shown))) == len(text.marks)


async def test_an_answer_that_is_always_the_same_proves_nothing() -> None:
    """Constant bytes: the true answer to a check of the very same call, given once more."""
    agent = FakeAgent(answer())
    validator = get_incomplete_elements_validator(agent, rules=NO_RULES)
    first = await validator.validate(CALL, CONFIG, 5)
    assert first["reading"] == "proved"
    constant = first["agent_analysis"]
    assert constant is not None
    for call in (CALL, CALL[:3], CALL[:1]):
        result = await checked(constant, call)
        assert (result["success"], result["reading"]) == (True, "not_proved")
        assert "not_found" not in statuses(result)


async def test_every_chunk_has_a_proof_of_its_own() -> None:
    asked: list[str] = []

    def reply(request: object) -> str:
        asked.append(request.text)  # type: ignore[attr-defined]
        return answer(read=marks_of(asked[0]))

    validator = get_incomplete_elements_validator(
        FakeAgent(reply), rules=NO_RULES, limits=ReviewLimits(chunk_chars=600, chunks_at_once=1)
    )
    result = await validator.validate(CALL, CONFIG, 5)
    assert result["chunks"] == len(asked) > 1
    assert all(marks_of(text) for text in asked)
    assert len({marks_of(text) for text in asked}) == len(asked)
    assert result["reading"] == "not_proved"


@pytest.mark.parametrize("kept", [0.5, 0.8])
async def test_a_model_that_received_a_part_has_not_read(kept: float) -> None:
    """As a server does whose context is too small, and that says nothing."""

    def cut(request: object) -> str:
        call: str = request.text.partition("</통화>")[0]  # type: ignore[attr-defined]
        return answer(read=marks_of(call[: int(len(call) * kept)]))

    result = await checked(cut)
    assert result["reading"] == "not_proved"


async def test_a_quote_with_a_mark_in_it_is_found() -> None:
    words = " ".join(f"낱말{number}입니다" for number in range(40)) + " 녹음됩니다"
    validator = get_incomplete_elements_validator(
        FakeAgent(
            lambda request: answer(
                notice__recording={
                    "status": "satisfied",
                    "reason": "",
                    "quote": request.text.partition("상담원: ")[2].partition("\n")[0],
                }
            )
        ),
        rules=NO_RULES,
    )
    result = await validator.validate([Segment(0, 0, 9, words, 0, "agent")], CONFIG, 5)
    (found,) = (one for one in result["elements"] if one["id"] == "notice.recording")
    assert (found["status"], found["evidence"][0]["quote"]) == ("satisfied", words)
