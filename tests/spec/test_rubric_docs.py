"""The pages on the rubric say what the file says, and their example works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api_server.compliance.findings import MIN_PRECISION, precision_asked
from api_server.compliance.model_card import SUSPECTED, load_card
from api_server.compliance.rubric import load_rubric
from api_server.compliance.rules.engine import PatternRules
from stt_engine.speech import Segment

DOCS = Path(__file__).resolve().parents[2] / "docs"
KINDS = {"required": "필수", "prohibited": "금지"}


@pytest.mark.parametrize("page", ["rubric.md", "rubric.ko.md"])
def test_every_element_is_told(page: str) -> None:
    text, rubric = (DOCS / page).read_text("utf-8"), load_rubric()
    rows = re.findall(
        r"^\| `([\w.]+)` \| (제[^|]+|통화[^|]+) \| [^|]+ \| (\S+) \|", text, re.MULTILINE
    )
    kinds = KINDS if page.endswith("ko.md") else {kind: kind for kind in KINDS}
    assert rows == [(e.id, e.article, kinds[e.kind]) for e in rubric.elements]
    assert f"`{rubric.version}`" in text
    assert str(rubric.effective_from) in text


@pytest.mark.parametrize("page", ["rubric.md", "rubric.ko.md"])
def test_the_operating_points_are_told(page: str) -> None:
    text, rubric = (DOCS / page).read_text("utf-8"), load_rubric()
    assert rubric.model
    kinds = {one.id: one.kind for one in rubric.asked}
    for name, one in load_card(rubric.model).elements.items():
        needed = one.needed(precision_asked(kinds[name], MIN_PRECISION))
        (point,) = (point for point in one.points if point.confidence == needed)
        suspected = next(point for point in one.points if point.confidence >= SUSPECTED)
        figures = (needed, point.precision, point.recall, suspected.recall)
        row = " | ".join(f"{figure:.2f}" for figure in figures)
        assert f"| `{name}` | {row} |" in text


@pytest.mark.parametrize("page", ["rubric.md", "rubric.ko.md"])
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("오늘 가입하시면 상품권 챙겨 드릴게요.", True),
        ("가입하셔도 상품권은 드리지 않습니다.", False),
        ("가입하시면 추첨으로 상품권을 드립니다.", False),
    ],
)
def test_the_example_works(page: str, words: str, found: bool, tmp_path: Path) -> None:
    (example,) = re.findall(
        r"```toml rubric\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL
    )
    file = tmp_path / "rubric.toml"
    file.write_text(example, "utf-8")
    tier = PatternRules(load_rubric(file))
    finding = tier.examine([Segment(0, 0.0, 1.0, words, 0, "agent")])["gift.promise"]
    assert bool(finding.evidence) is found
