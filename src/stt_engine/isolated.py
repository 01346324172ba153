"""The parent's side of decoding and of a backend: each in a child process, under a deadline."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stt_engine.catalogue import sha256_of
from stt_engine.errors import BackendUnavailable, EngineError, WorkerError
from stt_engine.model_folder import ModelFolder, locate
from stt_engine.outcome import Attempts, Event, Observer, Stage, emit
from stt_engine.scratch import scratch_folder
from stt_engine.speech import AudioLimits, DecodedAudio, Segment, SpeechRequest, Transcript, Word
from stt_engine.worker import Worker, WorkerLimits

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
    length, whichever is more, on any one backend.
    """

    audio: AudioLimits = field(default_factory=AudioLimits)
    decode_timeout_sec: float = 300.0
    load_timeout_sec: float = 600.0
    min_transcribe_sec: float = 60.0
    max_realtime_factor: float = 4.0
    stall_timeout_sec: float = 15.0
    worker_memory_mb: int | None = None
    decoder_memory_mb: int | None = 2048

    def transcribe_timeout(self, duration_sec: float, passes: int = 1) -> float:
        """Give the seconds that a recording of this length may take in ``passes`` passes."""
        return passes * max(self.min_transcribe_sec, duration_sec * self.max_realtime_factor)


class Decoder:
    """Decodes recordings in a child process into a temporary folder that goes with the call."""

    def __init__(self, limits: Limits, observers: Iterable[Observer] = ()) -> None:
        self._limits = limits
        bounds = WorkerLimits(limits.stall_timeout_sec, limits.decoder_memory_mb)
        self.worker = Worker("audio", bounds, observers)

    @contextmanager
    def opened(self, path: Path) -> Iterator[DecodedAudio]:
        """Decode ``path``; the samples are gone when the context ends.

        Raises:
            AudioRejected: the recording cannot be used.
            WorkerError: the decoder crashed or hung on it.
            WorkspaceError: no room for the samples.
        """
        with scratch_folder() as folder:
            job = {
                "path": str(path.absolute()),  # the child keeps the folder it was started in
                "folder": str(folder),
                "max_bytes": self._limits.audio.max_bytes,
                "max_duration_sec": self._limits.audio.max_duration_sec,
            }
            found = self.worker.call("decode", job, timeout=self._limits.decode_timeout_sec)
            files = tuple(Path(name) for name in found["files"])
            yield DecodedAudio(path, found["duration"], files, found["source_format"])


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
        observers: Iterable[Observer] = (),
    ) -> None:
        self.name = name
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

    def transcribe(self, request: SpeechRequest, audio: DecodedAudio) -> Transcript:
        """Recognise in the child; see :class:`stt_engine.speech.SpeechBackend`."""
        with self._lane:
            loaded = self._ready()
            found = self.worker.call(
                "transcribe",
                _job(request, audio),
                timeout=self._limits.transcribe_timeout(audio.duration, 1 + request.translate),
                on_progress=self._tell_progress,
            )
        return _transcript(found, audio, loaded.provenance)

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
            return loaded
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
        self.close()
        raise _error(attempts)

    def _load(self, folder: ModelFolder, fingerprint: object) -> _Loaded:
        attempts = self._attempts()
        attempts.tell("started", self.name)
        job = {
            "folder": str(folder.path.absolute()),
            "weights": str(folder.weights_file.absolute()),
            "device": self._device,
            "compute_type": self._compute_type,
        }
        with attempts.of(self.name):
            if fingerprint != self._digest[0]:
                self._digest = (fingerprint, sha256_of(folder.weights_file))
            found = self.worker.call("load", job, timeout=self._limits.load_timeout_sec)
            facts = {"model": str(folder.path), "model_sha256": self._digest[1], **found["facts"]}
            loaded = _Loaded(fingerprint, self.worker.pid, facts)
            return attempts.settle(loaded, self.name).value
        raise _error(attempts)

    def _tell_progress(self, message: Mapping[str, Any]) -> None:
        detail = {"done_sec": message["done_sec"], "channel": message["channel"]}
        emit(self._observers, Event(Stage.STT, "noted", self.name, detail=detail))

    def _attempts(self) -> Attempts:
        return Attempts(Stage.LOAD, self._observers, detail={"path": str(self._model_path)})


@dataclass(frozen=True, slots=True)
class _Loaded:
    fingerprint: object
    pid: int | None
    provenance: dict[str, Any]


def _error(attempts: Attempts) -> BaseException:
    """Give the failure that the load stage recorded back to the STT stage, which records it too."""
    error = attempts.failures[-1].error or WorkerError(attempts.failures[-1].message)
    if isinstance(error, EngineError):
        error.told = True
    return error


def _job(request: SpeechRequest, audio: DecodedAudio) -> dict[str, Any]:
    return {
        "files": [str(file) for file in audio.files],
        "language": request.language,
        "translate": request.translate,
        "words": request.word_timestamps,
        "agent_channel": request.agent_channel,
    }


def _transcript(
    found: Mapping[str, Any], audio: DecodedAudio, provenance: dict[str, Any]
) -> Transcript:
    segments = tuple(_segment(raw) for raw in found["segments"])
    return Transcript(
        text=found["text"],
        text_en=found["text_en"],
        language=found["language"],
        duration=audio.duration,
        outcome="speech" if segments else "no_speech",
        segments=segments,
        provenance={
            **provenance,
            "speech_sec": found["speech_sec"],
            "rejected_segments": found["rejected"],
            "source_format": audio.source_format,
            "channels": len(audio.files),
        },
        timings=dict(found["timings"]),
    )


def _segment(raw: Mapping[str, Any]) -> Segment:
    words = raw["words"]
    return Segment(
        **{
            **raw,
            "words": None if words is None else tuple(Word(*word) for word in words),
        }
    )
