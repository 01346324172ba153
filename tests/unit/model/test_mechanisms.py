"""What no list of words knows: polarity, answers, and what is said of the words themselves."""

from __future__ import annotations

import pytest

from api_server.compliance.findings import Finding
from api_server.compliance.rubric import load_rubric
from evaluation.passages import Passage
from evaluation.tiers import check
from stt_engine.speech import Segment

RUBRIC = load_rubric()
CERTAINTY = "solicitation.certainty"


def stated(*turns: str) -> dict[str, str]:
    """Return the status of every element that a call has one of."""
    return {one.element.id: one.status for one in findings(*turns) if one.source}


def findings(*turns: str) -> tuple[Finding, ...]:
    """Return what is found in a call where no LLM answers; ``C:`` is the customer."""
    segments = tuple(
        Segment(
            number,
            number * 3.0,
            number * 3.0 + 2,
            turn[2:].strip(),
            int(turn[0] == "C"),
            "customer" if turn[0] == "C" else "agent",
        )
        for number, turn in enumerate(turns)
    )
    call = Passage("one", segments, frozenset(), frozenset())
    return check([call], RUBRIC).findings["one"]


@pytest.mark.parametrize(
    "words",
    [
        "A: 손실이 발생하지 않습니다",
        "A: 이 상품은 원금에 손실이 발생하지 않습니다",
        "A: 손실은 절대 안 납니다",
        "A: 연 오 퍼센트의 이자가 확정된 상품입니다",
        "A: 원금이 보장됩니다",
    ],
)
def test_a_promise_of_safety_explains_neither_risk_nor_fees(words: str) -> None:
    assert stated(words) == {CERTAINTY: "violated"}


@pytest.mark.parametrize(
    ("turns", "found"),
    [
        (("A: 이 통화는 녹음됩니다",), {"notice.recording": "satisfied"}),
        (("A: 이 통화는 녹취하지 않겠습니다",), {}),
        (
            ("A: 이해되셨습니까?", "C: 네 이해했습니다"),
            {"explanation.understanding": "satisfied"},
        ),
        (("A: 이해되셨습니까?", "C: 잘 모르겠는데요"), {}),
        (("A: 원금이 보장되지 않습니다",), {"explanation.product_risk": "satisfied"}),
    ],
)
def test_a_notice_is_an_act(turns: tuple[str, ...], found: dict[str, str]) -> None:
    assert stated(*turns) == found


@pytest.mark.parametrize(
    "turns",
    [
        ("A: 교육 때 원금 보장됩니다 라고 말하면 안 된다고 배웠습니다",),
        ("A: 원금 보장이라고 했을 때 민원이 들어온 사례가 있습니다",),
        ("C: 저는 원금 보장되는 상품으로 하고 싶어요", "A: 그런 상품은 예금입니다"),
    ],
)
def test_to_mention_words_is_not_to_use_them(turns: tuple[str, ...]) -> None:
    assert stated(*turns) == {}


def test_what_is_not_certain_is_shown() -> None:
    turns = ("C: 3년 차 환급금은요?", "A: 그런 건 지금 따질 때가 아니고요")
    (found,) = (one for one in findings(*turns) if one.element.id == "explanation.evasion")
    assert found.reason == "suspected"
    assert [one.segment_id for one in found.evidence] == [1]
    assert found.confidence is not None
    assert found.confidence > 0.4


def test_what_the_law_does_not_ask_is_a_false_statement() -> None:
    turns = ("A: 이 특약은 법으로 꼭 넣으셔야 해요",)
    assert stated(*turns) == {"solicitation.false_statement": "violated"}


def test_not_with_names_elements_of_the_rubric() -> None:
    element = RUBRIC.elements[0].model_copy(update={"not_with": ("no.such",)})
    data = RUBRIC.model_dump() | {"elements": [element.model_dump()]}
    with pytest.raises(ValueError, match=r"not_with: 없는 항목입니다: no\.such"):
        type(RUBRIC).model_validate(data)
