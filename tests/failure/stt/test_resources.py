"""Memory, descriptors and devices run out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import ctranslate2
import psutil
import pytest

from stt_engine import Limits
from tests.support.server import awaited
from tests.support.stt_failures import (
    BOUND,
    CANARY,
    ROOT,
    Make,
    assert_dummy,
    assert_works,
    lines_of,
    lines_of_load,
    pid_of,
    stt_of,
)

# 2. Memory --------------------------------------------------------------------------------
linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux only")


@linux
@pytest.mark.parametrize("memory_mb", [64, 150, 550])
def test_too_little_memory_to_load(
    make: Make, whisper_base: Path, log_lines: list[str], memory_mb: int
) -> None:
    stt = make(whisper_base, limits=Limits(worker_memory_mb=memory_mb), preload=False)
    result = stt.transcribe(CANARY, "en")
    if result["error_type"] != "WorkerDied":  # a library may abort instead of raising
        assert_dummy(result, "MemoryError")
        assert stt_of(log_lines) == lines_of_load(result, whisper_base, started=True)
    assert_dummy(result, result["error_type"] or "")
    assert stt.ready is False
    assert_works(make(whisper_base))


@linux
def test_memory_that_runs_out_while_transcribing(
    make: Make, whisper_base: Path, log_lines: list[str]
) -> None:
    """The ceiling is put on the running child, just above what the loaded model takes."""
    import resource  # noqa: PLC0415

    stt = make(whisper_base)
    pid = pid_of(stt)
    room = psutil.Process(pid).memory_info().vms + (2 << 20)
    resource.prlimit(pid, resource.RLIMIT_AS, (room, room))
    told = len(log_lines)
    result = stt.transcribe(CANARY, "en")
    assert result["error_type"] in {"MemoryError", "WorkerDied"}
    assert_dummy(result, result["error_type"] or "")
    assert stt_of(log_lines, told) == lines_of(result, "faster-whisper")
    if psutil.pid_exists(pid):  # it answered with an error and lives on under its ceiling
        os.kill(pid, signal.SIGKILL)
        awaited(lambda: not stt.ready, "the old child is gone")
    assert_works(stt)


@linux
def test_too_little_memory_for_the_decoder(make: Make, whisper_base: Path) -> None:
    stt = make(whisper_base, limits=Limits(decoder_memory_mb=100), preload=False)
    result = stt.transcribe(CANARY, "en")
    assert result["error_type"] in {"MemoryError", "WorkerDied"}
    assert_dummy(result, result["error_type"] or "")
    assert [attempt["backend"] for attempt in result["attempts"]] == ["audio"]


@linux
def test_no_file_descriptor_left_in_the_server(tmp_path: Path) -> None:
    """Real exhaustion, in a process of its own: a dummy that says so, and well again after."""
    code = f"""
import json, os, resource
from stt_engine import WhisperSTT
stt = WhisperSTT({str(tmp_path / "none")!r}, preload=False)
first = stt.transcribe({str(CANARY)!r}, "en")
stt.close()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
second = stt.transcribe({str(CANARY)!r}, "en")
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
third = stt.transcribe({str(CANARY)!r}, "en")
print(json.dumps([first, second, third]))
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=BOUND, check=True, env=env, cwd=tmp_path,
    )  # fmt: skip
    first, second, third = json.loads(ended.stdout)
    assert_dummy(second, "ResourcesExhausted", "cannot be started", "Too many open files")
    assert "Traceback" not in ended.stderr
    assert first["duration"] == third["duration"] > 3  # the decoder is well again


@linux
def test_no_file_descriptor_left_unloads_no_model(tmp_path: Path, whisper_base: Path) -> None:
    """The model's folder cannot be looked at: that says nothing about the model."""
    code = f"""
import json, os, resource
from stt_engine import WhisperSTT
stt = WhisperSTT({str(whisper_base)!r}, backends=("faster-whisper",))
def ask():
    found = stt.transcribe({str(CANARY)!r}, "en")
    return found, [one.pid for one in stt.components()], stt.intact()
first = ask()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
second = ask()
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(json.dumps([first, second, ask()]))
stt.close()
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=BOUND, check=True, env=env, cwd=tmp_path,
    )  # fmt: skip
    lines = [line for line in ended.stderr.splitlines() if "모델 로드 실패" in line]
    assert lines, ended.stderr
    assert all("ResourcesExhausted" in line for line in lines), lines
    answers = json.loads(ended.stdout)
    pids = {pid for _, (_, pid), _ in answers}
    assert len(pids) == 1, "the model was unloaded"
    for answer, _, intact in answers:
        assert answer["success"], answer
        assert intact


# 3. The device ----------------------------------------------------------------------------
@pytest.mark.skipif(ctranslate2.get_cuda_device_count() > 0, reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(make: Make, whisper_base: Path, log_lines: list[str]) -> None:
    stt = make(whisper_base, device="cuda")
    told = len(log_lines)
    result = stt.transcribe(CANARY, "en")
    assert_dummy(result, "DeviceUnavailable", "CUDA")
    assert stt_of(log_lines, told) == lines_of_load(result, whisper_base, started=True)
    assert_works(make(whisper_base))


def test_a_device_that_nobody_knows(make: Make, whisper_base: Path) -> None:
    result = make(whisper_base, device="tpu").transcribe(CANARY, "en")
    assert_dummy(result, "DeviceUnavailable", "tpu")
