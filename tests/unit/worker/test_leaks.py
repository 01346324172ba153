"""No process, descriptor, thread or file is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from stt_engine.errors import (
    AudioNotFound,
    EngineError,
)
from stt_engine.limits import Limits
from stt_engine.recognition.decoder import AudioDecoder
from stt_engine.system import tempdirs
from stt_engine.workers.worker import Worker
from tests.support import sounds
from tests.support.server import awaited
from tests.support.workers import decode, gone

# Parents and leaks ------------------------------------------------------------------------
PARENT = """
import sys, threading
from dataclasses import asdict
from pathlib import Path
from stt_engine.speech import AudioLimits
from stt_engine.workers.worker import Worker
worker = Worker("audio")
limits = asdict(AudioLimits(max_duration_sec=9e9))
job = {"operation": "decode", "path": sys.argv[1], "folder": sys.argv[2], "limits": limits}
worker.call({**job, "path": sys.argv[3]}, timeout=60)
print(worker.pid, flush=True)
if sys.argv[4] == "busy":
    worker.call(job, timeout=60)
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
    awaited(lambda: not child.is_running() or child.status() == "zombie", "the child ends")


def test_restarts_leave_no_process_no_descriptor_and_no_thread(short: Path, tmp_path: Path) -> None:
    worker = Worker("audio")
    me = psutil.Process()
    decode(worker, short, tmp_path)
    worker.close()
    before = (me.num_fds(), threading.active_count(), len(me.children()))
    pids = set()
    for number in range(50):
        _start(worker)
        assert worker.pid is not None
        pids.add(worker.pid)
        if number % 2:
            os.kill(worker.pid, signal.SIGKILL)
            awaited(lambda: worker.state == "stopped", "the death is noticed")
        worker.close()
    assert len(pids) == 50
    assert (me.num_fds(), threading.active_count(), len(me.children())) == before
    assert all(gone(pid) for pid in pids)
    assert decode(worker, short, tmp_path) == 1.0
    worker.close()


def _start(worker: Worker) -> None:
    """Start the child without waiting for it to import FFmpeg."""
    worker._child_for(None, None)


def test_calls_that_failed_leave_no_descriptor_in_the_child(
    worker: Worker, short: Path, tmp_path: Path
) -> None:
    bad = [tmp_path / "none", tmp_path, sounds.zero_bytes(tmp_path / "0"), sounds.text_as_wav(tmp_path / "t")]  # fmt: skip  # noqa: E501
    decode(worker, short, tmp_path)
    assert worker.pid is not None
    child = psutil.Process(worker.pid)
    before = child.num_fds()
    for path in bad * 10:
        with pytest.raises(EngineError):
            decode(worker, path, tmp_path)
    assert child.num_fds() == before


def test_the_decoders_folder_goes_with_the_call_also_with_one_that_failed(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempdirs, "_own", None)

    def folders() -> list[Path]:
        return [path for path in tmp_path.glob("stt-engine-*/*") if path.is_dir()]

    decoder = AudioDecoder(Limits())
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
