"""WhisperSTT: wires decoder and backends into one chain, and renders its outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from stt_engine.call import CallContext, OnWork, Work, ignore_work
from stt_engine.errors import InvalidRequest
from stt_engine.events import AnswerWarned, Observer, RecognitionStarted, Stage
from stt_engine.hints import Hints
from stt_engine.languages import AUTO, LANGUAGES, unknown_language
from stt_engine.limits import Limits, Tuning
from stt_engine.log import LogObserver
from stt_engine.model_store.installed import name_at
from stt_engine.model_store.places import find_model
from stt_engine.outcome import DUMMY, Attempts, Outcome, capture
from stt_engine.recognition.backend import LIBRARIES, IsolatedBackend
from stt_engine.recognition.chains import Chains
from stt_engine.recognition.decoder import AudioDecoder
from stt_engine.recognition.diarisation import Diarisation, Diarization
from stt_engine.recognition.given import Recording, as_file
from stt_engine.recognition.log_lines import stt_lines
from stt_engine.recognition.quarantine import Quarantine
from stt_engine.recognition.voiceprint import Voiceprint
from stt_engine.result import TranscribeResult, transcribe_result
from stt_engine.speech import (
    DecodedAudio,
    SpeechBackend,
    SpeechRequest,
    Transcript,
    silence,
)

UNKNOWN_SEC = 60.0
"""Taken for the length of a recording whose header does not state it, until it is decoded."""

BACKENDS = tuple(LIBRARIES)
"""The chain, in its default order."""


@dataclass(frozen=True, slots=True)
class ComponentState:
    """One wired process as ``/health`` shows it; ``model`` is the name of the one it is for."""

    name: str
    state: str
    loaded: bool
    pid: int | None
    model: str | None = None


class WhisperSTT:
    """Speech to text with fallbacks, each in a process of its own.

    Args:
        model_path: a model folder, or one with a sub-folder for each backend; or a name (``base``).
            What the working folder does not have is looked for in the data folder (``STT_HOME``).
        device: ``auto``, ``cpu`` or ``cuda``.
        compute_type: CTranslate2's (``int8``, ``float16``...); ``auto`` picks by device.
        backends: names in the order they are tried.
        limits: what a call may cost.
        tuning: how faster-whisper works.
        observers: called with every event; by default one that writes the log lines.
        first: a backend of the caller's own that is tried before the others.
        diarization: ``auto``: voices are told apart where one channel holds the call and their
            model is there; ``off``: never.
        voices_path: the folder of that model; by default it is looked for like any other.
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
        diarization: Diarization = "auto",
        voices_path: Path | None = None,
        preload: bool = True,
    ) -> None:
        unknown = set(backends) - set(BACKENDS)
        if unknown or not backends:
            raise ValueError(f"backends must be chosen from {BACKENDS}, not {list(backends)}")
        self.limits = limits or Limits()
        self._observers = (LogObserver(stt_lines()),) if observers is None else tuple(observers)
        self._decoder = AudioDecoder(self.limits, self._observers)
        folder = find_model(model_path)
        self._quarantine = Quarantine()
        self.diarisation = Diarisation(diarization, self.limits, self._observers, voices_path)

        def build(folder: Path) -> tuple[IsolatedBackend, ...]:
            return tuple(
                IsolatedBackend(
                    name,
                    folder,
                    device=device,
                    compute_type=compute_type,
                    limits=self.limits,
                    tuning=tuning,
                    observers=self._observers,
                )
                for name in backends
            )

        self._chains = Chains(folder, build, self.limits, self._observers, first)
        self._backends, self._model = self._chains.default, name_at(folder)
        if preload:
            self.preload()

    def transcribe(
        self,
        audio_path: Recording,
        language: str | None = None,
        *,
        translate: bool = False,
        word_timestamps: bool = False,
        agent_channel: int = 0,
        prompt: str | None = None,
        keywords: Iterable[str] | None = None,
        temperature: float = 0.0,
    ) -> TranscribeResult:
        """Transcribe a recording; never raises for a failure of model, device, audio or process.

        ``audio_path`` is a path, the bytes of a file, or a file opened for reading bytes.
        ``language`` is a Whisper code, ``auto``, or ``None`` for Korean. ``keywords`` are words to
        look out for and ``prompt`` is text in the style that is wanted; both take twice the time.
        ``temperature`` above 0 draws words instead of taking the best ones.
        """
        request = SpeechRequest(
            Path(),
            language or "ko",
            translate,
            word_timestamps,
            agent_channel,
            Hints.of(prompt, keywords),
            temperature,
        )
        return transcribe_result(self.recognise(request, given=audio_path))

    def recognise(
        self,
        request: SpeechRequest,
        propagate: tuple[type[Exception], ...] = (),
        *,
        given: Recording | None = None,
        context: CallContext | None = None,
        on_work: OnWork = ignore_work,
        counted: bool = True,
    ) -> Outcome[Transcript]:
        """Run the chain. Errors of the types in ``propagate`` go to the caller instead.

        ``given`` is a recording that is no file yet: it is one, instead of ``request.path``, for
        the length of the call.
        ``context`` bounds the call and can cancel it; ``on_work`` follows how much of it is left.
        ``counted=False`` emits no event of the stage: a probe is not a call.

        Raises:
            CallCancelled: the call was cancelled.
        """
        attempts = Attempts(
            Stage.STT,
            self._observers if counted else (),
            propagate=propagate,
        )
        attempts.emit(RecognitionStarted(path=request.path, language=request.language))
        call = _Call(request, context or CallContext(), on_work, silence(request), counted)
        source, max_bytes = request.path if given is None else given, self.limits.audio.max_bytes
        with attempts.of("audio"), as_file(source, max_bytes) as path:
            call.request = replace(request, path=path)
            self._run_chain(call, attempts)
        if call.answered_by is None:
            return attempts.settle(call.transcript, DUMMY)
        for one in call.transcript.warnings:
            attempts.emit(AnswerWarned(stage=Stage.STT, warning=one))
        return attempts.settle(call.transcript, call.answered_by.name)

    def voiceprint(self, recording: Recording, context: CallContext | None = None) -> Voiceprint:
        """Return what the one voice of a recording is known by later (:class:`KnownVoice`).

        Raises:
            AudioRejected: the recording cannot be used.
            InvalidRequest: it holds several voices or channels, or too little of one.
            EngineError: it was not looked at; ``BackendUnavailable`` where no network is there.
        """
        context = context or CallContext()
        context.allow(self.limits.decode_timeout_sec)
        with (
            as_file(recording, self.limits.audio.max_bytes) as path,
            self._decoder.opened(path, context) as audio,
        ):
            return self.diarisation.voiceprint(audio, context)

    def _run_chain(self, call: _Call, attempts: Attempts) -> None:
        """Decode and recognise; every failure is recorded."""
        if self._accepts(call.request, attempts):
            with attempts.of("audio"), self._opened(call) as audio:
                self._try_backends(call, audio, attempts)
                self._tell_apart(call, audio)
            with attempts.of("quarantine"):
                answered = call.answered_by is not None
                self._quarantine.learn(call.request.path, attempts.errors, recognised=answered)

    def _accepts(self, request: SpeechRequest, attempts: Attempts) -> bool:
        """Return whether it can be begun; if not, the failure is recorded."""
        with attempts.of("request"):
            check(request)
            with attempts.of("quarantine"):
                self._quarantine.refuse(request.path)
                return True
        return False

    @contextmanager
    def _opened(self, call: _Call) -> Iterator[DecodedAudio]:
        """Decode, and report how much work the call is: first by the header, then as it is."""
        measured = partial(self._measured, call)
        call.context.allow(self.limits.decode_timeout_sec)
        with self._decoder.opened(call.request.path, call.context, measured) as audio:
            measured(audio.duration, len(audio.files))
            yield audio

    def _measured(self, call: _Call, duration: float | None, channels: int) -> float:
        """Set the call's deadline by its length, and return the seconds of work that it is."""
        tasks = 1 + call.request.translate
        seconds = min(duration or UNKNOWN_SEC, self.limits.audio.max_duration_sec)
        passes = call.request.passes
        call.context.allow(self.limits.call_timeout(seconds, passes, len(self._backends)))
        work_sec = seconds * channels * tasks
        call.on_work(Work(work_sec, work_sec))
        call.context.check()
        return work_sec

    def _try_backends(self, call: _Call, audio: DecodedAudio, attempts: Attempts) -> None:
        """Have the first backend that can answer."""
        call.transcript = silence(call.request, audio.duration)
        with attempts.of("model"), self._chains.held(call.request.model) as backends:
            for backend in backends:
                with attempts.of(backend.name):
                    found = backend.transcribe(call.request, audio, call.context, call.on_work)
                    call.transcript, call.answered_by = found, backend
                    break
            if call.answered_by is not None:
                _release(backends[backends.index(call.answered_by) + 1 :], attempts)

    def _tell_apart(self, call: _Call, audio: DecodedAudio) -> None:
        """Name who speaks by their voices, where no channel does."""
        transcript = call.transcript
        wanted = call.answered_by is not None and call.counted  # a probe asks only for words
        known = call.request.known
        if wanted and (known or self.diarisation.applies(transcript, audio)):
            named = self.diarisation.named(transcript, audio, call.context, known)
            took = {"speakers_sec": named.elapsed_sec}
            call.transcript = replace(named.value, timings={**transcript.timings, **took})

    def preload(self) -> bool:
        """Load the first backend that can be loaded; true where one could."""
        for backend in self._backends:
            with capture():  # the load stage has logged and counted each
                backend.ensure_loaded()
                return True
        return False

    @property
    def ready(self) -> bool:
        """True while some backend's model is loaded in a living process."""
        return any(backend.loaded for backend in self._backends)

    def intact(self) -> bool:
        """Return whether the loaded model is still the one on disk; loads nothing."""
        return any(backend.loaded and backend.intact() for backend in self._backends)

    def components(self) -> list[ComponentState]:
        """Every process that was wired, with its state; never waits for one."""
        decoder, voices = self._decoder.worker, self.diarisation.worker
        return [
            ComponentState("audio", decoder.state, decoder.pid is not None, decoder.pid),
            *(
                [ComponentState(voices.role, voices.state, loaded=False, pid=voices.pid)]
                if voices.pid is not None
                else []
            ),
            *(_state(one, self._model) for one in self._backends),
        ]

    def others(self) -> list[ComponentState]:
        """Every process of another model than the default one, likewise."""
        return [_state(backend, model) for model, backend in self._chains.others()]

    def stop(self) -> None:
        """Have every call in hand and to come answered at once, by a dummy that says why."""
        self._decoder.worker.stop()
        self.diarisation.stop()
        self._chains.stop()

    def __enter__(self) -> Self:
        """Return itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_raised: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End the child processes; a call in hand gets its answer from a dummy."""
        self._decoder.worker.close()
        self.diarisation.close()
        self._chains.close()


def _state(one: SpeechBackend, model: str) -> ComponentState:
    return ComponentState(one.name, one.state, one.loaded, one.pid, model)


def _release(fallbacks: Iterable[SpeechBackend], attempts: Attempts) -> None:
    """Free the memory of the fallbacks behind a backend that works again."""
    for fallback in fallbacks:
        with attempts.of(fallback.name):
            if fallback.state == "idle":
                fallback.close()


@dataclass(slots=True)
class _Call:
    """One call on its way through the chain."""

    request: SpeechRequest
    context: CallContext
    on_work: OnWork
    transcript: Transcript
    counted: bool = True
    answered_by: SpeechBackend | None = None


def check(request: SpeechRequest) -> None:
    """Refuse a request that has no meaning.

    Raises:
        InvalidRequest: an unknown language or channel, a temperature or hints out of bounds.
    """
    if request.language != AUTO and request.language not in LANGUAGES:
        raise InvalidRequest(unknown_language(request.language))
    if request.agent_channel not in {0, 1}:
        raise InvalidRequest(f"agent_channel is 0 or 1, not {request.agent_channel}")
    if not 0 <= request.temperature <= 1:
        raise InvalidRequest(f"temperature is from 0 to 1, not {request.temperature}")
    request.hints.check()
