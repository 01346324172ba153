"""The parent's side of a backend: in a child process, under a deadline."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stt_engine.call import CallContext, OnWork, Work, ignore_work
from stt_engine.errors import BackendUnavailable, EngineError
from stt_engine.events import LoadStarted, Observer, RecognitionProgressed, Stage, emit
from stt_engine.hashing import sha256_of
from stt_engine.limits import Limits, Tuning
from stt_engine.model_store.folder import Fingerprint, ModelFolder, locate
from stt_engine.native_errors import CANNOT_TELL
from stt_engine.outcome import Attempts, capture
from stt_engine.protocol import (
    FASTER_WHISPER,
    OPENAI_WHISPER,
    TRANSFORMERS,
    ChunkStep,
    LoadJob,
    PieceStep,
    Step,
)
from stt_engine.recognition.progress import TranscriptBuilder
from stt_engine.speech import SAMPLE_RATE, DecodedAudio, SpeechRequest, Transcript
from stt_engine.system.file_threads import FileThreads
from stt_engine.workers.process import WorkerLimits
from stt_engine.workers.scheduler import QueueEntry
from stt_engine.workers.worker import JobLost, Worker

LIBRARIES = {
    FASTER_WHISPER: ("faster_whisper", "pip install stt-engine"),
    TRANSFORMERS: ("transformers", "pip install 'stt-engine[transformers]'"),
    OPENAI_WHISPER: ("whisper", "pip install 'stt-engine[openai-whisper]'"),
}
"""Backend name to the module it needs and the command that installs it."""


LONG_SEC = 600.0
"""Length from which a call's first step is short where its text is read as it comes: of ten minutes
it took 1.4 % of the time. Of two it took 8 %, and these have all of their text soon."""


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
        self._disk = FileThreads("the model's folder")
        self._hashing = FileThreads("the model's folder", limits.load_timeout_sec)
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None
        self._digest: tuple[object, str | None] = (None, None)

    @property
    def loaded(self) -> bool:
        """True while the child that holds the model runs."""
        return self._loaded is not None and self._loaded.pid == self.worker.pid

    @property
    def state(self) -> str:
        """The child's state; see :attr:`stt_engine.workers.worker.Worker.state`."""
        return self.worker.state

    @property
    def pid(self) -> int | None:
        """The child's process id, if it runs."""
        return self.worker.pid

    @property
    def memory_mb(self) -> float:
        """What the child held after its latest step, in MiB; 0 without one."""
        return (self.worker.memory_mb or 0.0) if self.worker.pid is not None else 0.0

    def intact(self) -> bool:
        """Return whether the folder is still the one that was loaded; loads and logs nothing."""
        loaded = self._loaded
        with capture() as kept:  # the next call reports what is wrong
            _, fingerprint = self._look()
            return loaded is not None and fingerprint == loaded.fingerprint
        return loaded is not None and isinstance(kept.error, CANNOT_TELL)

    def ensure_loaded(self) -> None:
        """Load the model unless this very folder is loaded already.

        Raises:
            EngineError: the folder, the library, the device or the child is at fault.
        """
        with self._loading:
            self._ready()

    def transcribe(
        self,
        request: SpeechRequest,
        audio: DecodedAudio,
        context: CallContext,
        on_work: OnWork = ignore_work,
    ) -> Transcript:
        """Recognise in the child; see :class:`stt_engine.speech.SpeechBackend`."""
        budget = self._limits.transcribe_timeout(audio.duration, request.passes)
        so_far = TranscriptBuilder(request, audio)
        entry = self.worker.entry(context)
        entry.left_sec = so_far.work_sec
        while True:
            with self._loading:
                pid = self._ready().pid
            with suppress(JobLost):  # another call's step ended the process: continue in a new one
                job = so_far.job(
                    single=entry.single,
                    background=context.background,
                    eager=_eager(audio, context),
                )
                left_sec = budget - entry.spent_sec
                running = self.worker.steps(job, entry, timeout=left_sec, pid=pid)
                with closing(running) as steps, _never_lost(so_far):
                    for step in self._collected(steps, so_far, entry, on_work):
                        self._report_progress(step, len(audio.files), context)
                return so_far.transcript()

    def _collected(
        self, steps: Iterable[Step], so_far: TranscriptBuilder, entry: QueueEntry, on_work: OnWork
    ) -> Iterator[Step]:
        """Yield each step, added to what there is so far, and report the work that is left."""
        before = entry.spent_sec
        for step in steps:
            if step["kind"] == "model" and not so_far.begun(step["provenance"]):
                so_far.restart()
                raise JobLost  # the model was changed meanwhile: one model for one transcript
            so_far.add(step, entry.spent_sec - before)
            before = entry.spent_sec
            entry.left_sec = max(0.0, so_far.work_sec - so_far.done_sec)
            yield step
            on_work(Work(so_far.work_sec, entry.left_sec))

    def _has_grown(self, loaded: _Loaded) -> bool:
        """Return whether the process holds much more memory than when it had loaded."""
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
        loaded = self._loaded
        try:
            folder, fingerprint = self._found()
        except CANNOT_TELL:
            if loaded and self._answers(loaded):
                return loaded  # nothing says that it is another one now
            raise
        if loaded and loaded.fingerprint == fingerprint and self._answers(loaded):
            if not self._has_grown(loaded):
                return loaded
            self.worker.recycle()  # calls in hand continue in the next process
        self._loaded = None
        self._loaded = self._load(folder, fingerprint)
        return self._loaded

    def _answers(self, loaded: _Loaded) -> bool:
        return loaded.pid == self.worker.pid and self.worker.state != "stalled"

    def _look(self) -> tuple[ModelFolder, Fingerprint]:
        """Return the folder and what it holds, as the disk has it now."""

        def look() -> tuple[ModelFolder, Fingerprint]:
            folder = locate(self._model_path, self.name)
            return folder, folder.fingerprint()

        return self._disk.run(look)

    def _found(self) -> tuple[ModelFolder, Fingerprint]:
        attempts = self._attempts()
        with attempts.of(self.name):
            found = self._look()
            module, command = LIBRARIES[self.name]
            if importlib.util.find_spec(module) is None:
                raise BackendUnavailable(f"{module} is not installed ({command})")
            return found
        if isinstance(attempts.errors[-1], CANNOT_TELL):
            raise _error(attempts)
        self._loaded = None
        if self.worker.state != "busy":  # else the calls in hand keep what they have
            self.worker.close()
        raise _error(attempts)

    def _load(self, folder: ModelFolder, fingerprint: object) -> _Loaded:
        attempts = self._attempts()
        attempts.emit(LoadStarted(backend=self.name, path=str(self._model_path)))
        with attempts.of(self.name):
            if fingerprint != self._digest[0]:
                digest = self._hashing.run(partial(sha256_of, folder.weights_file))
                self._digest = (fingerprint, digest)
            self.worker.call(self._load_job(folder), timeout=self._limits.load_timeout_sec)
            loaded = _Loaded(fingerprint, self.worker.pid, self.worker.memory_mb)
            return attempts.settle(loaded, self.name).value
        raise _error(attempts)

    def _load_job(self, folder: ModelFolder) -> LoadJob:
        return {
            "operation": "load",
            "folder": str(folder.path.absolute()),
            "weights": str(folder.weights_file.absolute()),
            "device": self._device,
            "compute_type": self._compute_type,
            "decoding": self._tuning.decoding,
            "encoder": self._tuning.encoder,
            "beam_size": self._tuning.beam_size,
            "facts": {"model": str(folder.path), "model_sha256": self._digest[1]},
        }

    def _report_progress(self, step: Step, channels: int, context: CallContext) -> None:
        if step["kind"] != "chunk" and step["kind"] != "piece":
            return
        progress = RecognitionProgressed(
            backend=self.name,
            channel=step["channel"],
            done_sec=step["sample"] / SAMPLE_RATE,
            settled_sec=_settled_sec(step),
            heard=_heard(step),
            channels=channels,
        )
        emit((*self._observers, *context.observers), progress)

    def _attempts(self) -> Attempts:
        return Attempts(Stage.LOAD, self._observers, subject=str(self._model_path))


@contextmanager
def _never_lost(so_far: TranscriptBuilder) -> Iterator[None]:
    """Have a translation that fails leave the transcript that is there already."""
    try:
        yield
    except EngineError as exc:
        if not so_far.transcribed:
            raise
        so_far.give_up_translation(exc)


def _eager(audio: DecodedAudio, context: CallContext) -> int:
    """Return the chunks of a short first step, where somebody reads and would wait for it."""
    waits = context.observers and audio.duration >= LONG_SEC
    return len(audio.files) if waits else 0


def _settled_sec(step: ChunkStep | PieceStep) -> float:
    """Return the second before which nothing begins any more: steps come as they begin."""
    spoken_sec = step["speech_sec"] if step["kind"] == "chunk" else 0.0
    return step["sample"] / SAMPLE_RATE - spoken_sec


def _heard(step: ChunkStep | PieceStep) -> tuple[tuple[float, str], ...]:
    if step["kind"] != "chunk" or step["task"] != "transcribe":
        return ()
    return tuple((one["start"], one["text"]) for one in step["segments"])


@dataclass(frozen=True, slots=True)
class _Loaded:
    fingerprint: object
    pid: int | None
    memory_mb: float | None


def _error(attempts: Attempts) -> BaseException:
    """Return the load stage's failure for the STT stage, which records it too."""
    error = attempts.errors[-1]
    if isinstance(error, EngineError):
        error.logged = True
    return error
