"""Words as they are said, in their standard form: what is matched, and what evidence shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.compliance.rubric import load_rubric
from api_server.compliance.rules.engine import PatternRules
from api_server.compliance.rules.register import standardise
from api_server.compliance.rules.sentences import letters_of, split_sentences
from tests.unit.test_korean import said

RULES = PatternRules(load_rubric())


@pytest.mark.parametrize(
    ("words", "standard"),
    [
        ("손실은 절대 없심더.", "손실은절대없습니다"),
        ("손해 보신 적 있심니꺼", "손해보신적있습니까"),
        ("원금은 안 까집니더", "원금은안까집니다"),
        ("보증해 드리지예", "보증해드리지요"),
        ("지금 가입하이소", "지금가입하세요"),
        ("깨믄 손해라예", "깨면손해예요"),
        ("설명은 들었어라", "설명은들었어요"),
        ("돈이 없당께요", "돈이없다니까요"),
        ("가입허시는 게 좋아유", "가입하시는게좋아요"),
        ("어, 그, 수수료는 음 없어요", "수수료는없어요"),
        ("손실은 업써요", "손실은없어요"),
        ("걱정하지 안으셔도 되요", "걱정하지않으셔도돼요"),
        ("통화는 노금됩니다", "통화는녹음됩니다"),
        ("이해햇습니다", "이해했습니다"),
        ("그거는 아입니더", "그거는아닙니다"),
        ("제일 낫다 아입니꺼", "제일낫다아입니까"),  # which says so
    ],
)
def test_what_is_matched_is_standard(words: str, standard: str) -> None:
    assert letters_of(words) == standard


@pytest.mark.parametrize(
    "words",
    [
        "예금은 아예 없어요",
        "어디로 갈까요",
        "네, 여유 자금이요",
        "공유 오피스 이유",
        "허용 한도와 허가",
        "카드를 만드세요",
        "기업서비스 업무",
        "원금까지 안고 갑니다",
        "그 상품 저 상품",
        "이자를 공제하지",
        "가입을 막혔다",
    ],
)
def test_standard_words_stay(words: str) -> None:
    assert letters_of(words) == words.replace(" ", "").replace(",", "")


def test_the_model_hears_what_was_said() -> None:
    (sentence,) = split_sentences(said("A 음, 손실은 업써"))
    assert (sentence.letters, sentence.said) == ("손실은없어", "음손실은업써")
    (nothing,) = split_sentences(said("A 음,"))
    assert nothing.letters == "음"


@pytest.mark.parametrize(
    ("turn", "element"),
    [
        ("A 손실은 절대로 안 납니더, 지가 보증하지예", "solicitation.certainty"),
        ("A 이 통화는 노금됩니더", "notice.recording"),
        ("A 원금은 어, 무조껀 보장됩니다", "solicitation.certainty"),
    ],
)
def test_rules_know_it_and_quote_what_was_said(turn: str, element: str) -> None:
    call = said(turn)
    (evidence, *_) = RULES.examine(call)[element].evidence
    assert evidence.quote
    assert evidence.quote in call[0].text


FORMS = [
    "없심더",
    "지예",
    "하믄",
    "음 ",
    "어, ",
    "업써",
    "됬",
    "습니다",
    "되요",
    "아이라예",
    "허고",
]


@given(st.lists(st.sampled_from([*FORMS, *" .,가나다요예\n"]) | st.text(max_size=3), max_size=30))
def test_every_letter_has_its_place_in_order(parts: list[str]) -> None:
    text = "".join(parts)
    standard, places = standardise(text, range(len(text)))
    assert len(standard) == len(places)
    assert list(places) == sorted(places)
    assert all(0 <= place < len(text) for place in places)
