"""Recordings that end the process: counted by content, in a row, and let out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from stt_engine.errors import (
    DeadlineExceeded,
    ModelNotFound,
    RecordingQuarantined,
    WorkerDied,
)
from stt_engine.recognition.quarantine import QUARANTINE_SEC, Quarantine
from tests.support.clock import Clock


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.wav"
    path.write_bytes(b"ends the process")
    return path


def test_the_second_end_in_a_row_is_the_last(bad: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    quarantine.learn(bad, [WorkerDied("signal 11")], recognised=False)
    quarantine.refuse(bad)
    quarantine.learn(bad, [DeadlineExceeded("wedged")], recognised=False)
    with pytest.raises(RecordingQuarantined, match=r"2 times in a row; .* 60 min"):
        quarantine.refuse(bad)


def test_two_backends_in_one_call_are_two_ends(bad: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    quarantine.learn(bad, [WorkerDied("one"), WorkerDied("two")], recognised=False)
    with pytest.raises(RecordingQuarantined):
        quarantine.refuse(bad)


def test_it_is_the_content_that_counts_not_the_name(
    bad: Path, clock: Clock, tmp_path: Path
) -> None:
    quarantine = Quarantine(clock)
    for name in "ab":
        copy = tmp_path / name
        copy.write_bytes(bad.read_bytes())
        quarantine.learn(copy, [WorkerDied("x")], recognised=False)
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
        quarantine.learn(bad, [WorkerDied("signal 9")], recognised=False)
        quarantine.refuse(bad)
        quarantine.learn(bad, [], recognised=True)


def test_other_failures_are_no_ends(bad: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    in_load = WorkerDied("while loading")
    in_load.logged = True
    for _ in range(5):
        quarantine.learn(bad, [ModelNotFound("no"), in_load], recognised=False)
    quarantine.refuse(bad)


def test_after_an_hour_it_is_tried_again(bad: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    quarantine.learn(bad, [WorkerDied("x")] * 2, recognised=False)
    clock.now = QUARANTINE_SEC - 1
    with pytest.raises(RecordingQuarantined):
        quarantine.refuse(bad)
    clock.now = QUARANTINE_SEC
    quarantine.refuse(bad)


def test_a_recording_that_is_gone_is_the_decoders_business(tmp_path: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    quarantine.learn(tmp_path / "none.wav", [WorkerDied("x")] * 2, recognised=False)
    quarantine.refuse(tmp_path / "none.wav")
    quarantine.refuse(Path("nul\0"))


def test_only_so_many_are_remembered(tmp_path: Path, clock: Clock) -> None:
    quarantine = Quarantine(clock)
    paths = [tmp_path / f"{number}" for number in range(300)]
    for path in paths:
        path.write_text(path.name)
        quarantine.learn(path, [WorkerDied("x")] * 2, recognised=False)
    quarantine.refuse(paths[0])
    with pytest.raises(RecordingQuarantined):
        quarantine.refuse(paths[-1])
