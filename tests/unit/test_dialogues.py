"""The labelled dialogues: what is in them, and how any file of dialogues is read and scored."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import evaluation
from api_server.compliance.rubric import load_rubric
from evaluation.dialogues import DialogueInvalid, accused, interval, load_dialogues
from evaluation.score import accusations

TALKS = load_dialogues()
KINDS = {one.id: one.kind for one in load_rubric().asked}
PROHIBITED = frozenset(name for name, kind in KINDS.items() if kind == "prohibited")


def test_every_dialogue_is_new_and_labelled_with_known_elements() -> None:
    words = {"".join(s.text.replace(" ", "") for s in one.passage.segments) for one in TALKS}
    assert len(words) == len({one.passage.id for one in TALKS}) == len(TALKS) >= 5_000
    assert all(one.passage.said | one.passage.near <= KINDS.keys() for one in TALKS)
    assert all(not one.passage.said & one.passage.near for one in TALKS)
    assert all(2 <= len(one.passage.segments) <= 12 for one in TALKS)
    assert all(bool(one.passage.said & PROHIBITED) == (one.kind == "violation") for one in TALKS)
    assert all(one.passage.near for one in TALKS if one.kind == "lookalike")


def test_every_element_kind_and_register_has_its_share() -> None:
    said = Counter(name for one in TALKS for name in one.passage.said)
    assert all(said[name] >= 80 for name in KINDS), said
    kinds = Counter(one.kind for one in TALKS)
    assert min(kinds.values()) > 0.3 * len(TALKS), kinds
    crossed = Counter((one.kind, one.register) for one in TALKS)
    assert len(crossed) == 12, crossed
    assert min(crossed.values()) > 0.02 * len(TALKS), crossed


def test_a_tenth_is_kept_back_of_every_writer() -> None:
    held = Counter(one.passage.id[0] for one in TALKS if one.held)
    assert 0.09 < held.total() / len(TALKS) < 0.12
    assert set(held) == set("abcdefghijkl")


def test_the_blind_dialogues_are_nobodys_training() -> None:
    blind = load_dialogues([Path(evaluation.__file__).with_name("blind.jsonl")])
    assert len(blind) >= 150
    assert all(one.held and one.passage.said | one.passage.near <= KINDS.keys() for one in blind)
    assert {name for one in blind for name in one.passage.said} == KINDS.keys()
    known = {s.text for one in TALKS for s in one.passage.segments if len(s.text) > 20}
    assert not known & {s.text for one in blind for s in one.passage.segments}


def test_a_file_of_anyones_dialogues_is_read(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    turns = [["customer", "원금은요?"], ["agent", "원금은 백 퍼센트 보장됩니다"]]
    rows = [
        {"id": "1", "turns": turns, "violated": ["solicitation.certainty"], "satisfied": []},
        {"id": "2", "turns": turns, "violated": [], "satisfied": []},
        {"id": "3", "turns": [["agent", "안녕하세요"]], "violated": [], "satisfied": []},
    ]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n", "utf-8")
    talks = load_dialogues([file])
    assert [one.passage.said for one in talks] == [{"solicitation.certainty"}, set(), set()]
    assert accusations(talks, load_rubric())["no violation"] == {
        "accused": 1,
        "of": 2,
        "interval": interval(1, 2),
    }


@pytest.mark.parametrize(
    "line",
    ["{", "{}", '{"id": 1, "turns": [["nobody", "x"]], "violated": [], "satisfied": []}', "3"],
)
def test_a_line_that_says_no_dialogue_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(f"\n{line}\n", "utf-8")
    with pytest.raises(DialogueInvalid, match=r"bad.jsonl:2: "):
        load_dialogues([file])


def test_a_confidence_interval() -> None:
    """Wilson, E. B. (1927): 15 of 148 is 0.062 to 0.160 at 95 %."""
    assert interval(15, 148) == pytest.approx((0.0624, 0.1604), abs=5e-4)
    assert interval(0, 0) == (0.0, 1.0)
    assert interval(0, 10)[0] == 0.0


def test_accusations_are_counted_by_kind_and_register() -> None:
    found = {one.passage.id: PROHIBITED for one in TALKS}
    counted = {name: (part, whole) for name, part, whole in accused(TALKS, found, PROHIBITED)}
    assert len(counted) == 2 + 2 * 4
    assert all(part == whole > 0 for part, whole in counted.values())
