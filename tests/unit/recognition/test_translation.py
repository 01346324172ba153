"""What a translation left out is kept apart from the text that it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stt_engine.backends.base import RawSegment
from stt_engine.errors import WorkerDied
from stt_engine.outcome import Outcome
from stt_engine.result import transcribe_result
from tests.support.recognition_runs import LOOP, collected, run, steps_of, told
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
def test_a_translation_that_comes_to_nothing_leaves_the_transcript(
    tmp_path: Path, english: list[RawSegment], reason: str
) -> None:
    found = run(FakeModel([KOREAN, KOREAN, english, english]), _job(tmp_path))
    assert (found["outcome"], found["text_en"], found["segments_en"]) == ("speech", "", ())
    assert len(found["segments"]) == 2
    (warned,) = found["warnings"]
    assert (warned["code"], warned["detail"]) == (
        "translation_missing",
        f"it came to nothing: {reason}",
    )


def test_a_translation_that_fails_leaves_the_transcript(tmp_path: Path) -> None:
    """The model breaks in the first step of the translation."""
    job = _job(tmp_path)
    so_far = collected(job)
    for step in steps_of(FakeModel([KOREAN, KOREAN, KOREAN, KOREAN]), job):
        if step.get("task") == "translate":
            break
        assert not so_far.transcribed
        so_far.add(step, 0.0)  # type: ignore[arg-type]
    assert so_far.transcribed
    so_far.give_up_translation(WorkerDied("signal 9"))
    found = told(so_far)
    assert (len(found["segments"]), found["text_en"]) == (2, "")
    (warned,) = found["warnings"]
    assert (warned["code"], warned["detail"]) == ("translation_missing", "WorkerDied: signal 9")


def test_a_missing_translation_is_no_success_and_no_dummy(tmp_path: Path) -> None:
    job = _job(tmp_path)
    so_far = collected(job)
    for step in steps_of(FakeModel([KOREAN, KOREAN, [], []]), job):
        so_far.add(step, 0.0)  # type: ignore[arg-type]
    result = transcribe_result(Outcome(so_far.transcript(), "faster-whisper"))
    assert (result["success"], result["is_dummy"], result["text_en"]) == (False, False, "")
    assert result["text"] == "안녕하세요 고객님 안녕하세요 고객님"
    assert result["error_type"] == "TranslationFailed"
    assert result["error"] == "not translated: it came to nothing: no_text"


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
