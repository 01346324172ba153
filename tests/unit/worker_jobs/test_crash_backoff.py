"""A child that crashes repeatedly is restarted with a growing delay."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from pathlib import Path

import pytest

from stt_engine.errors import (
    AudioNotFound,
    WorkerCrashLoop,
    WorkerDied,
)
from stt_engine.workers.worker import JobLost, Worker
from tests.support.clock import Clock
from tests.support.worker_jobs import BOUND, a_job, decode, entry_of


# Rests between starts ---------------------------------------------------------------------
def _die(worker: Worker, path: Path, folder: Path) -> None:
    with closing(worker.steps(a_job(path, folder), entry_of(), timeout=BOUND)) as steps:
        next(steps)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGSTOP)
        timer = threading.Timer(0.05, os.kill, (worker.pid, signal.SIGKILL))
        timer.start()
        with pytest.raises((WorkerDied, JobLost)):
            next(steps)
        timer.join()


def test_a_child_that_dies_three_times_in_a_row_is_given_longer_and_longer_rests(
    worker: Worker, short: Path, long: Path, tmp_path: Path, clock: Clock
) -> None:
    for _ in range(3):
        _die(worker, long, tmp_path / "l")
    with pytest.raises(WorkerCrashLoop, match=r"died 3 times in a row; .* again in 1 s"):
        decode(worker, short, tmp_path / "s")
    clock.now = 1.0
    _die(worker, long, tmp_path / "l")
    with pytest.raises(WorkerCrashLoop, match=r"died 4 times in a row; .* again in 2 s"):
        decode(worker, short, tmp_path / "s")
    assert worker.state == "stopped"
    clock.now = 3.0
    assert decode(worker, short, tmp_path / "s") == 1.0
    _die(worker, long, tmp_path / "l")
    assert decode(worker, short, tmp_path / "s") == 1.0, "a success forgives what was before"


def test_an_answer_that_is_an_error_is_a_sign_of_life(
    worker: Worker, long: Path, tmp_path: Path
) -> None:
    for _ in range(5):
        _die(worker, long, tmp_path / "l")
        with pytest.raises(AudioNotFound):
            decode(worker, tmp_path / "none.wav", tmp_path / "s")


def test_closing_is_no_death(worker: Worker, short: Path, tmp_path: Path) -> None:
    for _ in range(5):
        decode(worker, short, tmp_path / "s")
        worker.close()
    assert decode(worker, short, tmp_path / "s") == 1.0
