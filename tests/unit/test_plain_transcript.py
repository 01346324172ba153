"""Labels of speakers in plain text: what is one, and what only begins like one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.text.plain_transcript import parse_transcript

WISH = "저는 원금 보장되는 상품으로 하고 싶어요"
CUSTOMER = """
고객:|고객：|고객 :|고객님:|고객1:|고객 2:|고객2님:|고객A:|고객 #2:|고객(여):
고객 (홍길동):|손님:|CUSTOMER:|customer 1:|ＣＵＳＴＯＭＥＲ：|고객>|고객 ->|고객→|고객=|고객 -
[고객]|[고객1]:|[고객님]|［고객］|【고객】|<고객>|(고객)|고객)
00:03 고객:|[00:03] 고객:|(00:03) 고객:|[0:03][고객]|00:03-00:05 [고객]|12.3s 고객:
00:03:12.5 - 00:03:15.0 고객:|00:00:03,000 --> 00:00:05,000 고객:
[12.3 - 15.0] customer:|고객 [00:03]:|고객 00:03:
2024-05-01 10:11:12 고객:|[2024.05.01 10:11] 고객:|2024년 5월 1일 10:11 고객:|10시 11분 고객:
오전 10:11 고객:
[오전 10:11] 고객:|[고객] [오전 10:11]|10:11 AM 고객:|(1) 고객:|① 고객:|1 고객:|CH1 고객:
[CH1] 고객:|SPEAKER_고객:
홍길동 고객님:|홍길동(고객):|고객 홍길동:|고객 김**님:|여성 고객:|여자고객:|고객/여:|고객측:
고객 발화:|고 객:|고객;|고객∶|고객ː
고객-|고객>>|«고객»|◆ 고객:|・고객:|👤 고객:|피보험자:|예금주:|투자자:|신청인:|Cust:
- 고객:|* 고객:|• 고객:|1. 고객:|3) 고객:|> 고객:|# 고객:|**고객:**|**고객**:|"고객":|“고객:|'고객':
"""
AGENT = """
상담원:|상담사:|상담사1:|상담원님:|상담직원:|직원:|은행직원:|설계사:
창구 직원:|상담 직원:|보험설계사:|대출모집인:|고객센터 상담원:|고객 담당자:|콜센터 상담사:
Customer Service Agent:|CSR:
상담사 김철수:|김철수 상담사:|김OO 상담원:|김철수(상담사):|CH0(상담사):|남자 상담원:|상 담 원:|PB:
🧑 상담사:
agent>|Agent 2:|[agent]|advisor:
"""
NOBODY = """
고객님,|고객님|고객|고객의 말:|고객님 -|고객님께서 문의하신 내용:|고객센터:
이전 상담사:|지난번 상담사:|상담사 안내:|상담원 연결:|상담사 권유:|담당 직원 정보:|고객번호:
고객 확인:|홍길동:|CH1:
고객정보:|상담 내용:|직원들|agent|customer service:|00:03|-|12.5
"""


def listed(text: str) -> list[str]:
    return [one for line in text.strip().split("\n") for one in line.split("|")]


def said(text: str) -> list[tuple[str | None, str]]:
    return [(one.speaker, one.text) for one in parse_transcript(text)]


@pytest.mark.parametrize("label", [*listed(CUSTOMER), "고객\t", "| 고객 | ", "\u200b고객\u200b:"])
def test_a_label_of_the_customer(label: str) -> None:
    for before in ("", "\ufeff", "\t"):
        for form in ("NFC", "NFD"):
            text = f"{before}{unicodedata.normalize(form, label)} {WISH}"
            assert said(text) == [("customer", WISH)], text


@pytest.mark.parametrize("label", listed(AGENT))
def test_a_label_of_the_agent(label: str) -> None:
    assert said(f"{label} {WISH}") == [("agent", WISH)]


@pytest.mark.parametrize("beginning", listed(NOBODY))
def test_what_is_no_label(beginning: str) -> None:
    assert said(f"{beginning} {WISH}") == [(None, f"{beginning} {WISH}")]


def test_a_line_without_a_label_is_nobodys() -> None:
    found = parse_transcript("상담원: 안녕하세요\n원금은 보장됩니다\n고객: 네")
    assert [one.speaker for one in found] == ["agent", None, "customer"]
    assert [one.speaker_source for one in found] == ["label", "none", "label"]
    assert [one.channel for one in found] == [0, 0, 1]


def test_several_turns_on_one_line() -> None:
    assert said("상담원: 안녕하세요. 고객: 원금 보장되는 걸로요. 상담원: 네") == [
        ("agent", "안녕하세요."),
        ("customer", "원금 보장되는 걸로요."),
        ("agent", "네"),
    ]


def test_the_output_of_transcribe() -> None:
    lines = "    0.0–10.9 {}물론\n   11.5–19.6 {}만약\n"
    expected = [("agent", "물론"), ("customer", "만약")]
    assert said(lines.format("agent: ", "customer: ")) == expected
    assert said(lines.format("agent ", "customer ")) == expected  # before labels had a colon
    assert said(lines.format("agent ", ""))[0][0] is None  # there "agent" may be a word


@given(st.text(alphabet="고객상담원님:： \t-[](){}<>|*\"'0123:.–agent\n", max_size=80))
def test_no_text_breaks_it_and_no_word_is_lost(text: str) -> None:
    found = parse_transcript(text)
    assert [one.id for one in found] == list(range(len(found)))
    for one in found:
        assert one.text in text
        assert (one.speaker_source == "label") == (one.speaker is not None)
