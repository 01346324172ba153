"""The child's side of :mod:`stt_engine.workers.worker`.

Run as ``python -m stt_engine.workers.child ROLE FD MEMORY_MB``.

An operation is a function of a job that returns its result, or a generator that yields its steps:
after each step the parent decides which job's step is next, so that jobs take turns in one process.
A step may name the jobs that can continue without any work: they do so in the same turn.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from stt_engine.events import Stage
from stt_engine.native_errors import native_errors
from stt_engine.outcome import Failure, capture
from stt_engine.protocol import (
    AUDIO,
    FASTER_WHISPER,
    OPENAI_WHISPER,
    TEXT,
    TRANSFORMERS,
    VOICES,
    ChildMessage,
    ErrorMessage,
    Job,
    JobMessage,
    LoadResult,
    OnShared,
    Operations,
    Request,
    ResultMessage,
    StepMessage,
    Steps,
    decode_request,
    encode,
)
from stt_engine.system.parent_death import die_with_parent

ROLES = {
    AUDIO: ("stt_engine.audio.decode", "operations"),
    FASTER_WHISPER: ("stt_engine.backends.faster_whisper.model", "operations"),
    TRANSFORMERS: ("stt_engine.backends.transformers", "operations"),
    OPENAI_WHISPER: ("stt_engine.backends.openai_whisper", "operations"),
    TEXT: ("api_server.compliance.text_operations", "operations"),
    VOICES: ("stt_engine.backends.voices.model", "operations"),
}
"""Role name to the module and function that return its operations; imported in the child only."""

_BEAT_SEC = 1.0
_FIRST_TO_BE_KILLED = "800"


class _Pipe:
    """The socket to the parent; messages of two threads must not mix."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: ChildMessage) -> None:
        with self._lock:
            self._connection.send_bytes(encode(message))

    def requests(self) -> Iterator[Request]:
        while True:
            yield decode_request(self._connection.recv_bytes())

    def beat(self) -> None:
        stop = threading.Event()
        while not stop.wait(_BEAT_SEC):
            try:
                self.send({"event": "beat", "cpu_sec": time.process_time()})
            except OSError:
                os._exit(1)  # the parent is gone: nobody waits for the answer


def _bounded(memory_mb: int) -> None:
    """Take the memory ceiling, and offer this process to the kernel before the parent."""
    if memory_mb:
        allowed = [one for one in resource.getrlimit(resource.RLIMIT_AS) if one >= 0]
        ceiling = min([memory_mb << 20, *allowed])
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_BE_KILLED, encoding="ascii")


class _Jobs:
    """The operations of a role, and the jobs that are in the middle of one."""

    def __init__(self, role: str, on_shared: OnShared) -> None:
        self._role = role
        self._on_shared = on_shared
        self._operations: Operations = {}
        self._running: dict[int, Steps] = {}

    def begin(self, number: int, job: Job) -> JobMessage:
        """Begin a job, up to its first step."""
        begun = self._begun(number, job)
        if isinstance(begun, dict):
            return {"event": "result", "number": number, "result": begun}
        self._running[number] = begun
        return self.step(number)

    def step(self, number: int) -> StepMessage | ResultMessage:
        """Continue a job, up to its next step."""
        running = self._running.pop(number)
        try:
            step = next(running)
        except StopIteration as end:
            return {"event": "result", "number": number, "result": end.value}
        self._running[number] = running
        return {"event": "step", "number": number, "step": step}

    def drop(self, number: int) -> None:
        """Forget a job, wherever it is."""
        running = self._running.pop(number, None)
        if running is not None:
            running.close()

    def _begun(self, number: int, job: Job) -> Steps | LoadResult:
        operations = self._known_operations()
        if job["operation"] == "load":
            return operations["load"](job)
        if job["operation"] == "decode":
            return operations["decode"](job)
        if job["operation"] == "text":
            return operations["text"](job)
        if job["operation"] == "diarise":
            return operations["diarise"](job)
        return operations["transcribe"](job, number)

    def _known_operations(self) -> Operations:
        if not self._operations:
            module, function = ROLES[self._role]
            with native_errors():  # under a memory ceiling a library may not even be imported
                self._operations = getattr(import_module(module), function)(self._on_shared)
        return self._operations


def _serve(role: str, pipe: _Pipe) -> None:
    jobs = _Jobs(role, lambda numbers: pipe.send({"event": "shared", "jobs": numbers}))
    for request in pipe.requests():
        ready = _answer(pipe, jobs, request)
        while ready:
            first, *others = ready
            ready = _answer(pipe, jobs, {"request": "step", "number": first}) or others
        if request["request"] != "drop":  # nobody waits for an answer about a job that is gone
            pipe.send({"event": "turn", "memory_mb": _memory_mb()})


def _answer(pipe: _Pipe, jobs: _Jobs, request: Request) -> list[int]:
    """Do what is requested and send what it brought; return the jobs that are ready then."""
    with capture() as kept:  # the parent reports it
        message = _done(jobs, request)
        if message is None:
            return []
        pipe.send(message)
        return _ready_after(message)
    if kept.error is not None:
        pipe.send(_described(kept.error, request["number"]))
    return []


def _described(error: Exception, number: int) -> ErrorMessage:
    failure = Failure.of(error, Stage.WORKER, "step", 0.0)
    return {
        "event": "error",
        "number": number,
        "error": type(error).__name__,
        "error_type": failure.error_type,
        "message": failure.message,
        "trace": failure.trace,
    }


def _done(jobs: _Jobs, request: Request) -> JobMessage | None:
    if request["request"] == "begin":
        return jobs.begin(request["number"], request["job"])
    if request["request"] == "step":
        return jobs.step(request["number"])
    jobs.drop(request["number"])
    return None


def _ready_after(message: JobMessage) -> list[int]:
    if message["event"] != "step":
        return []
    step = message["step"]
    if step["kind"] == "chunk" or step["kind"] == "piece":
        return step["ready"]
    return []


def _memory_mb() -> float | None:
    """Return the memory that this process holds now, where the kernel reports it."""
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
