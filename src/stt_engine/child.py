"""The child's side of :mod:`stt_engine.worker`.

Run as ``python -m stt_engine.child ROLE FD MEMORY_MB``.

An operation is a function of a job that gives its result, or a generator that yields in between:
after each step the parent says whose step is next, so that jobs take turns in one process. A step
may yield ``ready``, the jobs that can go on without any work: they do so in the same turn.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import threading
from collections.abc import Callable, Generator
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from stt_engine.backends.native import native_errors
from stt_engine.guardian import die_with_parent
from stt_engine.outcome import Attempts, Stage

Facts = dict[str, Any]
Steps = Generator[Facts, None, Facts]
Operation = Callable[[Facts], Facts | Steps]

STEP, DROP = "step", "drop"
"""Messages about a job that runs: go on with it, forget it (no turn)."""

ROLES = {
    "audio": ("stt_engine.audio", "operations"),
    "faster-whisper": ("stt_engine.backends.faster_whisper", "operations"),
    "transformers": ("stt_engine.backends.transformers", "operations"),
    "openai-whisper": ("stt_engine.backends.openai_whisper", "operations"),
}
"""Role name to the module and function that give its operations; imported in the child only."""

_BEAT_SEC = 1.0
_FIRST_TO_BE_KILLED = "800"


class _Pipe:
    """The socket to the parent; messages of two threads must not mix."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def tell(self, event: str, **facts: object) -> None:
        with self._lock:
            self._connection.send_bytes(json.dumps({"event": event, **facts}).encode())

    def jobs(self) -> Any:  # noqa: ANN401 - JSON
        while True:
            yield json.loads(self._connection.recv_bytes())

    def beat(self) -> None:
        stop = threading.Event()
        while not stop.wait(_BEAT_SEC):
            try:
                self.tell("beat")
            except OSError:
                os._exit(1)  # the parent is gone: nobody waits for the answer


def _bounded(memory_mb: int) -> None:
    """Take the memory ceiling, and offer this process to the kernel before the parent."""
    if memory_mb:
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_BE_KILLED, encoding="ascii")


class _Jobs:
    """The operations of a role, and the jobs that are in the middle of one."""

    def __init__(self, role: str, tell: Callable[[list[int]], None]) -> None:
        self._role = role
        self._tell = tell
        self._operations: dict[str, Operation] = {}
        self._running: dict[int, Steps] = {}

    def do(self, operation: str, number: int, job: Facts) -> Facts:
        """Begin a job or go on with it, up to its next step; or forget it, wherever it is."""
        if operation == DROP:
            self._drop(number)
            return {"done": True}
        if operation != STEP:
            found = self._operation(operation)({**job, "job": number})
            if isinstance(found, dict):
                return {"done": True, **found}
            self._running[number] = found
        running = self._running.pop(number)
        try:
            found = next(running)
        except StopIteration as end:
            return {"done": True, **end.value}
        self._running[number] = running
        return {"done": False, **found}

    def _drop(self, number: int) -> None:
        running = self._running.pop(number, None)
        if running is not None:
            running.close()

    def _operation(self, name: str) -> Operation:
        if not self._operations:
            module, function = ROLES[self._role]
            with native_errors():  # under a memory ceiling a library may not even be imported
                self._operations = getattr(import_module(module), function)(self._tell)
        return self._operations[name]


def _serve(role: str, pipe: _Pipe) -> None:
    jobs = _Jobs(role, lambda numbers: pipe.tell("shared", jobs=numbers))
    for message in pipe.jobs():
        operation, number = message.pop("operation"), message.pop("job")
        ready = _answer(pipe, jobs, number, operation, message)
        while ready:
            first, *others = ready
            ready = _answer(pipe, jobs, first, STEP, {}) or others
        if operation != DROP:  # what it tells goes to a job that is gone, and nobody waits for it
            pipe.tell("turn", memory_mb=_memory_mb())


def _answer(pipe: _Pipe, jobs: _Jobs, number: int, operation: str, job: Facts) -> list[int]:
    """Do one step of one job and tell what it brought; give the jobs that are ready then."""
    attempts = Attempts(Stage.WORKER)
    with attempts.of("step"):
        found = jobs.do(operation, number, job)
        ready: list[int] = found.pop("ready", [])
        pipe.tell("result", job=number, **found)
        return ready
    failure = attempts.failures[-1]
    pipe.tell(
        "error",
        job=number,
        error=type(failure.error).__name__,
        error_type=failure.error_type,
        message=failure.message,
        trace=failure.trace,
    )
    return []


def _memory_mb() -> float | None:
    """Give the memory that this process holds now, where the kernel tells it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Serve the parent until it hangs up."""
    role, descriptor, memory_mb = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    die_with_parent()
    _bounded(memory_mb)
    pipe = _Pipe(Connection(descriptor))
    threading.Thread(target=pipe.beat, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        _serve(role, pipe)
    os._exit(0)  # native thread pools can hang an ordinary exit


if __name__ == "__main__":
    main()
