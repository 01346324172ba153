"""WhisperSTT: wires decoder and backends into one chain, and renders what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

from stt_engine.errors import InvalidRequest
from stt_engine.isolated import LIBRARIES, Decoder, IsolatedBackend, Limits, Tuning
from stt_engine.log import DUMMY_REASON, LogObserver
from stt_engine.outcome import DUMMY, Attempts, Observer, Outcome, Stage
from stt_engine.quarantine import Quarantine
from stt_engine.speech import (
    AUTO,
    LANGUAGES,
    DecodedAudio,
    SpeechBackend,
    SpeechRequest,
    Transcript,
    silence,
)
from stt_engine.stt_lines import stt_lines
from stt_engine.turns import Ticket

UNKNOWN_SEC = 60.0
"""Taken for the length of a recording whose header does not tell it, until it is decoded."""

BACKENDS = tuple(LIBRARIES)
"""The chain, in its default order."""


class TranscribeResult(TypedDict):
    """What :meth:`WhisperSTT.transcribe` returns; times in seconds."""

    success: bool
    text: str
    text_en: str
    duration: float
    language: str
    error: str | None
    error_type: str | None
    backend: str
    is_dummy: bool
    dummy_reason: str | None
    outcome: str
    segments: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    provenance: dict[str, Any]
    timings: dict[str, float]


@dataclass(frozen=True, slots=True)
class ComponentState:
    """One wired process as ``/health`` shows it."""

    name: str
    state: str
    loaded: bool
    pid: int | None


class WhisperSTT:
    """Speech to text with fallbacks, each in a process of its own.

    Args:
        model_path: a model folder, or one with a sub-folder for each backend.
        device: ``auto``, ``cpu`` or ``cuda``.
        compute_type: CTranslate2's (``int8``, ``float16``...); ``auto`` picks by device.
        backends: names in the order they are tried.
        limits: what a call may cost.
        tuning: how faster-whisper works.
        observers: told of every event; by default one that writes the log lines.
        first: a backend of the caller's own that is tried before the others.
        preload: load the first backend that can be loaded now, not at the first call. A failure
            is logged and shown by :attr:`ready`; the constructor does not raise for it.

    Raises:
        ValueError: a name in ``backends`` does not exist.
    """

    def __init__(
        self,
        model_path: str | Path,
        device: str = "auto",
        compute_type: str = "auto",
        *,
        backends: Sequence[str] = BACKENDS,
        limits: Limits | None = None,
        tuning: Tuning | None = None,
        observers: Iterable[Observer] | None = None,
        first: SpeechBackend | None = None,
        preload: bool = True,
    ) -> None:
        unknown = set(backends) - set(BACKENDS)
        if unknown or not backends:
            raise ValueError(f"backends must be chosen from {BACKENDS}, not {list(backends)}")
        self.limits = limits or Limits()
        told = (LogObserver(stt_lines()),) if observers is None else tuple(observers)
        self._observers = told
        self._decoder = Decoder(self.limits, told)
        self._quarantine = Quarantine()
        own = tuple(
            IsolatedBackend(
                name,
                Path(model_path),
                device=device,
                compute_type=compute_type,
                limits=self.limits,
                tuning=tuning,
                observers=told,
            )
            for name in backends
        )
        self._backends: tuple[SpeechBackend, ...] = (first, *own) if first else own
        if preload:
            self.preload()

    def transcribe(
        self,
        audio_path: str | Path,
        language: str | None = None,
        *,
        translate: bool = False,
        word_timestamps: bool = False,
        agent_channel: int = 0,
    ) -> TranscribeResult:
        """Transcribe a recording; never raises for a failure of model, device, audio or process.

        ``language`` is a Whisper code, ``auto``, or ``None`` for Korean.
        """
        request = SpeechRequest(
            Path(audio_path), language or "ko", translate, word_timestamps, agent_channel
        )
        return render(self.recognise(request))

    def recognise(
        self,
        request: SpeechRequest,
        passes: tuple[type[Exception], ...] = (),
        *,
        ticket: Ticket | None = None,
        counted: bool = True,
    ) -> Outcome[Transcript]:
        """Run the chain. Errors of the types in ``passes`` go to the caller instead.

        ``ticket`` shares the processes with other calls and can be cancelled. ``counted=False``
        tells no observer of the stage: a probe is not a call.

        Raises:
            CallCancelled: the ticket was cancelled.
        """
        ticket = ticket or Ticket()
        attempts = Attempts(
            Stage.STT,
            self._observers if counted else (),
            passes=passes,
            detail={"language": request.language},
        )
        attempts.tell("started", "stt", detail={"path": str(request.path)})
        heard, source = silence(request), DUMMY
        with attempts.of("request"):
            check(request)
            with attempts.of("quarantine"):
                self._quarantine.refuse(request.path)
                with attempts.of("audio"), self._opened(request, ticket) as audio:
                    heard = silence(request, audio.duration)
                    for backend in self._backends:
                        with attempts.of(backend.name):
                            found = backend.transcribe(request, audio, ticket)
                            heard, source = found, backend.name
                            self._release_after(backend)
                            break
                self._quarantine.learn(request.path, attempts.failures, heard=source != DUMMY)
        return attempts.settle(heard, source)

    @contextmanager
    def _opened(self, request: SpeechRequest, ticket: Ticket) -> Iterator[DecodedAudio]:
        """Decode, and tell the ticket how much work it is: first by the header, then truly."""
        passes = 1 + request.translate

        def measure(duration: float | None, channels: int) -> None:
            seconds = min(duration or UNKNOWN_SEC, self.limits.audio.max_duration_sec)
            allowed = self.limits.call_timeout(seconds, passes, len(self._backends))
            ticket.measured(seconds * channels * passes, allowed)

        ticket.deadline = ticket.since + self.limits.max_wait_sec + self.limits.decode_timeout_sec
        with self._decoder.opened(request.path, ticket, measure) as audio:
            measure(audio.duration, len(audio.files))
            yield audio

    def preload(self) -> bool:
        """Load the first backend that can be loaded; true where one could."""
        attempts = Attempts(Stage.LOAD)  # untold: the load stage has logged and counted each
        for backend in self._backends:
            with attempts.of(backend.name):
                backend.ensure_loaded()
                return True
        return False

    @property
    def ready(self) -> bool:
        """True while some backend's model is loaded in a living process."""
        return any(backend.loaded for backend in self._backends)

    def intact(self) -> bool:
        """Look whether the loaded model is still the one on disk; loads nothing."""
        return any(backend.loaded and backend.intact() for backend in self._backends)

    def components(self) -> list[ComponentState]:
        """Every process that was wired, with its state; never waits for one."""
        decoder = self._decoder.worker
        return [
            ComponentState("audio", decoder.state, decoder.pid is not None, decoder.pid),
            *(ComponentState(one.name, one.state, one.loaded, one.pid) for one in self._backends),
        ]

    def stop(self) -> None:
        """Have every call in hand and to come answered at once, by a dummy that says why."""
        self._decoder.worker.stop()
        for backend in self._backends:
            backend.stop()

    def close(self) -> None:
        """End the child processes; a call in hand gets its answer from a dummy."""
        self._decoder.worker.close()
        for backend in self._backends:
            backend.close()

    def _release_after(self, answered: SpeechBackend) -> None:
        """Free the memory of fallbacks behind the backend that is well again."""
        behind = self._backends[self._backends.index(answered) + 1 :]
        for backend in behind:
            if backend.state == "idle":
                backend.close()


def check(request: SpeechRequest) -> None:
    """Refuse a request that has no meaning.

    Raises:
        InvalidRequest: an unknown language or channel.
    """
    if request.language != AUTO and request.language not in LANGUAGES:
        raise InvalidRequest(
            f"unknown language '{request.language}'; give a Whisper code such as 'ko', or 'auto'"
        )
    if request.agent_channel not in {0, 1}:
        raise InvalidRequest(f"agent_channel is 0 or 1, not {request.agent_channel}")


def render(outcome: Outcome[Transcript]) -> TranscribeResult:
    """Give the dict that callers of :meth:`WhisperSTT.transcribe` get."""
    heard = outcome.value
    cause = outcome.cause if outcome.is_dummy else None
    return {
        "success": not outcome.is_dummy,
        "text": heard.text,
        "text_en": heard.text_en,
        "duration": heard.duration,
        "language": heard.language,
        "error": cause.message if cause else None,
        "error_type": cause.error_type if cause else None,
        "backend": heard.backend or outcome.source,
        "is_dummy": outcome.is_dummy,
        "dummy_reason": DUMMY_REASON if outcome.is_dummy else None,
        "outcome": heard.outcome,
        "segments": [asdict(segment) for segment in heard.segments],
        "attempts": attempts_of(outcome),
        "provenance": heard.provenance,
        "timings": {**heard.timings, "total_sec": outcome.elapsed_sec},
    }


def attempts_of(outcome: Outcome[object]) -> list[dict[str, Any]]:
    """Give every attempt that failed, in order, as callers see them."""
    return [
        {
            "backend": failure.source,
            "error_type": failure.error_type,
            "error": failure.message,
            "elapsed_sec": round(failure.elapsed_sec, 3),
        }
        for failure in outcome.failures
    ]
