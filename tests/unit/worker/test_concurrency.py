"""Several callers of one worker."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stt_engine.errors import (
    AudioNotFound,
    WorkerDied,
)
from stt_engine.workers.worker import Worker
from tests.support import sounds
from tests.support.workers import BOUND, decode, ended_of, in_mid_call


# Turns ------------------------------------------------------------------------------------
def test_callers_take_turns_and_each_gets_the_answer_to_its_own_question(
    worker: Worker, tmp_path: Path
) -> None:
    lengths = [0.5 + number / 10 for number in range(16)]
    paths = [sounds.sine(tmp_path / f"{length}.wav", length) for length in lengths]
    gate = threading.Barrier(16)

    def ask(path: Path) -> float | str:
        folder = tmp_path / f"out-{path.stem}"
        folder.mkdir()
        gate.wait()
        try:
            return decode(worker, path, folder)
        except AudioNotFound as exc:
            return str(exc)

    asked = [path if number % 4 else path.with_suffix(".none") for number, path in enumerate(paths)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, asked))
    for path, length, answer in zip(asked, lengths, answers, strict=True):
        if path.suffix == ".none":
            assert answer == f"{path} not found"
        else:
            assert answer == pytest.approx(length)


def test_who_waits_behind_a_call_that_is_killed_is_answered(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    thread, ended = in_mid_call(worker, long, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(decode, worker, short, other)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        assert isinstance(ended_of(thread, ended), WorkerDied)
        assert waiting.result(BOUND) == 1.0
