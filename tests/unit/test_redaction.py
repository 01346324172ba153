import itertools
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_server.pii import announced, redaction
from api_server.pii.redaction import RedactionFailed, redact
from evaluation import masking
from stt_engine.errors import EngineError
from stt_engine.speech import Segment, Word


def call(*texts: str, voices: str = "") -> list[Segment]:
    """Segments one after the other; ``voices`` has a letter for each: agent, customer."""
    speakers = {"a": (0, "agent"), "c": (1, "customer")}
    return [
        Segment(number, number * 2.0, number * 2.0 + 1.5, text, *speakers.get(voice, (0, None)))
        for number, (text, voice) in enumerate(itertools.zip_longest(texts, voices))
    ]


def masked(*texts: str, voices: str = "") -> list[str]:
    return [segment.text for segment in redact(call(*texts, voices=voices)).segments]


# --- the labelled lines -------------------------------------------------------------------


def test_the_labelled_lines_are_masked_as_expected() -> None:
    result = masking.score()
    assert result.faults == []
    assert result.reached
    assert result.total.identifiers > 300


LINES = sorted(masking.LINES.parent.glob("masking*.toml"))


@pytest.mark.parametrize("path", LINES, ids=lambda path: path.stem)
def test_the_lines_of_every_kind_are_masked(path: Path) -> None:
    lines = masking.load(path)
    result = masking.score(lines)
    assert result.reached
    assert result.total.over_masked_lines <= len(lines) / 100
    assert all(tally.recall > 0.95 for tally in result.by_form.values()), result.faults


@pytest.mark.parametrize("path", LINES, ids=lambda path: path.stem)
def test_the_labelled_lines_keep_their_length(path: Path) -> None:
    for line in masking.load(path):
        for segment, expected in zip(line.segments, line.expected, strict=True):
            assert len(segment.text) == len(expected), segment.text


def test_the_score_sees_a_leak_and_what_is_masked_beside_it() -> None:
    leak = masking.Line(("phone",), "written", tuple(call("하나 둘")), ("** 둘",))
    beside = masking.Line(("amount",), "none", tuple(call("010-1234-5678")), ("010-1234-5678",))
    result = masking.score([leak, beside])
    assert (result.total.identifiers, result.total.found) == (1, 0)
    assert result.by_kind["amount"].over_masked == 11
    assert result.total.over_masked_lines == 1
    assert not result.reached


def test_the_command_prints_a_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert masking.main([]) == 0
    assert "total" in capsys.readouterr().out
    assert masking.main(["--json"]) == 0
    assert '"by_kind"' in capsys.readouterr().out


def test_what_may_be_masked_or_not_counts_in_neither() -> None:
    either = masking.Line(("phone",), "spoken", tuple(call("010-1234-5678이")), ("???-****-****?",))
    result = masking.score([either])
    assert (result.total.found, result.total.over_masked) == (1, 0)


# --- labels -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("주민번호 900101-1234567", "resident_number"),
        ("구공공일공일 다시 육이삼사오육칠", "foreigner_number"),
        ("여권 M123A4567", "passport"),
        ("면허번호 11-12-123456-78", "driver_licence"),
        ("공일공 일이삼사 오육칠팔", "phone"),
        ("신한은행 110-123-456789", "account"),
        ("카드번호 1234-5678-9012-3456", "card"),
        ("hong@naver.com", "email"),
        ("뒷자리가 5678이에요", "number_part"),
        ("CVC는 일이삼이에요", "card_security_code"),
        ("비밀번호 앞 두 자리 일이요", "card_security_code"),
    ],
)
def test_labels(text: str, label: str) -> None:
    assert redact(call(text)).counts == {label: 1}


def test_a_number_with_a_wrong_check_digit_is_masked() -> None:
    # 900101-1234568 and 4111...1111 have right ones, their neighbours have not.
    for text in ("900101-1234568", "900101-1234567", "4111 1111 1111 1111", "4111 1111 1111 1112"):
        assert not any(char.isdigit() for char in masked(text)[0])


def test_a_number_said_by_both_voices_is_counted_where_it_stands() -> None:
    result = redact(
        call("공일공 일이삼사 오육칠팔이요", "네 공일공 일이삼사 오육칠팔", voices="ca")
    )
    assert result.counts == {"phone": 2}


def test_nothing_found_leaves_the_segments_as_they_are() -> None:
    segments = call("연 3.5퍼센트, 오천만 원입니다.", "2026년 11월 22일 11시 30분이요.")
    assert redact(segments).segments == tuple(segments)
    assert redact(segments).counts == {}
    assert redact([]).segments == ()


# --- numbers over several segments --------------------------------------------------------


def test_the_other_voice_may_finish_a_number() -> None:
    texts = masked("공일공 일이삼사", "네 오육칠팔이요", voices="ac")
    assert texts == ["*** ****", "네 ****이요"]


def test_repeats_of_a_part_are_masked_near_the_number_only() -> None:
    texts = masked("공일공 일이삼사 오육칠팔", "오육칠팔 맞으시죠", voices="ca")
    assert texts == ["*** **** ****", "**** 맞으시죠"]
    later = call("공일공 일이삼사 오육칠팔", "오육칠팔 맞으시죠", voices="ca")
    later[1] = replace(later[1], start=500.0, end=501.0)
    assert redact(later).segments[1].text == "오육칠팔 맞으시죠"


def test_a_question_announces_the_answer() -> None:
    asked = "휴대폰 뒷자리 네 자리 말씀해 주시겠어요"
    assert masked(asked, "이이공구요", voices="ac") == [asked, "****요"]
    for answer in ("지금은 몰라요", "세 시에 다시 할게요", "삼천이백만 원이요"):
        assert masked(asked, answer, voices="ac") == [asked, answer]


def test_what_takes_back_a_tail_is_masked_however_often() -> None:
    corrections = [f"아니 567{digit}요" for digit in range(9)] * 2
    texts = masked("010-1234-5678", *corrections)
    assert texts[1:] == ["아니 ****요"] * len(corrections)


def test_a_retraction_hides_nothing_where_nothing_was_said() -> None:
    text = "아니 오육칠팔 아니고 5679요"
    assert masked(text) == [text]


def test_what_is_far_from_a_number_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    once = redaction._mask_once

    def counted(segments: tuple[Segment, ...]) -> object:
        read.append(len(segments))
        return once(segments)

    monkeypatch.setattr(redaction, "_mask_once", counted)
    redact(call(*["네"] * 500, "010-1234-5678", *["네"] * 500))
    assert read == [1001, 61]


def test_a_long_pause_ends_a_number() -> None:
    segments = call("공일공", "일이삼사 오육칠팔")
    far = [segments[0], replace(segments[1], start=100.0, end=101.0)]
    assert redact(segments).counts == {"phone": 1}
    assert redact(far).counts == {}


def test_a_number_taken_back_is_masked_with_the_right_one() -> None:
    assert masked("공일공 일이삼사, 아니 일이삼오에 육칠팔구요") == ["*** ****, 아니 ****에 ****요"]


# --- words --------------------------------------------------------------------------------


def words(*texts: str) -> tuple[Word, ...]:
    return tuple(Word(n * 0.5, n * 0.5 + 0.4, text, 0.9) for n, text in enumerate(texts))


def test_words_are_masked_in_step() -> None:
    segment = Segment(0, 0, 3, " 번호는 공일공 일이삼사 오육칠팔이요.")
    said = words(" 번호는", " 공일공", " 일이삼사", " 오육", "칠팔이요.")
    result = redact([replace(segment, words=said)]).segments[0]
    assert result.text == " 번호는 *** **** ****이요."
    assert result.words is not None
    assert [word.word for word in result.words] == [
        *(" 번호는", " ***", " ****", " **", "**이요."),
    ]
    assert [replace(word, word="") for word in result.words] == [
        replace(word, word="") for word in said
    ]


def test_words_that_cannot_be_placed_are_dropped_with_a_mask() -> None:
    segment = Segment(0, 0, 3, "공일공 일이삼사 오육칠팔", words=words("공일공", "1234", "5678"))
    assert redact([segment]).segments[0].words is None


def test_words_that_hold_more_than_the_text_are_dropped() -> None:
    segment = Segment(0, 0, 3, "번호요", words=words("010-1234-5678"))
    assert redact([segment]).segments[0].words is None
    harmless = Segment(0, 0, 3, "번호요", words=words("번호", "입니다"))
    assert redact([harmless]).segments[0] == harmless


def test_words_without_a_mask_stay() -> None:
    segment = Segment(0, 0, 3, "네 맞아요", words=words("네", " 맞아요"))
    assert redact([segment]).segments == (segment,)


# --- it fails closed ----------------------------------------------------------------------


def test_a_fault_lets_no_text_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str, runs: object) -> object:
        raise ValueError(text)

    monkeypatch.setattr(redaction, "recognise_numbers", broken)
    with pytest.raises(RedactionFailed) as caught:
        redact(call("제 번호는 010-1234-5678"))
    assert "010" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert isinstance(caught.value, EngineError)
    assert caught.value.error_type == "RedactionFailed"


def test_what_is_no_segment_fails() -> None:
    with pytest.raises(RedactionFailed):
        redact([None])  # type: ignore[list-item]
    with pytest.raises(RedactionFailed):
        redact([replace(call("네")[0], text=None)])  # type: ignore[arg-type]


def test_masking_that_does_not_come_to_an_end_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_MAX_ROUNDS", 1)
    with pytest.raises(RedactionFailed, match="1 rounds"):
        redact(call("010-1234-5678"))


# --- Unicode ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "０１０－１２３４－５６７８",
        unicodedata.normalize("NFD", "공일공 일이삼사 오육칠팔"),
        "010\u200b-1234\u2013\u200b5678",
        "010‐1234‐5678",
        "٠١٠-١٢٣٤-٥٦٧٨",
    ],
)
def test_other_ways_to_write_the_same(text: str) -> None:
    result = redact(call(text))
    assert result.counts == {"phone": 1}
    assert not any(char.isalnum() for char in result.segments[0].text)


# --- properties ---------------------------------------------------------------------------

FRAGMENTS = st.sampled_from(
    "공일공 1234\n오육칠팔|\u200b|\u0301|①| | | |\n|".split("|")
    + """
    공일공 일이삼사 오육칠팔 공 일 이 삼 사 오 구 이요 이고요 이에요 입니다 에 다시 네 그 다음에
    아니 010 1234 5678 110 456789 900101 1234567 3.5 퍼센트 3,000 만원 원 2026 년 11 월 22 일 백십
    천이백 삼천만 - , . / ( ) * @ 골뱅이 네이버 점 컴 hong naver.com 계좌번호 카드 주민번호 뒷자리
    여권 엠 M 면허번호 서울 신한은행 전화 하나 둘
    """.split()
)
SPEECH = st.lists(FRAGMENTS, max_size=30).map("".join)
ANYTHING = st.text(st.characters(), max_size=60)
VOICES = st.sampled_from([(0, None), (0, "agent"), (1, "customer")])
TIMES = st.floats(0, 100) | st.floats()


@st.composite
def segments_of(draw: st.DrawFn, text: st.SearchStrategy[str]) -> Segment:
    channel, speaker = draw(VOICES)
    said = draw(text)
    cut = sorted(draw(st.lists(st.integers(0, len(said)), max_size=3)))
    parts = [said[start:end] for start, end in itertools.pairwise([0, *cut, len(said)])]
    times = words(*parts) if draw(st.booleans()) else None
    number = draw(st.integers())
    return Segment(number, draw(TIMES), draw(TIMES), said, channel, speaker, 0.5, times)


def assert_masked(before: Sequence[Segment], after: Sequence[Segment]) -> None:
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert len(new.text) == len(old.text)
        assert new.id == old.id
        assert repr((new.start, new.end)) == repr((old.start, old.end))
        assert (new.channel, new.speaker, new.confidence) == (old.channel, old.speaker, 0.5)
        for char, kept in zip(old.text, new.text, strict=True):
            assert kept == char or (kept == "*" and unicodedata.category(char)[0] in "LNM")
        if new.words is not None:
            assert "".join(word.word for word in new.words) == new.text


@settings(max_examples=200, deadline=None)
@given(st.lists(segments_of(SPEECH), max_size=5))
def test_only_characters_of_identifiers_change(segments: list[Segment]) -> None:
    result = redact(segments)
    assert_masked(segments, result.segments)
    again = redact(result.segments)
    assert repr(again.segments) == repr(result.segments)
    assert again.counts == {}
    assert bool(result.counts) == (repr(result.segments) != repr(tuple(segments)))


@settings(max_examples=200, deadline=None)
@given(st.lists(segments_of(ANYTHING), max_size=3))
def test_any_text_is_masked_or_refused(segments: list[Segment]) -> None:
    try:
        result = redact(segments)
    except RedactionFailed:
        return
    assert_masked(segments, result.segments)


DIGITS = "공일이삼사오육칠팔구"
FRAMES = st.sampled_from(
    [
        "{}",
        "제 번호는 {}이에요.",
        "네, {}로 주세요",
        "3천만 원이고요 {} 입니다",
        "연 3.5퍼센트, {}.",
    ]
)


@st.composite
def telephone_numbers(draw: st.DrawFn) -> tuple[str, str]:
    """A frame with a mobile number in it, in words and figures; and what of it should be left."""
    number = st.text("0123456789", min_size=4, max_size=4)
    groups = ["010", draw(number), draw(number)]
    said = [
        "".join(DIGITS[int(digit)] for digit in group) if draw(st.booleans()) else group
        for group in groups
    ]
    # 이 before an ending has two readings; the labelled lines have those.
    separator = draw(st.sampled_from([" ", "-", " - ", ", ", "에 ", " 다시 ", "\n", " 네 ", "."]))
    frame = draw(FRAMES)
    left = separator.join("*" * len(group) for group in said)
    return frame.format(separator.join(said)), frame.format(left)


@settings(max_examples=300, deadline=None)
@given(telephone_numbers())
def test_no_telephone_number_survives(line: tuple[str, str]) -> None:
    text, expected = line
    assert masked(text) == [expected]


NUMERALS = "일이삼사오육칠팔구"
SYMBOLS = "-·ㆍ・•ㅡ~～_:─/|=;→…―–—⋅∙〜'\"\\+&#^\u200b\u2060\u0301"


def in_tens(pair: str) -> str:
    """A pair of digits as it is read: 구십이, and digit by digit where it begins with 0."""
    tens, ones = int(pair[0]), int(pair[1])
    if not tens:
        return "".join(DIGITS[int(digit)] for digit in pair)
    return ("" if tens == 1 else NUMERALS[tens - 1]) + "십" + (NUMERALS[ones - 1] if ones else "")


def counted(group: str) -> str:
    """Four digits with their repetitions counted: 오 네 개."""
    counts = {1: "", 2: " 두 개", 3: " 세 개", 4: " 네 개"}
    runs = [(digit, len(list(same))) for digit, same in itertools.groupby(group)]
    return " ".join(DIGITS[int(digit)] + counts[length] for digit, length in runs)


def doubled(group: str) -> str:
    """Four digits, of which equal ones are said to be double."""
    pairs = [group[:2], group[2:]]
    return " ".join(
        f"더블 {DIGITS[int(pair[0])]}"
        if pair[0] == pair[1]
        else DIGITS[int(pair[0])] + DIGITS[int(pair[1])]
        for pair in pairs
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("0123456789", min_size=4, max_size=4), min_size=2, max_size=2),
    st.sampled_from([counted, doubled, lambda group: f"{in_tens(group[:2])} {in_tens(group[2:])}"]),
)
def test_no_way_to_say_four_digits_survives(groups: list[str], say: Callable[[str], str]) -> None:
    said = [say(group) for group in groups]
    text = f"제 번호는 공일공에 {said[0]}에 {said[1]}입니다"
    left = [f"{''.join('*' if char != ' ' else ' ' for char in one)}" for one in said]
    assert masked(text) == [f"제 번호는 ***에 {left[0]}에 {left[1]}입니다"]


@settings(max_examples=200, deadline=None)
@given(st.text(SYMBOLS, min_size=1, max_size=2), st.integers(0, 9999), st.integers(0, 9999))
def test_no_symbol_hides_a_number(symbol: str, middle: int, last: int) -> None:
    (text,) = masked(f"번호는 010{symbol}{middle:04}{symbol}{last:04}입니다")
    assert not any(char.isdigit() for char in text)
    assert text.endswith("입니다")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([0, 0, 2, 3, 5, 5, 10]), min_size=3, max_size=8),
    st.sampled_from(
        ["배리어는 ", "은행에서 파는 ELS는 ", "카드 제휴 상품은 ", "통장에 담긴 건 ", ""]
    ),
    st.sampled_from(["-", " ", "/", ", ", "~", "ㆍ", ":", "에 "]),
    st.booleans(),
)
def test_barriers_stay(steps: list[int], before: str, between: str, spoken: bool) -> None:
    values = [
        str(value) for value in itertools.accumulate(steps, lambda a, b: max(40, a - b), initial=95)
    ]
    said = between.join(map(in_tens, values) if spoken else values)
    assert masked(f"{before}{said}입니다") == [f"{before}{said}입니다"]


def test_every_cue_is_looked_for() -> None:
    cues = """
    뒷자리 뒷번호 끝자리 끝번호 마지막자리 가운데번호 중간자리 하위4자리 끄트머리숫자 맨끝자리 cvc
    cvv cvn cid c.v.c 씨브이씨 시브이씨 씨브이브이 보안코드 시큐리티코드 확인코드 카드인증코드
    카드확인번호 뒷면 서명란 아니 아뇨 아차 앗 말고 정정 수정 죄송 미안 잘못 잠깐 틀렸 바꿔 헷갈
    착각 실수 오타 달라 다르 바뀌 바뀐
    """.split()
    assert [cue for cue in cues if not list(announced._find_cues(cue))] == []


def test_a_recogniser_that_repeats_itself_is_masked_in_time() -> None:
    segments = call(*["일 이 삼 사 오 육 칠 팔 구 공 " * 10] * 10)
    assert "resident_number" in redact(segments).counts or "card" in redact(segments).counts
