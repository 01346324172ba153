"""Calls of a worker with a real child process."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path

import psutil

from stt_engine.errors import (
    EngineError,
)
from stt_engine.speech import AudioLimits
from stt_engine.workers.worker import ChildDefect, Worker
from tests.support.server import awaited

BOUND = 60.0
"""Seconds that no wait of these tests comes near unless the product hangs."""


def job(path: Path | str, folder: Path) -> dict[str, object]:
    return {
        "operation": "decode",
        "path": str(path),
        "folder": str(folder),
        "limits": asdict(AudioLimits()),
    }


def decode(worker: Worker, path: Path | str, folder: Path, timeout: float = BOUND) -> float:
    return float(worker.call(job(path, folder), timeout=timeout)["duration"])


def in_mid_call(worker: Worker, path: Path, folder: Path) -> tuple[threading.Thread, list[object]]:
    """Start a call in a thread, and come back once the child is writing samples."""
    ended: list[object] = []

    def call() -> None:
        try:
            ended.append(decode(worker, path, folder))
        except (EngineError, ChildDefect) as exc:
            ended.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    first = folder / "channel0.s16"
    awaited(lambda: first.exists() and first.stat().st_size > 0, "the child writes samples")
    assert worker.state == "busy"
    return thread, ended


def ended_of(thread: threading.Thread, ended: list[object]) -> object:
    thread.join(BOUND)
    assert not thread.is_alive()
    (result,) = ended
    return result


def gone(pid: int) -> bool:
    """Whether no process of this id is left, not even a zombie."""
    return not psutil.pid_exists(pid)
