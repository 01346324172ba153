"""The language that is requested or detected, and translation."""

from __future__ import annotations

from pathlib import Path

import pytest

from stt_engine.backends.base import RawSegment
from stt_engine.errors import (
    LanguageNotSupported,
)
from tests.support.recognition_runs import run
from tests.support.stub_model import FakeModel, channel_at, job_of


# Languages --------------------------------------------------------------------------------
def test_the_language_that_was_asked_for_is_used_without_listening_for_it(tmp_path: Path) -> None:
    model = FakeModel([[RawSegment(0, 1, "네")]], speaks="ja")
    found = run(model, job_of(channel_at(tmp_path / "a", (1, 2))))
    assert model.asked == [(1.0, "ko", "transcribe")]
    assert model.detected == []
    assert found["language"] == "ko"


def test_auto_listens_once_to_the_longest_stretch(tmp_path: Path) -> None:
    model = FakeModel([[RawSegment(0, 1, "a")]] * 3, speaks="en")
    file = channel_at(tmp_path / "a", (1, 2), (4, 9), (12, 14))
    found = run(model, job_of(file, language="auto"))
    assert model.detected == [5.0, 5.0]  # and once more, beside the language that was found
    assert {language for _, language, _ in model.asked} == {"en"}
    assert found["language"] == "en"


def test_an_english_only_model_refuses_korean_instead_of_inventing(tmp_path: Path) -> None:
    model = FakeModel([[RawSegment(0, 1, "nonsense")]], multilingual=False)
    with pytest.raises(LanguageNotSupported, match="'ko'"):
        run(model, job_of(channel_at(tmp_path / "a", (1, 2))))
    assert model.asked == []


@pytest.mark.parametrize("language", ["en", "auto"])
def test_an_english_only_model_hears_english(tmp_path: Path, language: str) -> None:
    model = FakeModel([[RawSegment(0, 1, "yes")]], multilingual=False)
    found = run(model, job_of(channel_at(tmp_path / "a", (1, 2)), language=language))
    assert found["language"] == "en"
    assert model.detected == []


def test_translation_only_when_asked(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (1, 2))
    says = [[RawSegment(0, 1, "네")], [RawSegment(0, 1, "Yes")]]
    assert run(FakeModel(says), job_of(file))["text_en"] == ""
    model = FakeModel(says)
    found = run(model, job_of(file, translate=True))
    assert (found["text"], found["text_en"]) == ("네", "Yes")
    assert [task for _, _, task in model.asked] == ["transcribe", "translate"]
    assert found["speech_sec"] == pytest.approx(1.0)  # not counted twice


def test_english_needs_no_translation(tmp_path: Path) -> None:
    model = FakeModel([[RawSegment(0, 1, "Yes")]])
    found = run(model, job_of(channel_at(tmp_path / "a", (1, 2)), language="en", translate=True))
    assert found["text_en"] == "Yes"
    assert len(model.asked) == 1
