"""Recordings that end the process: counted by content, in a row, and let out again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from stt_engine.errors import (
    DeadlineExceeded,
    EngineError,
    ModelNotFound,
    RecordingQuarantined,
    WorkerDied,
)
from stt_engine.outcome import Failure, Stage
from stt_engine.quarantine import QUARANTINE_SEC, Quarantine


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def _failed(error: EngineError) -> Failure:
    return Failure.of(error, Stage.STT, "faster-whisper", 1.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.wav"
    path.write_bytes(b"ends the process")
    return path


def test_the_second_end_in_a_row_is_the_last(bad: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    quarantine.learn(bad, [_failed(WorkerDied("signal 11"))], heard=False)
    quarantine.refuse(bad)
    quarantine.learn(bad, [_failed(DeadlineExceeded("wedged"))], heard=False)
    with pytest.raises(RecordingQuarantined, match=r"2 times in a row; .* 60 min"):
        quarantine.refuse(bad)


def test_two_backends_in_one_call_are_two_ends(bad: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    quarantine.learn(bad, [_failed(WorkerDied("one")), _failed(WorkerDied("two"))], heard=False)
    with pytest.raises(RecordingQuarantined):
        quarantine.refuse(bad)


def test_it_is_the_content_that_counts_not_the_name(
    bad: Path, clock: Clock, tmp_path: Path
) -> None:
    quarantine = Quarantine(clock)
    for name in "ab":
        copy = tmp_path / name
        copy.write_bytes(bad.read_bytes())
        quarantine.learn(copy, [_failed(WorkerDied("x"))], heard=False)
        copy.unlink()
    with pytest.raises(RecordingQuarantined):
        quarantine.refuse(bad)
    other = tmp_path / "other.wav"
    other.write_bytes(b"ends the PROCESS")
    quarantine.refuse(other)


def test_a_success_in_between_clears_it(bad: Path, clock: Clock) -> None:
    """A process that somebody killed is not the recording's fault."""
    quarantine = Quarantine(clock)
    for _ in range(5):
        quarantine.learn(bad, [_failed(WorkerDied("signal 9"))], heard=False)
        quarantine.refuse(bad)
        quarantine.learn(bad, [], heard=True)


def test_other_failures_are_no_ends(bad: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    in_load = WorkerDied("while loading")
    in_load.told = True
    for _ in range(5):
        quarantine.learn(bad, [_failed(ModelNotFound("no")), _failed(in_load)], heard=False)
    quarantine.refuse(bad)


def test_after_an_hour_it_is_tried_again(bad: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    quarantine.learn(bad, [_failed(WorkerDied("x"))] * 2, heard=False)
    clock.now = QUARANTINE_SEC - 1
    with pytest.raises(RecordingQuarantined):
        quarantine.refuse(bad)
    clock.now = QUARANTINE_SEC
    quarantine.refuse(bad)


def test_a_recording_that_is_gone_is_the_decoders_business(tmp_path: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    quarantine.learn(tmp_path / "none.wav", [_failed(WorkerDied("x"))] * 2, heard=False)
    quarantine.refuse(tmp_path / "none.wav")
    quarantine.refuse(Path("nul\0"))


def test_only_so_many_are_remembered(tmp_path: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    paths = [tmp_path / f"{number}" for number in range(300)]
    for path in paths:
        path.write_text(path.name)
        quarantine.learn(path, [_failed(WorkerDied("x"))] * 2, heard=False)
    quarantine.refuse(paths[0])
    with pytest.raises(RecordingQuarantined):
        quarantine.refuse(paths[-1])
