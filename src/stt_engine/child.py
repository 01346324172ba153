"""The child's side of :mod:`stt_engine.worker`.

Run as ``python -m stt_engine.child ROLE FD MEMORY_MB``.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from stt_engine.backends.native import native_errors
from stt_engine.guardian import die_with_parent
from stt_engine.outcome import Attempts, Stage

Tell = Callable[..., None]
Operation = Callable[..., dict[str, Any]]

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


def _operations(role: str) -> dict[str, Operation]:
    module, name = ROLES[role]
    with native_errors():  # under a memory ceiling a library may not even be imported
        operations: dict[str, Operation] = getattr(import_module(module), name)()
    return operations


def _serve(role: str, pipe: _Pipe) -> None:
    operations: dict[str, Operation] = {}
    for job in pipe.jobs():
        attempts = Attempts(Stage.WORKER)
        with attempts.of(role):
            operations = operations or _operations(role)
            result = operations[job.pop("operation")](job, pipe.tell)
            pipe.tell("result", **result)
            continue
        failure = attempts.failures[-1]
        pipe.tell(
            "error",
            error=type(failure.error).__name__,
            error_type=failure.error_type,
            message=failure.message,
            trace=failure.trace,
        )


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
