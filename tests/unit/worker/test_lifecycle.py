"""Start, reuse and end of the child; errors that it reports."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stt_engine.errors import (
    AudioNotFound,
    WorkerDied,
    WorkerError,
)
from stt_engine.events import WorkerChanged
from stt_engine.limits import Limits
from stt_engine.recognition.decoder import AudioDecoder
from stt_engine.workers.worker import ChildDefect, Worker
from tests.support.workers import BOUND, decode, gone


# Life -------------------------------------------------------------------------------------
def test_the_child_starts_on_first_use_and_stays(
    worker: Worker, short: Path, tmp_path: Path, events: list[WorkerChanged]
) -> None:
    assert (worker.state, worker.pid) == ("stopped", None)
    assert decode(worker, short, tmp_path) == 1.0
    pid = worker.pid
    assert worker.state == "idle"
    assert decode(worker, short, tmp_path) == 1.0
    assert worker.pid == pid
    assert [(event.what, event.pid) for event in events] == [("started", pid)]


def test_a_closed_worker_says_so_and_starts_again(
    worker: Worker, short: Path, tmp_path: Path, events: list[WorkerChanged]
) -> None:
    decode(worker, short, tmp_path)
    pid = worker.pid
    assert pid is not None
    worker.close()
    worker.close()
    assert worker.state == "stopped"
    assert gone(pid)
    assert decode(worker, short, tmp_path) == 1.0
    assert [event.what for event in events] == ["started", "closed", "started"]
    assert [event.pid for event in events] == [pid, pid, worker.pid]


def test_an_error_of_the_taxonomy_keeps_its_class_and_the_child_lives(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    with pytest.raises(AudioNotFound, match=r"none\.wav not found"):
        decode(worker, tmp_path / "none.wav", tmp_path)
    pid = worker.pid
    assert decode(worker, short, tmp_path) == 1.0
    assert worker.pid == pid


def test_a_defect_in_the_child_comes_with_its_traceback(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    with pytest.raises(ChildDefect, match="limits") as caught:
        worker.call(
            {"operation": "decode", "path": str(short), "folder": str(tmp_path)}, timeout=BOUND
        )
    assert caught.value.error_type == "KeyError"
    assert "decode.py" in caught.value.trace
    with pytest.raises(ChildDefect):
        worker.call({"operation": "no such operation"}, timeout=BOUND)
    assert decode(worker, short, tmp_path) == 1.0


def test_the_child_is_not_fed_by_what_lies_in_the_working_folder(
    worker: Worker, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of uploads may hold a ``json.py``; the child must not import it."""
    for name in ("json", "av", "numpy", "stt_engine", "socket"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the folder')")
    monkeypatch.chdir(tmp_path)
    assert decode(worker, short, tmp_path) == 1.0


def test_a_relative_path_is_of_the_folder_at_the_time_of_the_call(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = AudioDecoder(Limits())
    try:
        monkeypatch.chdir(tmp_path)
        with decoder.opened(short) as found:
            assert found.duration == 1.0
        monkeypatch.chdir(short.parent)
        with decoder.opened(Path(short.name)) as found:
            assert found.duration == 1.0
    finally:
        decoder.worker.close()


def test_a_child_that_cannot_be_started_is_named(
    worker: Worker, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(tmp_path / "gone" / "python"))
        with pytest.raises(WorkerError, match="cannot be started"):
            decode(worker, short, tmp_path)
    assert worker.state == "stopped"
    assert decode(worker, short, tmp_path) == 1.0


def test_a_child_that_ends_at_once_says_why(
    worker: Worker, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\necho the last words >&2\nexit 3\n")
    interpreter.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(interpreter))
        with pytest.raises(WorkerDied, match=r"exit code 3: the last words"):
            decode(worker, short, tmp_path)
    assert decode(worker, short, tmp_path) == 1.0
