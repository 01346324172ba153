"""The pattern language, and how a call is cut into sentences."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.compliance.patterns.linear_pattern import Subject
from api_server.compliance.patterns.pattern_language import PatternInvalid, compile_pattern
from api_server.compliance.rules.sentences import split_sentences
from stt_engine.speech import Segment

WORDS: dict[str, Sequence[str]] = {
    "원금": ["원금", "본전"],
    "돈": ["<원금>", "투자금"],
    "쳇바퀴": ["<쳇바퀴>"],
}


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("보장되", "보장됩니다", True),
        ("보장되", "보장된다", True),
        ("보장되", "보장돼요", False),
        ("보장", "보자기", False),
        ("다!", "당연", False),
        ("다!", "다음", True),
        ("안!되", "안됩니다", True),
        ("<원금>", "본전은", True),
        ("<돈>은", "본전은", True),
        ("<돈>은", "투자금은", True),
        ("원금~보장", "원금은사실상보장", True),
        ("원금~3보장", "원금은보장", True),
        ("원금~3보장", "원금은사실상보장", False),
        ("원금~보장", "원금은\n보장", False),
        ("원금 ~ 보장", "원금은보장", True),
        ("(?:손실|손해)(?:이|가)?없", "손해가없습니다", True),
        ("[가나]다", "나다", True),
        ("3.5퍼센트", "3.5퍼센트", True),
    ],
)
def test_patterns(pattern: str, text: str, found: bool) -> None:
    assert any(compile_pattern(pattern, WORDS).spans(Subject(text))) is found


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("<없는이름>", "모르는 낱말 묶음"),
        ("<쳇바퀴>", "자기 자신"),
        ("(원금", "정규식 오류"),
        ("원금|", "아무 말에나"),
        ("(?:원금)?", "아무 말에나"),
        ("~", "아무 말에나"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern: str, why: str) -> None:
    with pytest.raises(PatternInvalid, match=re.escape(why)):
        compile_pattern(pattern, WORDS)


def said(*turns: str) -> list[Segment]:
    """``A`` is the agent, ``C`` the customer, ``-`` nobody knows."""
    speakers = {"A": ("agent", 0), "C": ("customer", 1), "-": (None, 0)}
    return [
        Segment(n, n * 2.0, n * 2 + 1.5, turn[2:], speakers[turn[0]][1], speakers[turn[0]][0])
        for n, turn in enumerate(turns)
    ]


def letters(*turns: str) -> list[str]:
    return [one.letters for one in split_sentences(said(*turns))]


@pytest.mark.parametrize(
    ("turns", "found"),
    [
        (["A 네, 맞습니다. 원금은요?"], ["네맞습니다", "원금은요"]),
        (
            ["A 가입하시면 됩니다 그리고 수수료는 없어요 네"],
            ["가입하시면됩니다", "그리고수수료는없어요", "네"],
        ),
        (["A 필요 서류는 중요 사항입니다"], ["필요서류는중요사항입니다"]),
        (["A 원금은요 보장이 안 되니까 조심하세요"], ["원금은요보장이안되니까조심하세요"]),
        (["A 연 3.5퍼센트 나옵니다"], ["연35퍼센트나옵니다"]),
        (["A 원금은", "A 보장됩니다"], ["원금은보장됩니다"]),
        (["A 원금은", "C 네", "A 보장됩니다"], ["원금은보장됩니다", "네"]),
        (["A 원금은", "C 그게 뭐예요?", "A 보장됩니다"], ["원금은", "그게뭐예요", "보장됩니다"]),
        (["A ...", "C ?!"], []),
    ],
)
def test_sentences(turns: list[str], found: list[str]) -> None:
    assert letters(*turns) == found


@pytest.mark.parametrize(
    ("turn", "asks"),
    [
        ("A 원금이 보장되나요?", True),
        ("A 원금이 보장되나요", True),
        ("A 가입하시겠습니까", True),
        ("A 어떻게 되신가요", True),
        ("A 보장됩니다", False),
        ("A 수수료로 나가요", False),
        ("A 보장되니까", False),
    ],
)
def test_questions(turn: str, asks: bool) -> None:
    assert [one.question for one in split_sentences(said(turn))] == [asks]


turns = st.lists(
    st.tuples(st.sampled_from("AC-"), st.text(st.characters(codec="utf-8"), max_size=60)),
    max_size=12,
)


@given(turns)
def test_every_letter_is_where_it_says(call: list[tuple[str, str]]) -> None:
    segments = said(*(f"{who} {text}" for who, text in call))
    for sentence in split_sentences(segments):
        assert len(sentence.letters) == len(sentence.positions)
        for position, offset in sentence.positions:
            assert 0 <= offset < len(segments[position].text)
            assert segments[position].speaker == sentence.speaker


@given(st.text("가나다라 습니다요까.?", max_size=60))
def test_plain_syllables_are_all_kept_in_order(text: str) -> None:
    found = "".join(letters(f"A {text}"))
    assert found == re.sub(r"[\s.?]", "", text)
