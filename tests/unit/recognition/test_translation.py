"""What a translation left out is kept apart from the text that it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stt_engine.backends.base import RawSegment
from stt_engine.errors import EmptyTranscript
from tests.support.recognition_runs import LOOP, collected, run, steps_of
from tests.support.stub_model import FakeModel, channel_at, job_of

KOREAN = [RawSegment(0, 3, "안녕하세요 고객님")]


def _job(tmp_path: Path) -> dict[str, Any]:
    return job_of(channel_at(tmp_path / "a", (1, 4), (6, 9)), translate=True)


def test_what_a_translation_rejects_is_no_doubt_about_the_text(tmp_path: Path) -> None:
    says = [KOREAN, KOREAN, [RawSegment(0, 3, "Hello, dear customer")], [RawSegment(0, 3, LOOP)]]
    found = run(FakeModel(says), _job(tmp_path))
    assert found["rejected"] == []
    assert found["provenance"]["translation"]["rejected_segments"] == [
        {"start": 6.0, "end": 9.0, "channel": 0, "reason": "repetition_loop"}
    ]
    assert found["text_en"] == "Hello, dear customer"


def test_what_a_translation_leaves_out_is_told(tmp_path: Path) -> None:
    says = [KOREAN, KOREAN, [RawSegment(0, 3, "Hello, dear customer")], []]
    found = run(FakeModel(says), _job(tmp_path))
    assert found["coverage"]["unheard"] == []
    assert [one["code"] for one in found["warnings"]] == ["translation_incomplete"]
    (gap,) = found["provenance"]["translation"]["unheard"]
    assert (gap["start"], gap["end"], gap["reason"]) == (6.0, 9.0, "no_text")


def test_without_a_translation_nothing_is_said_of_one(tmp_path: Path) -> None:
    found = run(FakeModel([KOREAN]), job_of(channel_at(tmp_path / "a", (1, 4))))
    assert "translation" not in found["provenance"]


@pytest.mark.parametrize(
    ("english", "reason"), [([], "no_text"), ([RawSegment(0, 3, LOOP)], "repetition_loop")]
)
def test_an_empty_translation_of_speech_is_a_failure(
    tmp_path: Path, english: list[RawSegment], reason: str
) -> None:
    with pytest.raises(EmptyTranscript, match=rf"translation.*\({reason}\)"):
        run(FakeModel([KOREAN, KOREAN, english, english]), _job(tmp_path))


def test_a_translation_of_nothing_is_nothing(tmp_path: Path) -> None:
    found = run(FakeModel(), job_of(channel_at(tmp_path / "a"), translate=True))
    assert (found["outcome"], found["text_en"]) == ("no_speech", "")


def test_another_model_begins_anew(tmp_path: Path) -> None:
    job = _job(tmp_path)
    so_far = collected(job)
    for step in steps_of(FakeModel([KOREAN, KOREAN, [], []], speaks="en"), job):
        so_far.add(step, 0.0)  # type: ignore[arg-type]
    so_far.restart()
    says = [KOREAN, KOREAN, *([[RawSegment(0, 3, "Hello, dear customer")]] * 2)]
    for step in steps_of(FakeModel(says), job):
        so_far.add(step, 0.0)  # type: ignore[arg-type]
    found = so_far.transcript()
    assert found.provenance["translation"] == {"rejected_segments": [], "unheard": []}
    assert found.warnings == ()
