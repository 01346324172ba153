"""A child process that does work which may crash, hang or leak, and can be killed.

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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from stt_engine.errors import (
    DeadlineExceeded,
    OutOfMemory,
    ServerStopping,
    WorkerDied,
    all_errors,
)
from stt_engine.guardian import kept
from stt_engine.log import get_logger
from stt_engine.outcome import Event, Observer, Stage, emit

Payload = Mapping[str, Any]
Progress = Callable[[Payload], None]

_MAX_MESSAGE = 256 * 1024 * 1024
_KEPT_STDERR_LINES = 5
_EXIT_GRACE_SEC = 2.0
_PACKAGE_ROOT = str(Path(__file__).resolve().parent.parent)


class ChildDefect(Exception):
    """An exception outside the taxonomy was raised in the child: a defect of ours."""

    def __init__(self, error_type: str, message: str, trace: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.trace = trace


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Bounds on a child. ``memory_mb`` is a ceiling on its address space (``None``: no ceiling)."""

    stall_timeout_sec: float = 15.0
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class _Died:
    reason: str


class _Child:
    """One incarnation: the process, its socket, and a thread that reads what it says."""

    def __init__(self, role: str, limits: WorkerLimits) -> None:
        try:
            ours, theirs = socket.socketpair()
            with theirs, ours:
                self.process = _started(role, theirs.fileno(), limits)
                self.connection = Connection(ours.detach())
        except OSError as exc:
            raise WorkerDied(f"{role} worker cannot be started ({exc})") from exc
        self.messages: queue.SimpleQueue[Payload | _Died] = queue.SimpleQueue()
        self.last_beat = time.monotonic()
        self.dead = False
        self._ending = threading.Lock()
        self._stderr: deque[str] = deque(maxlen=_KEPT_STDERR_LINES)
        # The reader waits for the other at the child's end, so the other has to be there first.
        self._errors = _thread(self._read_stderr, f"{role}-stderr")
        self._reader = _thread(self._read, f"{role}-reader")

    def send(self, message: Payload) -> None:
        with contextlib.suppress(OSError):  # the reader reports a dead child, with its reason
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
        self.messages.put(_Died(self._last_words()))

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
    return {**os.environ, "PYTHONPATH": path, **quiet}


class Worker:
    """A killable child that does one operation at a time; started on first use, restarted after.

    Args:
        role: which operations the child knows (see ``stt_engine.child``).
        limits: its bounds.
        observers: told of starts and deaths (:attr:`Stage.WORKER`).
    """

    def __init__(
        self,
        role: str,
        limits: WorkerLimits | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.role = role
        self.limits = limits or WorkerLimits()
        self._observers = tuple(observers)
        self._lane = threading.Lock()
        self._child: _Child | None = None
        self._busy = False
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """Process id of the child, if one runs."""
        child = self._child
        return None if child is None or child.dead else child.process.pid

    @property
    def state(self) -> str:
        """``stopped``, ``idle``, ``busy`` or ``stalled`` (no heartbeat); never waits."""
        child = self._child
        if child is None or child.dead:
            return "stopped"
        if self._stalled(child):
            return "stalled"
        return "busy" if self._busy else "idle"

    def call(
        self,
        operation: str,
        payload: Payload,
        *,
        timeout: float,
        on_progress: Progress | None = None,
    ) -> Payload:
        """Have the child do ``operation``, waiting for its turn first; ``timeout`` in seconds.

        Raises:
            WorkerDied: the child ended in the middle.
            ServerStopping: :meth:`stop` was called, before or in the middle.
            DeadlineExceeded: no answer in time, or no sign of life; the child was ended.
            EngineError: what the child itself raised.
            ChildDefect: the child raised something outside the taxonomy.
        """
        with self._lane:
            self._refuse_if_stopped()
            child = self._living()
            self._busy = True
            try:
                child.send({"operation": operation, **payload})
                return self._answer(child, timeout, on_progress)
            except BaseException:
                if self._unfinished:
                    self._end(child)
                raise
            finally:
                self._busy = False

    def close(self) -> None:
        """End the child; a call in hand gets ``WorkerDied``. A later call starts a new one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def stop(self) -> None:
        """End the child for good; calls in hand and to come get ``ServerStopping``."""
        self._stopped = True
        self.close()

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise ServerStopping("the server is stopping")

    _unfinished = False

    def _living(self) -> _Child:
        child = self._child
        if child is not None and not child.dead and not self._stalled(child):
            return child
        if child is not None:
            self._end(child)
        child = self._child = _Child(self.role, self.limits)
        self._note("started", pid=child.process.pid)
        return child

    def _answer(self, child: _Child, timeout: float, on_progress: Progress | None) -> Payload:
        deadline = time.monotonic() + timeout
        self._unfinished = True
        while True:
            message = self._next_message(child, deadline, timeout)
            if isinstance(message, _Died):
                self._refuse_if_stopped()
                raise WorkerDied(f"{self.role} worker died ({message.reason})")
            if message["event"] == "progress":
                if on_progress is not None:
                    on_progress(message)
                continue
            self._unfinished = False
            if message["event"] == "error":
                raise _rebuilt(message)
            return message

    def _next_message(self, child: _Child, deadline: float, timeout: float) -> Payload | _Died:
        while True:
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(f"{self.role} worker gave no answer within {timeout:g} s")
            if self._stalled(child):
                raise DeadlineExceeded(
                    f"{self.role} worker has been silent for "
                    f"{self.limits.stall_timeout_sec:g} s (stopped or wedged)"
                )
            silent_until = child.last_beat + self.limits.stall_timeout_sec
            wait = max(0.01, min(deadline, silent_until) - time.monotonic())
            with contextlib.suppress(queue.Empty):
                return child.messages.get(timeout=wait)

    def _stalled(self, child: _Child) -> bool:
        return time.monotonic() - child.last_beat > self.limits.stall_timeout_sec

    def _end(self, child: _Child) -> None:
        self._unfinished = False
        self._child = None
        child.kill()
        self._note("ended", pid=child.process.pid)

    def _note(self, what: str, **facts: object) -> None:
        event = Event(Stage.WORKER, "noted", self.role, detail={"what": what, **facts})
        emit(self._observers, event)


def _rebuilt(message: Payload) -> Exception:
    if message["error"] == MemoryError.__name__:
        return OutOfMemory(message["message"])
    cls = all_errors().get(message["error"])
    if cls is not None:
        return cls(message["message"])
    return ChildDefect(message["error_type"], message["message"], message.get("trace") or "")
