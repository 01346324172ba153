import pytest

from api_server.pii.gaps import Gap
from api_server.pii.spoken_numbers import NumberRun, find_runs


def only(text: str) -> NumberRun:
    (run,) = find_runs(text)
    return run


def readings(text: str) -> list[list[str]]:
    """The likely digits of each group, run by run."""
    return [[group.likely.digits for group in run.groups] for run in find_runs(text)]


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("공일공 일이삼사 오육칠팔", ["010", "1234", "5678"]),
        ("공일공에 1234에 오육칠팔이요", ["010", "1234", "5678"]),
        ("하나둘셋 넷다섯여섯 일곱여덟아홉", ["123", "456", "789"]),
        ("영일륙 빵빵제로", ["016", "000"]),
        ("번호는공일공일이삼사오육칠팔", ["01012345678"]),
        ("공1공 1234", ["0", "1", "0", "1234"]),
        ("신한 백십 다시 일이삼", ["110", "123"]),
        ("천이에 구오오", ["1002", "955"]),
        ("그 다음이요 공일공", ["010"]),
        ("공일공에 오 네 개", ["010", "5555"]),
        ("구 두 번 사가 세 개", ["99", "444"]),
        ("더블 칠 쌍팔 트리플 오", ["77", "88", "555"]),
        ("구십이 공삼 이십일", ["92", "03", "21"]),
        ("사십오만육천칠백팔십구", ["456789"]),
        ("4천5백67", ["4567"]),
        ("1,101,234,567", ["1101234567"]),
        ("01o 1234 567b", ["010", "1234", "5678"]),
    ],
)
def test_digits_of_a_run(text: str, digits: list[str]) -> None:
    assert readings(text) == [digits]


@pytest.mark.parametrize(
    ("text", "likely", "all_readings"),
    [
        ("오육칠팔이요", "5678", {"5678", "56782"}),
        ("오육칠사이요", "56742", {"5674", "56742"}),
        ("오육칠사구요", "5674", {"5674", "56749"}),
        ("오육칠구요", "5679", {"567", "5679"}),
        ("공일공이구요", "010", {"010", "0102", "01029"}),
        ("오육칠팔입니다", "5678", {"5678"}),
    ],
)
def test_an_ending_may_look_like_digits(text: str, likely: str, all_readings: set[str]) -> None:
    (group,) = only(text).groups
    assert group.likely.digits == likely
    assert {reading.digits for reading in group.readings} == all_readings


@pytest.mark.parametrize(
    "text",
    [
        "3,000만원",
        "1억 2천만 원",
        "오천만 원",
        "연 3.5퍼센트",
        "2026년 11월 22일",
        "2026-11-22",
        "2026. 11. 22.",
        "11:30",
        "14:25:36",
        "삼 점 오",
        "십이 점 삼사 퍼센트",
        "95.0-92.5-90.0",
        "이천이십육년",
        "36개월",
        "65세",
        "제19조",
        "12345호",
        "1234회",
        "5g",
        "kr5101234567",
        "1번",
        "팔공산",
        "오늘 이사합니다",
        "50%",
        "$100",
    ],
)
def test_quantities_and_words_are_no_groups(text: str) -> None:
    assert readings(text) == []


@pytest.mark.parametrize(
    ("between", "gap"),
    [
        ("-", Gap.TIGHT),
        (" - ", Gap.HYPHEN),
        (" ", Gap.PLAIN),
        (", ", Gap.PLAIN),
        (": ", Gap.PLAIN),
        ("+", Gap.PLAIN),
        ("ㆍ", Gap.PLAIN),
        ("_", Gap.TIGHT),
        ("에 ", Gap.WORDS),
        (" 다시 ", Gap.WORDS),
        ("이고요, 그 다음에 ", Gap.WORDS),
        ("\n네 맞습니다\n", Gap.WORDS),
        (" 뭐였더라 ", Gap.LOOSE),
    ],
)
def test_gaps(between: str, gap: Gap) -> None:
    assert list(only(f"공일공{between}1234").gaps) == [gap]


@pytest.mark.parametrize("between", [" 계좌번호는 ", " 고객번호 ", " 퍼센트 ", " abc ", "*"])
def test_other_words_end_a_run(between: str) -> None:
    assert all(len(run.groups) == 1 for run in find_runs(f"123456{between}345678"))


def test_groups_lead_back_to_the_text() -> None:
    text = "네 공일공에 1234요"
    assert [text[group.start : group.end] for group in only(text).groups] == ["공일공", "1234"]
