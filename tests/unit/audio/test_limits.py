"""Recordings above the limits are refused, in bounded memory."""

from __future__ import annotations

import resource
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from stt_engine.errors import (
    AudioTooLarge,
    AudioTooLong,
    WorkspaceError,
)
from stt_engine.speech import SAMPLE_RATE, AudioLimits
from stt_engine.workers.worker import Worker
from tests.support import sounds
from tests.support.decoding import decode
from tests.support.encoded_audio import LIMITS, in_child


# Limits -----------------------------------------------------------------------------------
def test_too_many_bytes_are_refused_before_they_are_read(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "huge.wav"
    with path.open("wb") as file:
        file.truncate(LIMITS.max_bytes + 1)  # sparse: no byte of it exists
    with pytest.raises(AudioTooLarge, match=str(LIMITS.max_bytes)):
        decode(path, out, LIMITS)
    assert list(out.iterdir()) == []


def test_the_limits_themselves_are_allowed(tmp_path: Path, out: Path) -> None:
    path = sounds.sine(tmp_path / "a.wav", 2.0)
    limits = AudioLimits(path.stat().st_size, 2.0)
    assert decode(path, out, limits).duration == 2.0
    with pytest.raises(AudioTooLarge):
        decode(path, out, AudioLimits(path.stat().st_size - 1, 2.0))
    with pytest.raises(AudioTooLong):
        decode(path, out, AudioLimits(path.stat().st_size, 1.9))


@pytest.fixture(scope="module")
def four_hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hours and a bit of silence as flac: a decompression bomb of three megabytes."""
    path = tmp_path_factory.mktemp("bomb") / "quiet.flac"
    block = np.zeros((1, SAMPLE_RATE * 10), np.int16)
    with av.open(str(path), "w", format="flac") as writer:
        stream = writer.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        for _ in range(4 * 360 + 6):
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    assert path.stat().st_size < 4_000_000
    return path


def test_four_hours_in_a_small_file_are_refused_without_the_memory_for_them(
    four_hours: Path, out: Path
) -> None:
    worker = Worker("audio")
    try:
        limits = AudioLimits(max_duration_sec=3600.0)
        with pytest.raises(AudioTooLong, match="3600 s"):
            in_child(worker, four_hours, out, limits)
        first = _peak_mb(worker)
        with pytest.raises(AudioTooLong, match="14400 s"):
            in_child(worker, four_hours, out)
        # Four times the sound, the same memory: held whole it would be 460 MB more.
        assert _peak_mb(worker) - first < 40
    finally:
        worker.close()
    written = sum(path.stat().st_size for path in out.iterdir())
    assert written <= (14_400 + 60) * SAMPLE_RATE * 2


def _peak_mb(worker: Worker) -> int:
    assert worker.pid is not None
    status = Path(f"/proc/{worker.pid}/status")
    if not status.exists():  # macOS
        return int(psutil.Process(worker.pid).memory_info().rss) >> 20
    (line,) = [one for one in status.read_text().splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) >> 10


def test_no_room_for_the_samples(tmp_path: Path, out: Path) -> None:
    """A real limit of the kernel on the size of a file, in a child of its own."""
    worker = Worker("audio")
    try:
        path = sounds.sine(tmp_path / "a.wav", 4.0)
        in_child(worker, path, out)
        assert worker.pid is not None
        if hasattr(resource, "prlimit"):
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (10_000, 10_000))
            with pytest.raises(WorkspaceError, match="cannot write"):
                in_child(worker, path, out)
        with pytest.raises(WorkspaceError):
            decode(path, out / "missing", LIMITS)
    finally:
        worker.close()
