import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.compliance.evidence import (
    MAX_MATCHES,
    MIN_QUOTE_CHARS,
    TranscriptIndex,
    is_trivial,
    normalise,
)
from stt_engine.speech import Segment


def call(*texts: str, channel: int = 0, speaker: str | None = None) -> list[Segment]:
    return [
        Segment(number, number * 2.0, number * 2.0 + 1.5, text, channel, speaker)
        for number, text in enumerate(texts)
    ]


def found(quote: str, *texts: str) -> list[tuple[int, str, str]]:
    hits = TranscriptIndex(call(*texts)).find(quote)
    return [(part.segment_id, part.quote, part.match) for hit in hits for part in hit.evidence]


@pytest.mark.parametrize(
    ("quote", "text", "shown", "match"),
    [
        ("원금은 보장", "네, 원금은 보장됩니다.", "원금은 보장", "exact"),
        ("  원금은 보장 ", "네, 원금은 보장됩니다.", "원금은 보장", "exact"),
        ("원금은보장 됩니다", "네, 원금은 보장됩니다.", "원금은 보장됩니다", "normalised"),
        ("“원금은, 보장!”", "네, 원금은 보장됩니다.", "원금은 보장", "normalised"),
        ("els 상품", "이 ELS 상품은", "ELS 상품", "normalised"),
        ("ELS 상품", "이 els 상품은", "ELS 상품", "normalised"),
        ("1000만원", "약 1,000만 원", "1,000만 원", "normalised"),
        ("연 3.5퍼센트", "연 3.5 퍼센트", "연 3.5 퍼센트", "normalised"),
        (unicodedata.normalize("NFD", "원금 보장"), "원금 보장", "원금 보장", "normalised"),
        ("원금 보장", unicodedata.normalize("NFD", "원금 보장"), "원금 보장", "normalised"),
        ("(주)가온 상품", "㈜가온 상품", "㈜가온 상품", "normalised"),
    ],
)
def test_a_quote_is_found(quote: str, text: str, shown: str, match: str) -> None:
    ((segment_id, words, how),) = found(quote, "안녕하세요", text)
    assert segment_id == 1
    assert how == match
    assert unicodedata.normalize("NFC", words).lower() == shown.lower()
    assert words in text


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("원금을 돌려드립니다", "원금은 보장됩니다"),
        ("연 35 퍼센트", "연 3.5 퍼센트"),
        ("연 3.5 퍼센트", "연 35 퍼센트"),
        ("35 퍼센트", "3-5 퍼센트"),
        ("35 퍼센트", "3 5 퍼센트"),
        ("15등급 상품", "1,5등급 상품"),
        ("5% 수익을", "연 15% 수익을"),
        ("5% 수익을", "연 3.5% 수익을"),
        ("500만 원을", "1,500만 원을"),
        ("500만원을", "1,500만 원을"),
        ("수익은 연 1", "수익은 연 15%"),
        ("수익은 연 1", "수익은 연 1.5%"),
    ],
)
def test_other_words_and_other_numbers_are_not_found(quote: str, text: str) -> None:
    assert found(quote, text) == []


@pytest.mark.parametrize("quote", ["", " ", "네", "네네", "...", "!?!?", "\n\t", "—“”", "네. 네."])
def test_a_trivial_quote_is_never_evidence(quote: str) -> None:
    assert is_trivial(quote)
    assert found(quote, "네", "네네", "... !?!? —“”", "네. 네.") == []


def test_a_quote_across_segments_gives_the_part_of_each() -> None:
    assert found("사실상 원금은 보장됩니다", "자, 사실상", "원금은", "보장됩니다. 네") == [
        (0, "사실상", "normalised"),
        (1, "원금은", "normalised"),
        (2, "보장됩니다", "normalised"),
    ]


def test_numbers_do_not_grow_together_across_segments() -> None:
    assert found("연 35 퍼센트", "연 3", "5 퍼센트") == []


def test_voices_are_not_stitched_together() -> None:
    agent = call("그 상품은 원금이", channel=0)
    customer = [Segment(1, 1.6, 1.9, "보장되는 거죠", 1)]
    index = TranscriptIndex([*agent, *customer])
    assert index.find("원금이 보장되는 거죠") == ()
    assert index.find("보장되는 거죠")


def test_a_short_word_of_the_other_channel_does_not_part_a_sentence() -> None:
    segments = [
        Segment(0, 0.0, 2.0, "사실상 원금은", 0, "agent"),
        Segment(1, 1.8, 2.2, "네", 1, "customer"),
        Segment(2, 2.3, 4.0, "보장됩니다", 0, "agent"),
    ]
    (hit,) = TranscriptIndex(segments).find("원금은 보장됩니다")
    assert [part.segment_id for part in hit.evidence] == [0, 2]


def test_words_beyond_a_pause_are_not_stitched_together() -> None:
    segments = [Segment(0, 0.0, 2.0, "사실상 원금은"), Segment(1, 9.0, 10.0, "보장됩니다")]
    assert TranscriptIndex(segments).find("원금은 보장됩니다") == ()


def test_the_customers_words_can_be_left_out() -> None:
    index = TranscriptIndex(call("원금은 보장되죠", speaker="customer"))
    assert index.find("원금은 보장")
    assert index.find("원금은 보장", without_customer=True) == ()


def test_evidence_carries_place_and_time() -> None:
    segments = [Segment(7, 1.5, 2.5, "첫째 문장", 1), Segment(9, 3.0, 4.5, "둘째 문장", 1)]
    ((part,),) = (hit.evidence for hit in TranscriptIndex(segments).find("둘째 문장"))
    assert (part.segment_id, part.start, part.end, part.channel) == (9, 3.0, 4.5, 1)


@pytest.mark.parametrize(
    ("quote", "text", "passage"),
    [
        ("원금이 보장", "네. 원금이 보장되지 않습니다. 끝", "원금이 보장되지 않습니다."),
        ("보장됩니다.", "원금은 보장됩니다. 아닙니다.", "보장됩니다."),
        ("연 3.5 퍼센트", "연 3.5 퍼센트가 아닙니다", "연 3.5 퍼센트가 아닙니다"),
    ],
)
def test_the_passage_goes_on_to_the_end_of_the_sentence(
    quote: str, text: str, passage: str
) -> None:
    (hit,) = TranscriptIndex(call(text)).find(quote)
    assert hit.sentence == passage


def test_the_places_of_one_quote_are_limited_and_in_order() -> None:
    ids = [segment_id for segment_id, _, _ in found("네 맞습니다", *["네 맞습니다"] * 20)]
    assert ids == list(range(MAX_MATCHES))


def test_an_empty_transcript_proves_nothing() -> None:
    assert TranscriptIndex([]).find("원금은 보장") == ()


WORDS = st.text(
    alphabet="가나다라마바사 abcE1234567890.,!?\n'ㅋé㈜①ﬁ" + "e\u0301\u1112\u1161\u11ab"
)
SPOKEN = st.lists(st.one_of(WORDS, st.text()), min_size=1, max_size=5)


@given(st.text())
def test_the_offsets_lead_back_in_order(text: str) -> None:
    normal = normalise(text)
    assert len(normal.text) == len(normal.offsets)
    assert all(0 <= offset < len(text) for offset in normal.offsets)
    assert all(a <= b for a, b in pairwise(normal.offsets))


LETTERS = st.text(alphabet="가나다라마바사 abcE,.!?'㈜é", max_size=12)
MARKS = st.sampled_from(["", " ", ", ", "...", "\n", "“", "\u200b"])


@given(st.lists(st.tuples(st.sampled_from("가나다라abc"), MARKS)))
def test_spaces_and_punctuation_between_letters_do_not_matter(
    parts: list[tuple[str, str]],
) -> None:
    letters = "".join(letter for letter, _ in parts)
    assert normalise("".join(map("".join, parts))).text == letters


@given(LETTERS, st.text(alphabet="가나다abc", min_size=3, max_size=3), LETTERS, LETTERS)
def test_what_was_said_is_found_word_for_word(
    before: str, core: str, more: str, after: str
) -> None:
    quote = core + more
    hits = TranscriptIndex(call("안녕하세요", before + quote + after)).find(quote)
    assert hits
    assert all(part.match == "exact" for hit in hits for part in hit.evidence)


@given(SPOKEN, st.one_of(WORDS, st.text()))
def test_evidence_is_always_the_transcripts_own_words(texts: list[str], quote: str) -> None:
    for hit in TranscriptIndex(call(*texts)).find(quote):
        for part in hit.evidence:
            assert part.quote
            assert part.quote in texts[part.segment_id]


def test_a_symbol_that_stands_for_a_letter_is_part_of_the_evidence() -> None:
    (hit,) = TranscriptIndex(call("ﬁ", ".㈜")).find("ﬁ .㈜")
    assert [part.quote for part in hit.evidence] == ["ﬁ", ".㈜"]


@given(SPOKEN, st.data())
def test_found_evidence_says_what_the_quote_says(texts: list[str], data: st.DataObject) -> None:
    joined = " ".join(texts)
    start = data.draw(st.integers(0, len(joined)))
    quote = joined[start : data.draw(st.integers(start, len(joined)))]
    for hit in TranscriptIndex(call(*texts)).find(quote):
        said = _letters("\n".join(part.quote for part in hit.evidence))
        assert _letters(quote) in said or any(unicodedata.combining(char) for char in quote)


def _letters(text: str) -> str:
    """What is heard: an utterance of nothing but punctuation is no part of any evidence."""
    return "".join(char for char in normalise(text).text if char.isalnum())


@given(st.text(max_size=30))
def test_fewer_letters_than_the_minimum_are_trivial(text: str) -> None:
    letters = sum(char.isalnum() for char in normalise(text).text)
    assert is_trivial(text) == (letters < MIN_QUOTE_CHARS)
