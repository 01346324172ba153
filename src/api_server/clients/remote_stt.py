"""Another stt-engine server as a backend: the recording is uploaded, the transcript returned.

It is part of the chain like a local backend, with the same time limit, a heartbeat (its
``/health/live``), a circuit breaker, and failures that are recorded attempts before the next
backend is tried.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, ClassVar, NoReturn

import anyio
import httpx2
from pydantic import ValidationError

from api_server.clients.circuit_breaker import CircuitBreakers, CircuitPolicy
from api_server.clients.http import BodyTooLarge, create_client, describe_root_cause, read_body
from api_server.clients.task_groups import unwrap_exception_group
from api_server.models import ReadyResponse, RecognitionResponse
from stt_engine.call import CallContext, OnWork, ignore_work
from stt_engine.errors import (
    AudioRejected,
    AudioUnreadable,
    CallExpired,
    EngineError,
    ServerStopping,
)
from stt_engine.events import LoadStarted, Observer, Stage, request_id
from stt_engine.limits import Limits
from stt_engine.outcome import Attempts
from stt_engine.result import TRANSLATION_FAILED
from stt_engine.speech import DecodedAudio, SpeechRequest, Transcript

REMOTE = "remote"
"""The backend's name in the chain, in ``attempts`` and in the metrics."""

MAX_ANSWER_BYTES = 256 * 1024 * 1024
READY_TIMEOUT_SEC = 5.0
_CLIENT_ERROR, _TOO_MANY, _SERVER_ERROR = 400, 429, 500
_LIVENESS_INTERVAL_SEC = 1.0
_DURATION_SLACK_SEC = 1.0
_DURATION_SLACK_SHARE = 0.01
_ERROR_TYPE = re.compile(r"[A-Za-z]{1,40}")
_RECORDING_ERRORS = {"EmptyTranscript"}
_OWN_ERRORS = (AudioRejected, CallExpired, ServerStopping)
"""Errors of this recording, call or machine."""


class RemoteSttError(EngineError):
    """The remote server returned no transcript."""

    counts_for_circuit: ClassVar[bool] = True
    """Whether the circuit breaker records it as a failure of the server."""


class RemoteSttUnavailable(RemoteSttError):
    """It cannot be reached, or cannot answer now (429, 5xx, not ready)."""


class RemoteSttTimeout(RemoteSttError):
    """No response within the limit, or no heartbeat."""

    error_type = "TimeoutError"


class RemoteSttDisconnected(RemoteSttError):
    """The connection broke during the call."""


class RemoteSttRefused(RemoteSttError):
    """It rejected the request (4xx): different limits, a wrong API key, another version."""

    counts_for_circuit = False


class RemoteSttInvalid(RemoteSttError):
    """Its response is not a transcript of this recording."""


class RemoteSttFailed(RemoteSttError):
    """It reported that it could not recognise the recording; ``error_type`` is the one it named."""

    def __init__(self, answer: RecognitionResponse) -> None:
        super().__init__(answer.error or "no reason given")
        given = answer.error_type or ""
        self.error_type = given if _ERROR_TYPE.fullmatch(given) else RemoteSttFailed.error_type


def is_server_failure(error: Exception) -> bool:
    """Return whether ``error`` is a failure of the server, not of this recording or request."""
    if isinstance(error, RemoteSttFailed):
        return error.error_type not in _RECORDING_ERRORS
    if isinstance(error, RemoteSttError):
        return error.counts_for_circuit
    return not isinstance(error, _OWN_ERRORS)


class RemoteStt:
    """A :class:`stt_engine.speech.SpeechBackend` on another server.

    Args:
        url: address of ``stt-engine serve --stt-only``, or of a complete server.
        limits: time limits of a call, as for a local backend.
        observers: get an event for every readiness check and circuit transition.
        api_key: sent as bearer token.
        circuit_policy: settings of its circuit breaker.
        connect_timeout_sec: limit of one connection attempt.
    """

    name = REMOTE
    pid: int | None = None

    def __init__(
        self,
        url: str,
        limits: Limits,
        observers: Iterable[Observer] = (),
        *,
        api_key: str | None = None,
        circuit_policy: CircuitPolicy | None = None,
        connect_timeout_sec: float = 3.0,
    ) -> None:
        self.url = url.rstrip("/")
        self._limits = limits
        self._observers = tuple(observers)
        self._auth_headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._connect_timeout_sec = connect_timeout_sec
        self.circuits = CircuitBreakers(
            circuit_policy, observers=self._observers, should_handle=is_server_failure
        )
        self.loaded = False
        self._active_calls = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def state(self) -> str:
        """``busy``, ``idle``, or ``stopped`` if the last call did not reach it."""
        if self._active_calls:
            return "busy"
        return "idle" if self.loaded else "stopped"

    def intact(self) -> bool:
        """Return True: the remote server checks its own model, and the next probe the server."""
        return True

    def ensure_loaded(self) -> None:
        """Check that the server is ready, unless the last call succeeded.

        Raises:
            RemoteSttError: it is not ready.
        """
        if self.loaded:
            return
        attempts = Attempts(Stage.LOAD, self._observers, subject=self.url)
        attempts.emit(LoadStarted(backend=self.name, path=self.url))
        with attempts.of(self.name):
            anyio.run(self._check_ready)
            self.loaded = True
            attempts.settle(self.url, self.name)
            return
        error = attempts.errors[-1]
        if not isinstance(error, RemoteSttError):
            error = RemoteSttUnavailable(attempts.failures[-1].message)
        error.logged = True
        raise error

    def transcribe(
        self,
        request: SpeechRequest,
        audio: DecodedAudio,
        context: CallContext,
        on_work: OnWork = ignore_work,  # noqa: ARG002 - the other server does not report it
    ) -> Transcript:
        """Upload the recording and return the server's transcript.

        Raises:
            RemoteSttError: there is no transcript.
            CircuitOpen: the server failed recently and was not called.
        """
        with self.circuits.get(self.url).guard(), self._track_state():
            answer = anyio.run(self._exchange, request, audio, context)
            return _transcript(answer, audio, self.url)

    def close(self) -> None:
        """Do nothing: no resources are held between calls."""

    def stop(self) -> None:
        """End active calls and reject new ones."""
        self._stopping.set()

    @contextmanager
    def _track_state(self) -> Iterator[None]:
        """Record whether a call is active, and whether the server answered or failed.

        A caller who hangs up, or a recording that cannot be read, says neither.
        """
        self._count(1)
        try:
            yield
            self.loaded = True
        except Exception as exc:
            if is_server_failure(exc):
                self.loaded = False
            raise
        finally:
            self._count(-1)

    def _count(self, calls: int) -> None:
        with self._lock:
            self._active_calls += calls

    async def _check_ready(self) -> None:
        with self._map_errors(READY_TIMEOUT_SEC):
            async with self._client() as client, _stream(client, "GET", "/health/ready") as found:
                body = await _read_body(found)
                if found.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
                    raise RemoteSttUnavailable(_describe_not_ready(body))
                _raise_for_status(found)

    async def _exchange(
        self, request: SpeechRequest, audio: DecodedAudio, context: CallContext
    ) -> RecognitionResponse:
        limit = self._limits.transcribe_timeout(audio.duration, request.passes)
        answers: list[RecognitionResponse] = []
        with self._map_errors(limit), unwrap_exception_group():
            async with self._client() as client, anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch_liveness, client, context)
                answers.append(await _send(client, request))
                tasks.cancel_scope.cancel()
        return answers[0]

    async def _watch_liveness(self, client: httpx2.AsyncClient, context: CallContext) -> NoReturn:
        """Poll the liveness endpoint during a call; that endpoint never waits for other work."""
        limit = self._limits.stall_timeout_sec
        seen = time.monotonic()
        while True:
            await anyio.sleep(min(_LIVENESS_INTERVAL_SEC, limit / 5))
            if self._stopping.is_set():
                raise ServerStopping("the server is stopping")
            context.check()
            with suppress(httpx2.HTTPError), anyio.move_on_after(limit / 5):
                await client.get("/health/live")
                seen = time.monotonic()
            if time.monotonic() - seen > limit:
                raise RemoteSttTimeout(f"{self.url} has been silent for {limit:g} s")

    @contextmanager
    def _map_errors(self, limit: float) -> Iterator[None]:
        try:
            with anyio.fail_after(limit):
                yield
        except TimeoutError as exc:
            raise RemoteSttTimeout(f"{self.url} gave no answer within {limit:g} s") from exc
        except httpx2.ConnectTimeout as exc:
            raise RemoteSttUnavailable(f"{self.url}: connecting timed out") from exc
        except httpx2.ConnectError as exc:
            raise RemoteSttUnavailable(f"{self.url}: {describe_root_cause(exc)}") from exc
        except httpx2.HTTPError as exc:
            words = f"{self.url}: connection lost ({type(exc).__name__})"
            raise RemoteSttDisconnected(words) from exc

    def _client(self) -> httpx2.AsyncClient:
        identity = request_id.get()
        tracing = {"X-Request-ID": identity} if identity else {}
        headers = {**self._auth_headers, **tracing}
        client = create_client(self._connect_timeout_sec, headers=headers)
        client.base_url = self.url
        return client


@asynccontextmanager
async def _stream(
    client: httpx2.AsyncClient, method: str, path: str, **content: object
) -> AsyncIterator[httpx2.Response]:
    async with client.stream(method, path, **content) as response:  # type: ignore[arg-type]
        yield response


async def _send(client: httpx2.AsyncClient, request: SpeechRequest) -> RecognitionResponse:
    form: dict[str, str | list[str]] = {
        "language": request.language,
        "translate": str(request.translate).lower(),
        "word_timestamps": str(request.word_timestamps).lower(),
        "agent_channel": str(request.agent_channel),
        "strict": "false",
        **_hints(request),
    }
    with _open_recording(request.path) as recording:
        files = {"file": (f"recording{request.path.suffix}", recording)}
        async with _stream(client, "POST", "/transcribe", data=form, files=files) as response:
            body = await _read_body(response)
            _raise_for_status(response)
    try:
        return RecognitionResponse.model_validate_json(body)
    except ValidationError as exc:
        raise RemoteSttInvalid(f"not a transcript: {exc.error_count()} fields are wrong") from exc


def _hints(request: SpeechRequest) -> dict[str, str | list[str]]:
    """Return the fields that a server of before may not know, where they say something."""
    sent: dict[str, str | list[str]] = {
        "prompt": request.hints.prompt,
        "keywords": list(request.hints.keywords),
        "temperature": str(request.temperature) if request.temperature else "",
    }
    return {name: value for name, value in sent.items() if value}


@contextmanager
def _open_recording(path: Path) -> Iterator[BinaryIO]:
    try:
        recording = path.open("rb")
    except OSError as exc:
        raise AudioUnreadable(f"{path}: {exc.strerror}") from exc
    with recording:
        yield recording


async def _read_body(response: httpx2.Response) -> bytes:
    try:
        return await read_body(response, MAX_ANSWER_BYTES)
    except BodyTooLarge as exc:
        raise RemoteSttInvalid(f"the answer is larger than {MAX_ANSWER_BYTES} bytes") from exc


def _describe_not_ready(body: bytes) -> str:
    try:
        return f"not ready: {ReadyResponse.model_validate_json(body).reason}"
    except ValidationError:
        return "not ready (HTTP 503)"


def _raise_for_status(response: httpx2.Response) -> None:
    status = response.status_code
    if status == httpx2.codes.OK:
        return
    words = f"{response.url.host} answered HTTP {status}"
    if status == _TOO_MANY or status >= _SERVER_ERROR:
        raise RemoteSttUnavailable(words)
    if status >= _CLIENT_ERROR:
        raise RemoteSttRefused(words)
    raise RemoteSttInvalid(words)


def _transcript(answer: RecognitionResponse, audio: DecodedAudio, url: str) -> Transcript:
    """Convert a response after checking that it is complete and about this recording."""
    # What failed may be the translation alone, and a transcript is never thrown away for it.
    untranslated = answer.error_type == TRANSLATION_FAILED
    if answer.is_dummy or not (answer.success or untranslated):
        raise RemoteSttFailed(answer)
    if (answer.outcome == "speech") != bool(answer.text.strip()) or answer.outcome == "failed":
        raise RemoteSttInvalid(f"outcome {answer.outcome} with {len(answer.text)} characters")
    slack = max(_DURATION_SLACK_SEC, audio.duration * _DURATION_SLACK_SHARE)
    if abs(answer.duration - audio.duration) > slack:
        raise RemoteSttInvalid(f"heard {answer.duration:g} s of {audio.duration:g} s")
    return Transcript(
        text=answer.text,
        text_en=answer.text_en,
        language=answer.language,
        duration=audio.duration,
        outcome=answer.outcome,
        segments=tuple(answer.segments),
        provenance={**answer.provenance, "server": url},
        timings={**answer.timings},
        backend=answer.backend,
        coverage=answer.coverage,
        warnings=tuple(answer.warnings),
        segments_en=tuple(answer.segments_en),
    )
