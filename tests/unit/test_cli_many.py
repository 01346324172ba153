"""Several recordings with one model: a file each, whole or not at all, and on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stt_engine.errors import AudioEmpty, ModelNotFound
from stt_engine.events import Stage
from stt_engine.outcome import Failure, Outcome
from stt_engine.speech import Segment, Transcript
from stt_engine.warnings import AnswerWarning
from stt_tools.cli.given import given_recordings
from stt_tools.cli.many import Form, plan, transcribe_each
from stt_tools.exits import DEGRADED, DONE, INTERRUPTED, CommandFailed


def recognised(path: Path) -> Outcome[Transcript]:
    said = f"words of {path.name}"
    return Outcome(
        Transcript(said, "ko", 1.0, "speech", segments=(Segment(0, 0.0, 1.0, said),)), "stub"
    )


def dummy(_path: Path) -> Outcome[Transcript]:
    failure = Failure.of(ModelNotFound("no model"), Stage.STT, "stub", 0.1)
    return Outcome(Transcript("", "ko", 0.0, "failed"), "dummy", (failure,))


def calls(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / "calls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")
    return folder / "calls"


def test_recordings_of_folders_are_named_below_them_and_nothing_else_is_one(
    tmp_path: Path,
) -> None:
    folder = calls(
        tmp_path, "b.wav", "a.WAV", "a.WAV.json", "a.WAV.txt", ".hidden.wav", "x.part", "deep/c.mp3"
    )
    found = given_recordings([folder, folder / "b.wav"], "**/*")
    assert [str(name) for _, name in found] == ["a.WAV", "b.wav", "deep/c.mp3"]
    assert [str(name) for _, name in given_recordings([folder], "*")] == ["a.WAV", "b.wav"]


@pytest.mark.parametrize(
    ("given", "pattern", "words"),
    [
        ("none.wav", "*", "none.wav: no such file or folder"),
        ("calls", "*.mp3", "no recording in .*calls matches"),
        ("calls", "../*", "--pattern"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path: Path, given: str, pattern: str, words: str) -> None:
    calls(tmp_path, "a.wav")
    with pytest.raises(CommandFailed, match=words):
        given_recordings([tmp_path / given], pattern)


def test_two_that_would_be_one_file_are_refused_before_any_work(tmp_path: Path) -> None:
    one, other = tmp_path / "1" / "a.wav", tmp_path / "2" / "a.wav"
    with pytest.raises(CommandFailed, match="would both be"):
        plan([(one, Path("a.wav")), (other, Path("a.wav"))], tmp_path, Form())


@pytest.mark.parametrize(
    ("name", "file"), [("text", "a.wav.txt"), ("srt", "a.wav.srt"), (None, "a.wav.json")]
)
def test_each_has_a_file_in_its_form(tmp_path: Path, name: str | None, file: str) -> None:
    folder = calls(tmp_path, "a.wav")
    form = Form(name)
    works = plan(given_recordings([folder], "*"), tmp_path / "out", form)
    assert transcribe_each(works, recognised, form, again=False, as_json=False) == DONE
    (written,) = (tmp_path / "out").iterdir()
    assert written.name == file
    assert "words of a.wav" in written.read_text("utf-8")


def test_what_is_there_is_passed_over_and_what_failed_is_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, form = calls(tmp_path, "a.wav", "b.wav", "c.wav"), Form()
    works = plan(given_recordings([folder], "*"), tmp_path / "out", form)
    asked: list[str] = []

    def first(path: Path) -> Outcome[Transcript]:
        asked.append(path.name)
        if path.name == "a.wav":
            raise AudioEmpty("0 bytes")
        return dummy(path) if path.name == "b.wav" else recognised(path)

    assert transcribe_each(works, first, form, again=False, as_json=True) == DEGRADED
    told = json.loads(capsys.readouterr().out)
    assert [(one["state"], one["error_type"]) for one in told["files"]] == [
        ("failed", "AudioEmpty"),
        ("failed", "FileNotFoundError"),
        ("done", None),
    ]
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["c.wav.txt"]
    asked.clear()

    def second(path: Path) -> Outcome[Transcript]:
        asked.append(path.name)
        return recognised(path)

    assert transcribe_each(works, second, form, again=False, as_json=False) == DONE
    assert asked == ["a.wav", "b.wav"]
    assert transcribe_each(works, second, form, again=True, as_json=False) == DONE
    assert asked == ["a.wav", "b.wav", "a.wav", "b.wav", "c.wav"]


def test_what_a_text_does_not_say_is_said_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, form = calls(tmp_path, "a.wav", "b.wav"), Form()
    works = plan(given_recordings([folder], "*"), tmp_path / "out", form)
    partly = AnswerWarning("audio_gaps", "일부가 없음", "3 s")

    def half(path: Path) -> Outcome[Transcript]:
        if path.name == "b.wav":
            return Outcome(Transcript("", "ko", 1.0, "no_speech"), "stub")
        found = recognised(path)
        return replace(found, value=replace(found.value, warnings=(partly,)))

    assert transcribe_each(works, half, form, again=False, as_json=False) == DONE
    told = capsys.readouterr()
    assert "b.wav.txt (no speech)" in told.out
    assert "audio_gaps" in told.err


def test_ctrl_c_leaves_what_is_done_and_no_half(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, form = calls(tmp_path, "a.wav", "b.wav"), Form()
    works = plan(given_recordings([folder], "*"), tmp_path / "out", form)

    def interrupted(path: Path) -> Outcome[Transcript]:
        if path.name == "b.wav":
            raise KeyboardInterrupt
        return recognised(path)

    work: Callable[[Path], Outcome[Transcript]] = interrupted
    assert transcribe_each(works, work, form, again=False, as_json=False) == INTERRUPTED
    assert "1 of 2 are done" in capsys.readouterr().err
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["a.wav.txt"]
