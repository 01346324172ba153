"""The recognising or decoding process crashes or hangs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from stt_engine import Limits, TranscribeResult, WhisperSTT
from tests.support import sounds
from tests.support.mid_step import stopped_in_a_step
from tests.support.server import awaited
from tests.support.stt_failures import (
    BOUND,
    CANARY,
    Make,
    Watch,
    assert_dummy,
    assert_works,
    lines_of,
    pid_of,
    stt_of,
)


@pytest.fixture(scope="module")
def long_call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A call of several steps, in one of which something can happen: 60 stretches of speech."""
    file = tmp_path_factory.mktemp("long") / "call.wav"
    file.write_bytes(sounds.repeated(CANARY.read_bytes(), 60))
    return file


def _meanwhile(
    stt: WhisperSTT, watch: Watch, path: Path, act: Callable[[], object]
) -> TranscribeResult:
    """Start a call, do ``act`` once the model has heard its first words, and give the answer."""
    watch.heard.clear()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(stt.transcribe, path, "en")
        assert watch.heard.wait(BOUND), call.result(0) if call.done() else "nothing was heard"
        act()
        return call.result(BOUND)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_the_transcribing_process_crashes_in_mid_call(
    make: Make, whisper_base: Path, long_call: Path, log_lines: list[str], watch: Watch, name: str
) -> None:
    stt = make(whisper_base)
    pid, told = pid_of(stt), len(log_lines)

    def crash() -> None:
        process = stopped_in_a_step(stt)
        process.send_signal(signal.Signals[name])
        process.resume()  # only SIGKILL ends a process that is stopped

    result = _meanwhile(stt, watch, long_call, crash)
    assert_dummy(result, "WorkerDied", f"signal {name}")
    assert result["duration"] > 300
    assert stt_of(log_lines, told) == lines_of(result, "faster-whisper")
    assert stt.ready is False
    assert not psutil.pid_exists(pid)
    assert_works(stt)
    assert pid_of(stt) != pid


def test_the_transcribing_process_hangs_in_mid_call(
    make: Make, whisper_base: Path, long_call: Path, log_lines: list[str], watch: Watch
) -> None:
    stt = make(whisper_base, limits=Limits(stall_timeout_sec=3.0))
    pid, told = pid_of(stt), len(log_lines)
    result = _meanwhile(stt, watch, long_call, lambda: stopped_in_a_step(stt))
    assert_dummy(result, "DeadlineExceeded", "silent for 3 s")
    assert stt_of(log_lines, told) == lines_of(result, "faster-whisper")
    assert not psutil.pid_exists(pid)
    assert_works(stt)


def test_a_process_that_was_stopped_between_calls_costs_no_call(
    make: Make, whisper_base: Path
) -> None:
    stt = make(whisper_base, limits=Limits(stall_timeout_sec=3.0))
    pid = pid_of(stt)
    os.kill(pid, signal.SIGSTOP)
    awaited(lambda: "stalled" in {one.state for one in stt.components()}, "the stall is seen")
    assert_works(stt)
    assert pid_of(stt) != pid


def test_a_call_that_takes_too_long_is_ended_at_its_bound(
    make: Make, whisper_base: Path, sample_call: Path, log_lines: list[str]
) -> None:
    limits = Limits(min_transcribe_sec=1.0, max_realtime_factor=0.01)
    stt = make(whisper_base, limits=limits)
    told = len(log_lines)
    began = time.monotonic()
    result = stt.transcribe(sample_call, "en")
    assert time.monotonic() - began < BOUND / 2
    assert_dummy(result, "DeadlineExceeded", "no answer within 1 s")
    assert stt_of(log_lines, told) == lines_of(result, "faster-whisper")
    assert stt.ready is False


def test_the_decoder_dies_in_mid_call(
    make: Make, whisper_base: Path, tmp_path: Path, watch: Watch, log_lines: list[str]
) -> None:
    long = sounds.white_noise(tmp_path / "long.wav", 1_800.0, 8_000)
    stt = make(whisper_base, preload=False)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(stt.transcribe, long, "en")
        awaited(lambda: stt.components()[0].state == "busy", "the decoder works")
        pid = stt.components()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        result = call.result(BOUND)
    assert_dummy(result, "WorkerDied", "audio worker died (signal SIGKILL)")
    assert stt_of(log_lines) == lines_of(result, "audio")
    assert_works(stt)


def test_closing_in_mid_call_answers_the_caller(
    make: Make, whisper_base: Path, long_call: Path, watch: Watch
) -> None:
    """Between two steps it would begin again in the next process: this is in the middle of one."""
    stt = make(whisper_base)

    def close() -> None:
        stopped_in_a_step(stt)
        stt.close()

    result = _meanwhile(stt, watch, long_call, close)
    assert_dummy(result, "WorkerDied")


def test_who_waits_behind_a_call_that_crashed_is_answered_by_the_model(
    make: Make, whisper_base: Path, long_call: Path, watch: Watch
) -> None:
    stt = make(whisper_base)
    watch.heard.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(stt.transcribe, long_call, "en")
        assert watch.heard.wait(BOUND)
        process = stopped_in_a_step(stt)
        second = pool.submit(stt.transcribe, CANARY, "en")
        process.kill()
        assert_dummy(first.result(BOUND), "WorkerDied")
        assert second.result(BOUND)["success"] is True


def test_health_is_told_while_a_call_runs(
    make: Make, whisper_base: Path, long_call: Path, watch: Watch
) -> None:
    stt = make(whisper_base)
    seen: list[str] = []

    def look() -> None:
        seen.extend(one.state for one in stt.components() if one.name == "faster-whisper")
        os.kill(pid_of(stt), signal.SIGKILL)  # no need to wait for the end

    _meanwhile(stt, watch, long_call, look)
    assert seen == ["busy"]
