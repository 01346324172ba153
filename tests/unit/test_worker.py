"""The killable child, with the real decoder in it: crashes, hangs, limits, leaks, turns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from stt_engine import scratch
from stt_engine.errors import (
    AudioNotFound,
    DeadlineExceeded,
    EngineError,
    OutOfMemory,
    WorkerDied,
    WorkerError,
)
from stt_engine.isolated import Decoder, Limits
from stt_engine.outcome import Event
from stt_engine.process import WorkerLimits
from stt_engine.worker import ChildDefect, Worker
from tests.support import sounds

BOUND = 60.0
"""Seconds that no wait of these tests comes near unless the product hangs."""

STALL = WorkerLimits(stall_timeout_sec=3.0)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def worker(events: list[Event]) -> Iterator[Worker]:
    found = Worker("audio", STALL, [events.append])
    yield found
    found.close()


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sounds.sine(tmp_path_factory.mktemp("short") / "a.wav", 1.0)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half an hour at 8 kHz: a second of decoding, so that a call can be met in its middle."""
    return sounds.white_noise(tmp_path_factory.mktemp("long") / "a.wav", 1800.0, 8_000)


def _job(path: Path | str, folder: Path) -> dict[str, object]:
    return {
        "path": str(path),
        "folder": str(folder),
        "max_bytes": 2**31,
        "max_duration_sec": 14_400.0,
    }


def _decode(worker: Worker, path: Path | str, folder: Path, timeout: float = BOUND) -> float:
    return float(worker.call("decode", _job(path, folder), timeout=timeout)["duration"])


def _until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + BOUND
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"never came true: {what}")
        time.sleep(0.005)


def _in_mid_call(worker: Worker, path: Path, folder: Path) -> tuple[threading.Thread, list[object]]:
    """Start a call in a thread, and come back once the child is writing samples."""
    ended: list[object] = []

    def call() -> None:
        try:
            ended.append(_decode(worker, path, folder))
        except (EngineError, ChildDefect) as exc:
            ended.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    first = folder / "channel0.s16"
    _until(lambda: first.exists() and first.stat().st_size > 0, "the child writes samples")
    assert worker.state == "busy"
    return thread, ended


def _ended(thread: threading.Thread, ended: list[object]) -> object:
    thread.join(BOUND)
    assert not thread.is_alive()
    (result,) = ended
    return result


def _gone(pid: int) -> bool:
    """Whether no process of this id is left, not even a zombie."""
    return not psutil.pid_exists(pid)


# Life -------------------------------------------------------------------------------------


def test_the_child_starts_on_first_use_and_stays(
    worker: Worker, short: Path, tmp_path: Path, events: list[Event]
) -> None:
    assert (worker.state, worker.pid) == ("stopped", None)
    assert _decode(worker, short, tmp_path) == 1.0
    pid = worker.pid
    assert worker.state == "idle"
    assert _decode(worker, short, tmp_path) == 1.0
    assert worker.pid == pid
    assert [(event.detail["what"], event.detail["pid"]) for event in events] == [("started", pid)]


def test_a_closed_worker_starts_again(worker: Worker, short: Path, tmp_path: Path) -> None:
    _decode(worker, short, tmp_path)
    pid = worker.pid
    assert pid is not None
    worker.close()
    worker.close()
    assert worker.state == "stopped"
    assert _gone(pid)
    assert _decode(worker, short, tmp_path) == 1.0


def test_an_error_of_the_taxonomy_keeps_its_class_and_the_child_lives(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    with pytest.raises(AudioNotFound, match=r"none\.wav not found"):
        _decode(worker, tmp_path / "none.wav", tmp_path)
    pid = worker.pid
    assert _decode(worker, short, tmp_path) == 1.0
    assert worker.pid == pid


def test_a_defect_in_the_child_comes_with_its_traceback(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    with pytest.raises(ChildDefect, match="max_bytes") as caught:
        worker.call("decode", {"path": str(short), "folder": str(tmp_path)}, timeout=BOUND)
    assert caught.value.error_type == "KeyError"
    assert "audio.py" in caught.value.trace
    with pytest.raises(ChildDefect):
        worker.call("no such operation", {}, timeout=BOUND)
    assert _decode(worker, short, tmp_path) == 1.0


def test_the_child_is_not_fed_by_what_lies_in_the_working_folder(
    worker: Worker, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of uploads may hold a ``json.py``; the child must not import it."""
    for name in ("json", "av", "numpy", "stt_engine", "socket"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the folder')")
    monkeypatch.chdir(tmp_path)
    assert _decode(worker, short, tmp_path) == 1.0


def test_a_relative_path_is_of_the_folder_at_the_time_of_the_call(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = Decoder(Limits())
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
            _decode(worker, short, tmp_path)
    assert worker.state == "stopped"
    assert _decode(worker, short, tmp_path) == 1.0


def test_a_child_that_ends_at_once_says_why(
    worker: Worker, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\necho the last words >&2\nexit 3\n")
    interpreter.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(interpreter))
        with pytest.raises(WorkerDied, match=r"exit code 3: the last words"):
            _decode(worker, short, tmp_path)
    assert _decode(worker, short, tmp_path) == 1.0


# Signals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_child_killed_in_mid_call_is_named_and_the_next_call_is_normal(
    worker: Worker, short: Path, long: Path, tmp_path: Path, name: str, events: list[Event]
) -> None:
    thread, ended = _in_mid_call(worker, long, tmp_path)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.Signals[name])
    error = _ended(thread, ended)
    assert isinstance(error, WorkerDied)
    assert f"signal {name}" in str(error)
    assert _gone(pid)
    assert _decode(worker, short, tmp_path) == 1.0
    assert [event.detail["what"] for event in events] == ["started", "ended", "started"]


def test_a_child_killed_while_idle_is_not_noticed_by_the_next_caller(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    _decode(worker, short, tmp_path)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _until(lambda: worker.state == "stopped", "the death is noticed")
    assert worker.pid is None
    assert _decode(worker, short, tmp_path) == 1.0
    assert worker.pid != pid
    assert _gone(pid)


def test_a_child_stopped_in_mid_call_is_ended_within_the_stall_time_out(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    thread, ended = _in_mid_call(worker, long, tmp_path)
    pid = worker.pid
    assert pid is not None
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    error = _ended(thread, ended)
    assert isinstance(error, DeadlineExceeded)
    assert "silent for 3 s" in str(error)
    assert time.monotonic() - began < BOUND / 2  # its time-out was BOUND
    assert _gone(pid)
    assert _decode(worker, short, tmp_path) == 1.0


def test_a_child_stopped_while_idle_is_replaced_before_the_next_call(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    _decode(worker, short, tmp_path)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    _until(lambda: worker.state == "stalled", "the silence is noticed")
    assert _decode(worker, short, tmp_path) == 1.0
    assert worker.pid != pid
    assert _gone(pid)


def test_a_call_is_ended_at_its_deadline_however_lively_the_child(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    _decode(worker, short, tmp_path)
    pid = worker.pid
    assert pid is not None
    with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.2 s"):
        _decode(worker, long, tmp_path, timeout=0.2)
    assert _gone(pid)
    assert _decode(worker, short, tmp_path) == 1.0  # and not the late answer of the other


def test_closing_answers_the_call_in_hand(
    worker: Worker, short: Path, long: Path, tmp_path: Path
) -> None:
    thread, ended = _in_mid_call(worker, long, tmp_path)
    worker.close()
    assert isinstance(_ended(thread, ended), WorkerDied)
    assert _decode(worker, short, tmp_path) == 1.0


def test_the_state_is_told_without_waiting_for_the_call(
    worker: Worker, long: Path, tmp_path: Path
) -> None:
    thread, ended = _in_mid_call(worker, long, tmp_path)
    assert (worker.state, worker.pid is None) == ("busy", False)
    assert ended == []  # both were told while the call went on
    worker.close()
    _ended(thread, ended)


def test_a_progress_callback_that_breaks_leaves_no_half_read_answer(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    """The decoder tells no progress; an interrupt while waiting is the same case."""
    _decode(worker, short, tmp_path)
    real = worker._next_message

    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    worker._next_message = interrupted  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        _decode(worker, short, tmp_path)
    worker._next_message = real  # type: ignore[method-assign]
    assert _decode(worker, sounds.sine(tmp_path / "b.wav", 2.0), tmp_path) == 2.0


# Memory -----------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux only")
def test_memory_that_runs_out_in_the_child_is_named_memory_error(tmp_path: Path) -> None:
    """A real ceiling, put on the running child: the next big allocation fails."""
    import resource  # noqa: PLC0415

    worker = Worker("audio", WorkerLimits(memory_mb=2048))
    try:
        _decode(worker, sounds.sine(tmp_path / "a.wav", 0.2), tmp_path)
        pid = worker.pid
        assert pid is not None
        room = psutil.Process(pid).memory_info().vms + (4 << 20)
        resource.prlimit(pid, resource.RLIMIT_AS, (room, room))
        # A name of 40 MB: reading the job itself needs more than there is.
        with pytest.raises((OutOfMemory, WorkerDied)):
            _decode(worker, "x" * (40 << 20), tmp_path)
    finally:
        worker.close()


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux only")
@pytest.mark.parametrize("memory_mb", [100, 150, 200])
def test_a_ceiling_too_low_for_the_decoder_is_an_honest_failure(
    short: Path, tmp_path: Path, memory_mb: int
) -> None:
    worker = Worker("audio", WorkerLimits(memory_mb=memory_mb))
    try:
        with pytest.raises((OutOfMemory, WorkerDied)):
            _decode(worker, short, tmp_path)
    finally:
        worker.close()


def test_a_memory_error_of_the_child_is_no_defect_of_ours() -> None:
    from stt_engine.worker import _rebuilt  # noqa: PLC0415

    told = {"error": "MemoryError", "error_type": "MemoryError", "message": "m", "trace": "t"}
    assert type(_rebuilt(told)) is OutOfMemory


# Parents and leaks ------------------------------------------------------------------------

PARENT = """
import sys, threading
from pathlib import Path
from stt_engine.worker import Worker
worker = Worker("audio")
job = {"path": sys.argv[1], "folder": sys.argv[2], "max_bytes": 2**31, "max_duration_sec": 9e9}
worker.call("decode", {**job, "path": sys.argv[3]}, timeout=60)
print(worker.pid, flush=True)
if sys.argv[4] == "busy":
    worker.call("decode", job, timeout=60)
threading.Event().wait()
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_no_child_outlives_a_parent_that_was_killed(
    short: Path, long: Path, tmp_path: Path, state: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(long), str(tmp_path), str(short), state],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        child = psutil.Process(pid)
        parent.kill()
    _until(lambda: not child.is_running() or child.status() == "zombie", "the child ends")


def test_restarts_leave_no_process_no_descriptor_and_no_thread(short: Path, tmp_path: Path) -> None:
    worker = Worker("audio")
    me = psutil.Process()
    _decode(worker, short, tmp_path)
    worker.close()
    before = (me.num_fds(), threading.active_count(), len(me.children()))
    pids = set()
    for number in range(50):
        _start(worker)
        assert worker.pid is not None
        pids.add(worker.pid)
        if number % 2:
            os.kill(worker.pid, signal.SIGKILL)
            _until(lambda: worker.state == "stopped", "the death is noticed")
        worker.close()
    assert len(pids) == 50
    assert (me.num_fds(), threading.active_count(), len(me.children())) == before
    assert all(_gone(pid) for pid in pids)
    assert _decode(worker, short, tmp_path) == 1.0
    worker.close()


def _start(worker: Worker) -> None:
    """Start the child without waiting for it to import FFmpeg."""
    worker._child_for(None)


def test_calls_that_failed_leave_no_descriptor_in_the_child(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    bad = [tmp_path / "none", tmp_path, sounds.zero_bytes(tmp_path / "0"), sounds.text_as_wav(tmp_path / "t")]  # fmt: skip  # noqa: E501
    _decode(worker, short, tmp_path)
    assert worker.pid is not None
    child = psutil.Process(worker.pid)
    before = child.num_fds()
    for path in bad * 10:
        with pytest.raises(EngineError):
            _decode(worker, path, tmp_path)
    assert child.num_fds() == before


def test_the_decoders_folder_goes_with_the_call_also_with_one_that_failed(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_own", None)

    def folders() -> list[Path]:
        return [path for path in tmp_path.glob("stt-engine-*/*") if path.is_dir()]

    decoder = Decoder(Limits())
    try:
        with decoder.opened(short) as found:
            assert all(file.stat().st_size == 32_000 for file in found.files)
            assert len(folders()) == 1
        assert folders() == []
        with pytest.raises(AudioNotFound), decoder.opened(tmp_path / "none.wav"):
            pass
        assert folders() == []
    finally:
        decoder.worker.close()


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
            return _decode(worker, path, folder)
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
    thread, ended = _in_mid_call(worker, long, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_decode, worker, short, other)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        assert isinstance(_ended(thread, ended), WorkerDied)
        assert waiting.result(BOUND) == 1.0
