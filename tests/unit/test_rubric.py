import shutil
from importlib import resources
from pathlib import Path

import pytest

from api_server.compliance.rubric import BUILT_IN, RubricInvalid, load_rubric

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


RULES = """
[words]
"원금" = ["원금", "본전"]
[[rules."a.b"]]
says = ["<원금>", "보장"]
"""
NAMES_RULES = GOOD.replace('version = "v1"', 'version = "v1"\nrules = "my.rules.toml"')


def written(tmp_path: Path, text: str, rules: str | None = None) -> Path:
    file = tmp_path / "rubric.toml"
    file.write_text(text, encoding="utf-8")
    if rules is not None:
        (tmp_path / "my.rules.toml").write_text(rules, encoding="utf-8")
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


# --- a rules file beside the rubric -------------------------------------------------------


def test_rules_may_be_in_a_file_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, rules = RULES.split("[[rules", 1)
    one_file = GOOD.replace("[[elements]]", f"{words}[[elements]]")
    one_file += "[[elements.rules]]" + rules.split("]]", 1)[1]
    expected = load_rubric(written(tmp_path, one_file))
    file = written(tmp_path, NAMES_RULES, "\ufeff" + RULES)
    assert load_rubric(file) == expected
    assert expected.elements[0].rules
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_rubric(Path("..") / file.name) == expected


def test_the_three_files_of_the_default_may_be_copied(tmp_path: Path) -> None:
    for file in (resources.files("api_server") / "rubrics").iterdir():
        if file.name.startswith("financial_consumer_protection."):
            shutil.copy(str(file), tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    copied, default = load_rubric(tmp_path / "financial_consumer_protection.toml"), load_rubric()
    assert copied.model
    assert default.model
    assert copied.model.sha256 == default.model.sha256
    same = copied.model_copy(update={"model": default.model})
    assert same == default


def test_the_default_can_be_read_in_one_sitting() -> None:
    file = resources.files("api_server") / "rubrics" / "financial_consumer_protection.toml"
    text = file.read_text("utf-8")
    assert len(text.splitlines()) <= 400
    assert "says = " not in text
    for element in load_rubric().asked:
        assert element.examples
        assert element.not_examples


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (None, ["my.rules.toml", "같은 폴더"]),
        ("[[rules", ["my.rules.toml", "TOML"]),
        (RULES.replace("says", "sayz"), ["my.rules.toml", "[a.b]의 1번째 규칙 sayz", "철자"]),
        (RULES.replace("[words]", "[word]"), ["my.rules.toml", "word", "철자"]),
        (RULES.replace("a.b", "a.c"), ["my.rules.toml", "없는 항목", "a.c"]),
        (RULES.replace("<원금>", "<없음>"), ["my.rules.toml", "[a.b] rules", "없음"]),
        (RULES.replace('["<원금>", "보장"]', "[]"), ["my.rules.toml", "[a.b]의 1번째 규칙 says"]),
    ],
)
def test_an_error_in_the_rules_file_says_where(
    tmp_path: Path, rules: str | None, told: list[str]
) -> None:
    file = written(tmp_path, NAMES_RULES, rules)
    with pytest.raises(RubricInvalid) as caught:
        load_rubric(file)
    assert all(words in str(caught.value) for words in [*told, str(file)])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"my.rules.toml"', "1", "rules: 규칙 파일의 이름"),
        ('"my.rules.toml"', '" "', "rules: 규칙 파일의 이름"),
        ("[[elements]]", '[words]\n"원금" = ["원금"]\n[[elements]]', r"words 원금.*한쪽에만"),
        (
            'counts = "나"',
            'counts = "나"\n[[elements.rules]]\nsays = ["가"]',
            r"\[a\.b\] rules.*한쪽에만",
        ),
        ('id = "a.b"', "", r"1번째 항목 \[id 없음\]"),
        ("[[elements]]", "[elements]", "elements"),
        ("[[elements]]", "words = 1\n[[elements]]", "words"),
    ],
)
def test_an_error_in_the_rubric_of_a_rules_file_says_where(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    file = written(tmp_path, NAMES_RULES.replace(old, new), RULES)
    with pytest.raises(RubricInvalid, match=told):
        load_rubric(file)
