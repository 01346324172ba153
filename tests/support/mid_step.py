"""Catch a process that transcribes in the middle of a step.

A step brings what it has heard all at once, at its end. Whoever is killed between two steps loses
nobody's work: the call goes on in the next process of the same backend.
"""

from __future__ import annotations

import psutil

from stt_engine import WhisperSTT
from stt_engine.recognition.backend import IsolatedBackend
from stt_engine.workers.worker import Worker
from tests.support.server import awaited


def _worker(stt: WhisperSTT) -> Worker:
    backend = stt._backends[0]
    assert isinstance(backend, IsolatedBackend)
    return backend.worker


def stop(stt: WhisperSTT) -> psutil.Process:
    """Stop (SIGSTOP) the process of the first backend."""
    process = psutil.Process(_worker(stt).pid)
    process.suspend()
    return process


def stopped_in_a_step(stt: WhisperSTT, seconds: float = 90.0) -> psutil.Process:
    """Stop the process of the first backend; from then on it owes the answer to a step.

    What it has answered before is read, so that the next step of the call that runs is the one that
    gets no answer. Kill it, or leave it stopped.

    Args:
        stt: an engine with a call that has steps to go, or whose process was stopped before it.
        seconds: to wait for that.
    """
    worker, process = _worker(stt), stop(stt)
    child = worker._child
    assert child is not None
    awaited(
        lambda: (
            process.status() == psutil.STATUS_STOPPED
            and worker._scheduler._held
            and child.messages.empty()
        ),
        "a step is under way, and owed",
        seconds,
    )
    return process
