"""The model beside the rubric: what it was fitted to, and how good it is on words it never met."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from api_server.compliance.deterministic import DeterministicTier
from api_server.compliance.model.linear import LinearModel
from api_server.compliance.model.ngrams import Pieces
from api_server.compliance.model_card import RubricModelInvalid, load_card
from api_server.compliance.rubric import RubricInvalid, load_rubric
from evaluation.dialogues import accused, load_dialogues
from evaluation.fitted import data_sha256
from evaluation.score import judge
from evaluation.tiers import anonymous, check
from stt_engine.speech import Segment

RUBRIC = load_rubric()
PROHIBITED = frozenset(one.id for one in RUBRIC.asked if one.kind == "prohibited")
HELD = [one for one in load_dialogues() if one.held]


def call(*turns: tuple[str, str]) -> tuple[Segment, ...]:
    return tuple(
        Segment(number, number * 3.0, number * 3.0 + 2, text, int(who == "customer"), who)
        for number, (who, text) in enumerate(turns)
    )


def test_the_model_is_fitted_to_the_data_that_is_here() -> None:
    assert RUBRIC.model is not None
    card = load_card(RUBRIC.model)
    assert card.data_sha256 == data_sha256(), "the data changed: make train"
    assert list(card.elements) == [one.id for one in RUBRIC.asked]


def test_a_file_that_changes_after_the_rubric_was_read_is_refused(tmp_path: Path) -> None:
    assert RUBRIC.model is not None
    file = tmp_path / "a.model"
    shutil.copy(RUBRIC.model.path, file)
    ref = RUBRIC.model.model_copy(update={"path": str(file)})
    LinearModel(ref)
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(RubricModelInvalid, match="바뀌었습니다"):
        LinearModel(ref)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("model = 1", "따옴표"),
        ('model = "none.model"', "없"),
        ('model = "rubric.toml"', "모델 파일이 아닙니다"),
    ],
)
def test_a_rubric_without_its_model_is_refused(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "rubric.toml"
    file.write_text(
        f'{line}\nversion = "v1"\neffective_from = 2026-01-01\ntitle = "t"\ndisclaimer = "d"\n'
        '[[elements]]\nid = "a.b"\narticle = "1"\ntitle = "t"\nkind = "required"\ncounts = "c"\n',
        "utf-8",
    )
    with pytest.raises(RubricInvalid, match=said):
        load_rubric(file)


def test_what_is_stated_of_words_never_met_is_mostly_right() -> None:
    passages = [one.passage for one in HELD]
    found = check(passages, RUBRIC)
    stated = judge(passages, RUBRIC, found.stated).total(RUBRIC, "prohibited")
    shown = judge(passages, RUBRIC, found.shown).total(RUBRIC, "prohibited")
    assert stated.precision is not None
    assert shown.recall is not None
    assert stated.precision >= 0.85
    assert shown.recall >= 0.8
    innocent = {name: part / many for name, part, many in accused(HELD, found.stated, PROHIBITED)}
    assert innocent["lookalike"] <= 0.05
    assert innocent["clean"] <= 0.02


def test_nobody_is_accused_by_words_of_nobody_knows_whom() -> None:
    passages = anonymous([one.passage for one in HELD])
    stated = check(passages, RUBRIC).stated
    assert not any(found & PROHIBITED for found in stated.values())


def test_the_evidence_is_the_agents_and_in_the_call() -> None:
    tier = DeterministicTier(RUBRIC)
    said = {one.id: one.said_by for one in RUBRIC.asked}
    for one in HELD[:120]:
        texts = {segment.id: segment for segment in one.passage.segments}
        for name, finding in tier.examine(one.passage.segments).items():
            for evidence in finding.evidence:
                segment = texts[evidence.segment_id]
                assert evidence.quote in segment.text
                assert said[name] == "any" or segment.speaker == "agent"


def test_a_rubric_without_a_model_believes_its_rules() -> None:
    tier = DeterministicTier(RUBRIC.model_copy(update={"model": None}))
    found = tier.examine(call(("agent", "원금은 백 퍼센트 보장됩니다")))["solicitation.certainty"]
    assert found.certainty == "certain"
    assert found.confidence is None
    assert found.evidence


def test_what_is_asked_for_decides_what_is_certain() -> None:
    certain = [
        sum(
            one.certainty == "certain" and bool(one.evidence)
            for talk in HELD[:120]
            for one in tier.examine(talk.passage.segments).values()
        )
        for tier in (DeterministicTier(RUBRIC, least) for least in (0.5, 0.9, 1.0))
    ]
    assert certain[0] > certain[1] > certain[2]


def test_a_piece_that_a_window_has_twice_counts_once() -> None:
    weights = LinearModel(load_rubric().model).weights  # type: ignore[arg-type]
    rows = np.array([7, 3, 7, 9, 3, 7])
    twice, once = weights.score(rows, [(0, 6), (0, 4)])
    assert np.array_equal(twice, once)
    (kept,) = weights.score(np.array([3, 7, 9]), [(0, 3)])
    assert np.allclose(once, kept)
    known = Pieces(weights.known[[0, 5, 5, len(weights.known) - 1]].astype(np.int64), np.arange(4))
    last = len(weights.known) - 1
    assert weights.rows(known).number.tolist() == [0, 5, 5, last]
    assert weights.rows(Pieces(known.number ^ 1, known.sentence)).number.tolist() == []


def test_the_same_words_in_a_longer_call_are_no_surer() -> None:
    tier = DeterministicTier(RUBRIC)
    words = call(("customer", "원금은요?"), ("agent", "원금은 백 퍼센트 보장되니까 걱정 마세요"))
    greeting = call(*[("agent", "안녕하세요 고객님 오늘 날씨가 참 좋네요")] * 100)
    moved = tuple(
        replace(one, id=one.id + 2, start=one.start + 10, end=one.end + 10) for one in greeting
    )
    short = tier.examine(words)["solicitation.certainty"]
    long = tier.examine((*words, *moved))["solicitation.certainty"]
    assert short.confidence is not None
    assert long.confidence is not None
    assert long.confidence <= short.confidence
