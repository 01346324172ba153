"""The child process itself, and what goes to and fro.

The parent talks to it in length-prefixed JSON over a socket pair (no pickle: the child reads
hostile files). The child sends a heartbeat every second from a thread of its own; silence longer
than ``stall_timeout_sec`` means that it is stopped or wedged, and it is ended. Should the parent
die, the next heartbeat fails and the child ends itself (see :mod:`stt_engine.guardian`).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from stt_engine import heaps
from stt_engine.errors import WorkerDied
from stt_engine.guardian import kept
from stt_engine.log import get_logger

Payload = Mapping[str, Any]

_MAX_MESSAGE = 256 * 1024 * 1024
_KEPT_STDERR_LINES = 5
_EXIT_GRACE_SEC = 2.0
_PACKAGE_ROOT = str(Path(__file__).resolve().parent.parent)


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Bounds on a child. ``memory_mb`` is a ceiling on its address space (``None``: no ceiling)."""

    stall_timeout_sec: float = 15.0
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Died:
    """The last thing that a child's messages say: why it is gone."""

    reason: str


class ChildProcess:
    """One incarnation: the process, its socket, and a thread that reads what it says.

    Raises:
        WorkerDied: it cannot even be started.
    """

    def __init__(self, role: str, limits: WorkerLimits) -> None:
        try:
            ours, theirs = socket.socketpair()
            with theirs, ours:
                self.process = _started(role, theirs.fileno(), limits)
                self.connection = Connection(ours.detach())
        except OSError as exc:
            raise WorkerDied(f"{role} worker cannot be started ({exc})") from exc
        self.messages: queue.SimpleQueue[Payload | Died] = queue.SimpleQueue()
        self.last_beat = time.monotonic()
        self.dead = False
        self._sending = threading.Lock()
        self._ending = threading.Lock()
        self._stderr: deque[str] = deque(maxlen=_KEPT_STDERR_LINES)
        # The reader waits for the other at the child's end, so the other has to be there first.
        self._errors = _thread(self._read_stderr, f"{role}-stderr")
        self._reader = _thread(self._read, f"{role}-reader")

    def send(self, message: Payload) -> None:
        """Hand it a message; two threads may do so at once."""
        # The reader reports a dead child, with its reason.
        with contextlib.suppress(OSError), self._sending:
            self.connection.send_bytes(json.dumps(message).encode())

    def kill(self) -> None:
        """End the process; two threads may ask for it at once, and a number is closed once."""
        with self._ending:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()
            self._reader.join()
            self._errors.join()
            self.connection.close()

    def _read(self) -> None:
        while True:
            try:
                message = json.loads(self.connection.recv_bytes(_MAX_MESSAGE))
            except (EOFError, OSError, ValueError):
                break
            self.last_beat = time.monotonic()
            if message["event"] != "beat":
                self.messages.put(message)
        self.dead = True
        self.messages.put(Died(self._last_words()))

    def _last_words(self) -> str:
        try:
            code = self.process.wait(_EXIT_GRACE_SEC)
        except subprocess.TimeoutExpired:
            self.process.kill()  # it closed the socket and lives on: of no more use
            code = self.process.wait()
        self._errors.join(_EXIT_GRACE_SEC)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        said = "; ".join(self._stderr)
        return f"{how}: {said}" if said else how

    def _read_stderr(self) -> None:
        stream = self.process.stderr
        if stream is None:
            return
        logger = get_logger("Worker")
        with stream:
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip()
                self._stderr.append(line)
                logger.debug("%s", line)


def _thread(target: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


def _started(role: str, descriptor: int, limits: WorkerLimits) -> subprocess.Popen[bytes]:
    return kept(
        lambda: subprocess.Popen(  # noqa: S603 - our own module, no shell
            _command(role, descriptor, limits),
            pass_fds=(descriptor,),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
    )


def _command(role: str, descriptor: int, limits: WorkerLimits) -> list[str]:
    return [
        sys.executable,
        "-P",  # nothing is imported from the working folder, which may hold uploads
        "-m",
        "stt_engine.child",
        role,
        str(descriptor),
        str(limits.memory_mb or 0),
    ]


def _environment() -> dict[str, str]:
    """Give the parent's environment, with this very package first on the import path."""
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([_PACKAGE_ROOT, *([inherited] if inherited else [])])
    # onnxruntime comes with telemetry; nothing about a call leaves the machine.
    quiet = {"ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
    # As in stt_engine.heaps, before the first allocation (measured: 20 % less, at the same speed).
    arenas = {"MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", str(heaps.MOST))}
    # OpenBLAS's threads spin after each call, on cores that a decoder needs (measured: +20 % time).
    threads = {"OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1")}
    # oneDNN keeps what it compiled for each length of sound: 240 MiB in half an hour (measured).
    kept = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16"}
    return {**kept, **os.environ, "PYTHONPATH": path, **quiet, **arenas, **threads}
