"""The parent's side of decoding and of a backend: each in a child process, under a deadline."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from stt_engine.catalogue import sha256_of
from stt_engine.collected import Collected
from stt_engine.errors import BackendUnavailable, EngineError, WorkerError
from stt_engine.model_folder import ModelFolder, locate
from stt_engine.outcome import Attempts, Event, Observer, Stage, emit
from stt_engine.process import WorkerLimits
from stt_engine.scratch import scratch_folder
from stt_engine.speech import (
    SAMPLE_RATE,
    AudioLimits,
    DecodedAudio,
    SpeechRequest,
    Transcript,
)
from stt_engine.turns import Ticket
from stt_engine.worker import LOAD, JobLost, Worker

LIBRARIES = {
    "faster-whisper": ("faster_whisper", "pip install stt-engine"),
    "transformers": ("transformers", "pip install 'stt-engine[transformers]'"),
    "openai-whisper": ("whisper", "pip install 'stt-engine[openai-whisper]'"),
}
"""Backend name to the module it needs and the command that installs it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may cost. Seconds, bytes, mebibytes.

    No recording takes longer than ``min_transcribe_sec`` or ``max_realtime_factor`` times its own
    length, whichever is more, on any one backend; waiting for others is not counted there.
    """

    audio: AudioLimits = field(default_factory=AudioLimits)
    decode_timeout_sec: float = 300.0
    load_timeout_sec: float = 600.0
    min_transcribe_sec: float = 60.0
    max_realtime_factor: float = 4.0
    max_wait_sec: float = 600.0
    stall_timeout_sec: float = 15.0
    worker_memory_mb: int | None = None
    worker_growth_mb: float = 2048.0
    decoder_memory_mb: int | None = 2048

    def transcribe_timeout(self, duration_sec: float, passes: int = 1) -> float:
        """Give the seconds that a recording of this length may take in ``passes`` passes."""
        return passes * max(self.min_transcribe_sec, duration_sec * self.max_realtime_factor)

    def call_timeout(self, duration_sec: float, passes: int, backends: int) -> float:
        """Give the seconds that a call may take in all: its wait, and every backend in turn."""
        return self.max_wait_sec + backends * self.transcribe_timeout(duration_sec, passes)


@dataclass(frozen=True, slots=True)
class Tuning:
    """How faster-whisper works. Every answer says it in ``provenance``.

    ``decoding`` is the road to begin with: ``batched`` (stretches together; what is doubtful goes
    on to the other one) or ``sequential`` (the library's own, a stretch at a time). ``encoder``:
    ``openvino`` (for CPUs with units for it), ``ctranslate2``, or ``auto``: the former where it is
    faster.
    """

    decoding: Literal["batched", "sequential"] = "batched"
    encoder: Literal["auto", "ctranslate2", "openvino"] = "auto"
    beam_size: int = 5


class Decoder:
    """Decodes recordings in a child process into a temporary folder that goes with the call."""

    def __init__(self, limits: Limits, observers: Iterable[Observer] = ()) -> None:
        self._limits = limits
        bounds = WorkerLimits(limits.stall_timeout_sec, limits.decoder_memory_mb)
        self.worker = Worker("audio", bounds, observers)

    @contextmanager
    def opened(
        self,
        path: Path,
        ticket: Ticket | None = None,
        on_estimate: Callable[[float | None, int], None] | None = None,
    ) -> Iterator[DecodedAudio]:
        """Decode ``path``; the samples are gone when the context ends.

        ``on_estimate`` is told first how long it seems to be (seconds, where the header tells) and
        of how many channels; what it raises ends the call before the work is done.

        Raises:
            AudioRejected: the recording cannot be used.
            WorkerError: the decoder crashed or hung on it.
            WorkspaceError: no room for the samples.
        """
        with scratch_folder() as folder:
            found = self._decoded(path, folder, ticket, on_estimate)
            files = tuple(Path(name) for name in found["files"])
            yield DecodedAudio(path, found["duration"], files, found["source_format"])

    def _decoded(
        self,
        path: Path,
        folder: Path,
        ticket: Ticket | None,
        on_estimate: Callable[[float | None, int], None] | None,
    ) -> Mapping[str, Any]:
        job = {
            "path": str(path.absolute()),  # the child keeps the folder it was started in
            "folder": str(folder),
            "max_bytes": self._limits.audio.max_bytes,
            "max_duration_sec": self._limits.audio.max_duration_sec,
        }

        def look(step: Mapping[str, Any]) -> None:
            if on_estimate is not None and "estimate_sec" in step:
                on_estimate(step["estimate_sec"], step["channels"])

        limit = self._limits.decode_timeout_sec
        return self.worker.call("decode", job, timeout=limit, ticket=ticket, on_step=look)


class IsolatedBackend:
    """One recogniser in a child process; loads on first use and again when the folder changes."""

    def __init__(
        self,
        name: str,
        model_path: Path,
        *,
        device: str,
        compute_type: str,
        limits: Limits,
        tuning: Tuning | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.name = name
        self._tuning = tuning or Tuning()
        self._model_path = model_path
        self._device = device
        self._compute_type = compute_type
        self._limits = limits
        self._observers = tuple(observers)
        bounds = WorkerLimits(limits.stall_timeout_sec, limits.worker_memory_mb)
        self.worker = Worker(name, bounds, observers)
        self._lane = threading.Lock()
        self._loaded: _Loaded | None = None
        self._digest: tuple[object, str | None] = (None, None)

    @property
    def loaded(self) -> bool:
        """True while the child that holds the model runs."""
        return self._loaded is not None and self._loaded.pid == self.worker.pid

    @property
    def state(self) -> str:
        """The child's state; see :attr:`stt_engine.worker.Worker.state`."""
        return self.worker.state

    @property
    def pid(self) -> int | None:
        """The child's process id, if it runs."""
        return self.worker.pid

    def intact(self) -> bool:
        """Look whether the folder is still the one that was loaded; loads and logs nothing."""
        loaded = self._loaded
        attempts = Attempts(Stage.LOAD)  # untold: the next call tells what is wrong
        with attempts.of(self.name):
            folder = locate(self._model_path, self.name)
            return loaded is not None and folder.fingerprint() == loaded.fingerprint
        return False

    def ensure_loaded(self) -> None:
        """Load the model unless this very folder is loaded already.

        Raises:
            EngineError: the folder, the library, the device or the child is at fault.
        """
        with self._lane:
            self._ready()

    def transcribe(self, request: SpeechRequest, audio: DecodedAudio, ticket: Ticket) -> Transcript:
        """Recognise in the child; see :class:`stt_engine.speech.SpeechBackend`."""
        passes = 1 + request.translate
        budget = self._limits.transcribe_timeout(audio.duration, passes)
        so_far = Collected(request, audio)
        began = ticket.spent_sec
        while True:
            with self._lane:
                pid = self._ready().pid
            with suppress(JobLost):  # another call's step ended the process: go on in a new one
                self._run(so_far, ticket, budget - (ticket.spent_sec - began), pid)
                return so_far.transcript()

    def _run(self, so_far: Collected, ticket: Ticket, budget: float, pid: int | None) -> None:
        job, before = {**so_far.job(), "alone": ticket.alone}, ticket.spent_sec
        with closing(
            self.worker.steps("transcribe", job, timeout=budget, ticket=ticket, pid=pid)
        ) as steps:
            for step in steps:
                if "provenance" in step and not so_far.begun(step["provenance"]):
                    so_far.restart()
                    raise JobLost  # the model was changed meanwhile: one model for one transcript
                so_far.add(step, ticket.spent_sec - before)
                before = ticket.spent_sec
                ticket.left_sec = max(0.0, so_far.work_sec - so_far.done_sec)
                self._tell_progress(step)

    def _has_grown(self, loaded: _Loaded) -> bool:
        """Tell whether the process holds much more memory than when it had loaded."""
        before, now = loaded.memory_mb, self.worker.memory_mb
        if before is None or now is None:
            return False
        return now - before > self._limits.worker_growth_mb

    def close(self) -> None:
        """End the child and free the model's memory."""
        self._loaded = None
        self.worker.close()

    def stop(self) -> None:
        """End the child for good."""
        self._loaded = None
        self.worker.stop()

    def _ready(self) -> _Loaded:
        """Check folder and library at every call, so that a removed model is never used on."""
        folder = self._found()
        fingerprint = folder.fingerprint()
        loaded = self._loaded
        if loaded and loaded.fingerprint == fingerprint and self._answers(loaded):
            if not self._has_grown(loaded):
                return loaded
            self.worker.recycle()  # calls in hand go on in the next process
        self._loaded = None
        self._loaded = self._load(folder, fingerprint)
        return self._loaded

    def _answers(self, loaded: _Loaded) -> bool:
        return loaded.pid == self.worker.pid and self.worker.state != "stalled"

    def _found(self) -> ModelFolder:
        attempts = self._attempts()
        with attempts.of(self.name):
            folder = locate(self._model_path, self.name)
            module, command = LIBRARIES[self.name]
            if importlib.util.find_spec(module) is None:
                raise BackendUnavailable(f"{module} is not installed ({command})")
            return folder
        self._loaded = None
        if self.worker.state != "busy":  # else the calls in hand keep what they have
            self.worker.close()
        raise _error(attempts)

    def _load(self, folder: ModelFolder, fingerprint: object) -> _Loaded:
        attempts = self._attempts()
        attempts.tell("started", self.name)
        job: dict[str, Any] = {
            "folder": str(folder.path.absolute()),
            "weights": str(folder.weights_file.absolute()),
            "device": self._device,
            "compute_type": self._compute_type,
            **asdict(self._tuning),
        }
        with attempts.of(self.name):
            if fingerprint != self._digest[0]:
                self._digest = (fingerprint, sha256_of(folder.weights_file))
            job["facts"] = {"model": str(folder.path), "model_sha256": self._digest[1]}
            self.worker.call(LOAD, job, timeout=self._limits.load_timeout_sec)
            loaded = _Loaded(fingerprint, self.worker.pid, self.worker.memory_mb)
            return attempts.settle(loaded, self.name).value
        raise _error(attempts)

    def _tell_progress(self, step: Mapping[str, Any]) -> None:
        if "sample" not in step:
            return
        detail = {"done_sec": step["sample"] / SAMPLE_RATE, "channel": step["channel"]}
        emit(self._observers, Event(Stage.STT, "noted", self.name, detail=detail))

    def _attempts(self) -> Attempts:
        return Attempts(Stage.LOAD, self._observers, detail={"path": str(self._model_path)})


@dataclass(frozen=True, slots=True)
class _Loaded:
    fingerprint: object
    pid: int | None
    memory_mb: float | None


def _error(attempts: Attempts) -> BaseException:
    """Give the failure that the load stage recorded back to the STT stage, which records it too."""
    error = attempts.failures[-1].error or WorkerError(attempts.failures[-1].message)
    if isinstance(error, EngineError):
        error.told = True
    return error
