"""The child process itself, and what goes to and fro.

They talk over a socket pair (see :mod:`stt_engine.protocol`). The child sends a heartbeat every
second from a thread of its own; silence longer than ``stall_timeout_sec`` means that it is stopped
or wedged, and it is ended. Should the parent die, the next heartbeat fails and the child ends
itself (see :mod:`stt_engine.system.parent_death`).
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from stt_engine.errors import WorkerDied
from stt_engine.log import get_logger
from stt_engine.native_errors import raise_machines_own
from stt_engine.protocol import (
    JobMessage,
    Request,
    SharedMessage,
    TurnMessage,
    decode_message,
    encode,
)
from stt_engine.system import malloc
from stt_engine.system.parent_death import kept

_MAX_MESSAGE = 256 * 1024 * 1024
_KEPT_STDERR_LINES = 5
_EXIT_GRACE_SEC = 2.0
_WORTH_MENTIONING_SEC = 0.01  # CPU time; fifteen heartbeats take a tenth of it
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Bounds on a child. ``memory_mb`` is a ceiling on its address space (``None``: no ceiling).

    ``computes``: every step needs the CPU. One that takes none of it for ``stall_timeout_sec``
    hangs on a file system, heartbeat or not.
    """

    stall_timeout_sec: float = 15.0
    memory_mb: int | None = None
    computes: bool = False


@dataclass(frozen=True, slots=True)
class Died:
    """The last of a child's messages: why it is gone."""

    reason: str


Message = SharedMessage | TurnMessage | JobMessage | Died


class ChildProcess:
    """One incarnation: the process, its socket, and a thread that reads its messages.

    Raises:
        WorkerDied: it cannot even be started.
        ResourcesExhausted, OutOfMemory: this machine cannot start it now.
    """

    def __init__(self, role: str, limits: WorkerLimits) -> None:
        try:
            ours, theirs = socket.socketpair()
            with theirs, ours:
                self.process = _started(role, theirs.fileno(), limits)
                self.connection = Connection(ours.detach())
        except OSError as exc:
            raise_machines_own(exc, f"{role} worker cannot be started")
            raise WorkerDied(f"{role} worker cannot be started ({exc})") from exc
        self._limits = limits
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.last_beat = time.monotonic()
        self.last_work = self.last_beat
        """When it last had computed anything worth mentioning (monotonic seconds)."""
        self._cpu_sec = 0.0
        self.dead = False
        self._sending = threading.Lock()
        self._ending = threading.Lock()
        self._stderr: deque[str] = deque(maxlen=_KEPT_STDERR_LINES)
        # The reader waits for the other at the child's end, so the other has to be there first.
        self._errors = _thread(self._read_stderr, f"{role}-stderr")
        self._reader = _thread(self._read, f"{role}-reader")

    @property
    def stalled(self) -> bool:
        """True where no heartbeat comes any more: it is stopped or wedged."""
        return time.monotonic() > self.last_beat + self._limits.stall_timeout_sec

    @property
    def hangs(self) -> bool:
        """True where it should compute in the middle of a step, and does not."""
        idle_until = self.last_work + self._limits.stall_timeout_sec
        return self._limits.computes and time.monotonic() > idle_until

    @property
    def alive_until(self) -> float:
        """When it is worth another look (monotonic seconds)."""
        seen = [self.last_beat, self.last_work] if self._limits.computes else [self.last_beat]
        return min(seen) + self._limits.stall_timeout_sec

    def send(self, request: Request) -> None:
        """Send it a request; two threads may do so at once."""
        # The reader reports a dead child, with its reason.
        with contextlib.suppress(OSError), self._sending:
            self.connection.send_bytes(encode(request))

    def kill(self) -> None:
        """End the process; two threads may ask for it at once, and a number is closed once.

        One that hangs in the kernel (a dead mount) ends when that lets go of it: nobody waits.
        """
        with self._ending:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            try:
                self.process.wait(_EXIT_GRACE_SEC)
            except subprocess.TimeoutExpired:
                self.dead = True
                _thread(self._buried, "late-exit")
                return
            self._buried()

    def _buried(self) -> None:
        """Wait for the end of the process and of those who listen to it."""
        self.process.wait()
        self._reader.join()
        self._errors.join()
        self.connection.close()

    def _read(self) -> None:
        while True:
            try:
                message = decode_message(self.connection.recv_bytes(_MAX_MESSAGE))
            except (EOFError, OSError, ValueError):
                break
            self.last_beat = time.monotonic()
            if message["event"] == "beat":
                self._note_work(message["cpu_sec"])
            else:
                self.messages.put(message)
        self.dead = True
        self.messages.put(Died(self._last_words()))

    def _note_work(self, cpu_sec: float) -> None:
        if cpu_sec - self._cpu_sec >= _WORTH_MENTIONING_SEC:
            self._cpu_sec, self.last_work = cpu_sec, self.last_beat

    def _last_words(self) -> str:
        try:
            code = self.process.wait(_EXIT_GRACE_SEC)
        except subprocess.TimeoutExpired:
            self.process.kill()  # it closed the socket and lives on: of no more use
            code = self.process.wait()
        self._errors.join(_EXIT_GRACE_SEC)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        written = "; ".join(self._stderr)
        return f"{how}: {written}" if written else how

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
        "stt_engine.workers.child",
        role,
        str(descriptor),
        str(limits.memory_mb or 0),
    ]


def _environment() -> dict[str, str]:
    """Return the parent's environment, with this very package first on the import path."""
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([_PACKAGE_ROOT, *([inherited] if inherited else [])])
    # onnxruntime comes with telemetry; nothing about a call leaves the machine.
    quiet = {"ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
    # As in stt_engine.system.malloc, before the first allocation (measured: 20 % less, at the same
    # speed).
    arenas = {"MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", str(malloc.MOST))}
    # OpenBLAS's threads spin after each call, on cores that a decoder needs (measured: +20 % time).
    threads = {"OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1")}
    # oneDNN keeps what it compiled for each length of sound: 240 MiB in half an hour (measured).
    kept = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16"}
    return {**kept, **os.environ, "PYTHONPATH": path, **quiet, **arenas, **threads}
