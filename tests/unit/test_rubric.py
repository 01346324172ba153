from pathlib import Path

import pytest

from api_server.services.rubric import BUILT_IN, RubricInvalid, load_rubric

PROHIBITED = {
    "suitability.steering",
    "suitability.mismatch",
    "explanation.evasion",
    "unfair.tying",
    "solicitation.certainty",
    "solicitation.false_statement",
    "solicitation.concealment",
    "solicitation.comparison",
    "solicitation.pressure",
}
REQUIRED = {
    "suitability.profile",
    "appropriateness.check",
    "explanation.product_risk",
    "explanation.fees",
    "explanation.withdrawal",
    "explanation.understanding",
    "notice.recording",
}

GOOD = """
version = "v1"
effective_from = 2026-01-01
title = "t"
disclaimer = "d"
[[elements]]
id = "a.b"
article = "제1조"
title = "가"
kind = "required"
counts = "나"
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "rubric.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_default_has_the_promised_elements() -> None:
    rubric = load_rubric()
    kinds = {element.id: element.kind for element in rubric.asked}
    assert {name for name, kind in kinds.items() if kind == "prohibited"} == PROHIBITED
    assert {name for name, kind in kinds.items() if kind == "required"} == REQUIRED


@pytest.mark.parametrize("article", range(17, 23))
def test_the_default_covers_the_articles(article: int) -> None:
    assert any(f"제{article}조" in element.article for element in load_rubric().elements)


def test_advertising_is_listed_and_never_asked() -> None:
    rubric = load_rubric()
    (advertising,) = (e for e in rubric.elements if "제22조" in e.article)
    assert not advertising.applicable
    assert advertising not in rubric.asked


def test_only_conditional_elements_can_be_waived() -> None:
    waivable = {element.id for element in load_rubric().asked if element.applies_if}
    assert waivable == {"appropriateness.check", "unfair.tying"}


def test_the_sales_rubric_has_the_five_steps() -> None:
    titles = [element.title for element in load_rubric("sales_process").asked]
    assert titles == ["고객 요구사항", "제안", "가격", "다음 단계", "계약"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_asked_element_of_the_built_in_rubrics_has_examples(name: str) -> None:
    assert all(element.examples for element in load_rubric(name).asked)


def test_a_users_file_is_read(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeff" + GOOD)
    assert load_rubric(file).version == "v1"
    assert load_rubric(str(file)).elements[0].said_by == "agent"
    assert load_rubric(file).language == "ko"


def test_a_rubric_may_be_in_english(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD.replace('version = "v1"', 'version = "v1"\nlanguage = "en"'))
    assert load_rubric(file).language == "en"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('kind = "required"', 'kind = "forbidden"', ["a.b", "kind", "허용되지 않는"]),
        ('kind = "required"', "", ["a.b", "kind", "값이 없습니다"]),
        ('counts = "나"', 'count = "나"', ["a.b", "counts", "count", "철자"]),
        ('counts = "나"', 'counts = " "', ["a.b", "counts", "비어 있습니다"]),
        ('counts = "나"', f'counts = "{"나" * 121}"', ["a.b", "counts", "줄이십시오"]),
        ('id = "a.b"', 'id = "A b"', ["1번째", "id는 영문 소문자"]),
        ('id = "a.b"', "", ["1번째", "id 없음", "값이 없습니다"]),
        ('counts = "나"', 'counts = "나"\ndenials = [""]', ["a.b", "denials", "빈 표현"]),
        ('counts = "나"', 'counts = "나"\napplicable = false', ["점검할 항목이 없습니다"]),
        ('version = "v1"', "", ["version", "값이 없습니다"]),
        ('title = "t"', 'title = "t"\nlanguage = "jp"', ["language", "허용되지 않는"]),
        ("2026-01-01", '"언젠가"', ["effective_from", "YYYY-MM-DD"]),
        ("[[elements]]", "[elements]", ["elements"]),
        ("[[elements]]", "[[elements]", ["TOML"]),
        (GOOD, "elements = [1]", ["1번째 항목 [id 없음]"]),
        (GOOD, "", ["version"]),
    ],
)
def test_an_error_says_where_and_what_to_do(
    tmp_path: Path, old: str, new: str, told: list[str]
) -> None:
    file = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(RubricInvalid) as caught:
        load_rubric(file)
    assert all(words in str(caught.value) for words in [*told, str(file)])


def test_an_id_stands_once(tmp_path: Path) -> None:
    element = GOOD[GOOD.index("[[elements]]") :]
    with pytest.raises(RubricInvalid, match=r"두 번 나옵니다: a\.b"):
        load_rubric(written(tmp_path, GOOD + element))


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None])
def test_what_cannot_be_read_is_named(tmp_path: Path, make: object) -> None:
    path = tmp_path / "absent.toml"
    make(path)  # type: ignore[operator]
    with pytest.raises(RubricInvalid, match=r"absent\.toml.*내장 이름"):
        load_rubric(path)


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    file = tmp_path / "rubric.toml"
    file.write_bytes("제목".encode("cp949"))
    with pytest.raises(RubricInvalid, match="UTF-8"):
        load_rubric(file)
