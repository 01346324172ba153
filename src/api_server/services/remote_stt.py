"""Another stt-engine as a backend: the recording goes there as it is, the transcript comes back.

It takes part in the chain like a backend of this machine: the same bound on its time, the same
sign of life (its ``/health/live``, as a child process has its heartbeat), a circuit breaker, and
a failure that is one recorded attempt before the next backend.
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

from api_server.models import ReadyResponse, RecognitionResponse
from api_server.services.circuit import CircuitBreakers, CircuitPolicy
from api_server.services.groups import ungrouped
from api_server.services.http_client import (
    BodyTooLarge,
    distrustful_client,
    read_body,
    root_words,
)
from stt_engine.errors import AudioUnreadable, EngineError, ServerStopping
from stt_engine.isolated import Limits
from stt_engine.log import request_id
from stt_engine.outcome import Attempts, Observer, Stage
from stt_engine.speech import DecodedAudio, SpeechRequest, Transcript
from stt_engine.turns import Ticket

REMOTE = "remote"
"""The backend's name in the chain, in ``attempts`` and in the metrics."""

MAX_ANSWER_BYTES = 256 * 1024 * 1024
READY_TIMEOUT_SEC = 5.0
_CLIENT_ERROR, _TOO_MANY, _SERVER_ERROR = 400, 429, 500
_LOOK_SEC = 1.0
_SLACK_SEC = 1.0
_SLACK_SHARE = 0.01
_ERROR_TYPE = re.compile(r"[A-Za-z]{1,40}")
_ABOUT_THE_RECORDING = {"EmptyTranscript"}


class RemoteSttError(EngineError):
    """The other server gave no transcript."""

    counts: ClassVar[bool] = True
    """Whether the circuit breaker takes it as a failure of the server."""


class RemoteSttUnavailable(RemoteSttError):
    """It cannot be reached, or says that it cannot answer now (429, 5xx, not ready)."""


class RemoteSttTimeout(RemoteSttError):
    """No answer within the bound, or no sign of life."""

    error_type = "TimeoutError"


class RemoteSttDisconnected(RemoteSttError):
    """The connection broke in the middle."""


class RemoteSttRefused(RemoteSttError):
    """It refused the request (4xx): other limits, another API key, another version."""

    counts = False


class RemoteSttInvalid(RemoteSttError):
    """What it answered is not a transcript of this recording."""


class RemoteSttFailed(RemoteSttError):
    """It answered honestly that it could not recognise; ``error_type`` is its own."""

    def __init__(self, answer: RecognitionResponse) -> None:
        super().__init__(answer.error or "no reason given")
        given = answer.error_type or ""
        self.error_type = given if _ERROR_TYPE.fullmatch(given) else RemoteSttFailed.error_type


def counts_for_circuit(error: Exception) -> bool:
    """Tell whether ``error`` is the server's failure, not this recording's or this request's."""
    if isinstance(error, RemoteSttFailed):
        return error.error_type not in _ABOUT_THE_RECORDING
    return error.counts if isinstance(error, RemoteSttError) else True


class RemoteStt:
    """A :class:`stt_engine.speech.SpeechBackend` behind a URL.

    Args:
        url: where ``stt-engine serve --stt-only`` (or a whole server) listens.
        limits: what a call may cost; the same as for a backend of this machine.
        observers: told of every look for the server and of circuit transitions.
        api_key: sent as bearer token.
        circuit_policy: settings of its circuit breaker.
        connect_timeout_sec: bound of one connection attempt.
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
        self._keys = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._connect_timeout_sec = connect_timeout_sec
        self.circuits = CircuitBreakers(
            circuit_policy, observers=self._observers, counts=counts_for_circuit
        )
        self.loaded = False
        self._in_hand = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def state(self) -> str:
        """``busy``, ``idle``, or ``stopped`` where it did not answer the last time."""
        if self._in_hand:
            return "busy"
        return "idle" if self.loaded else "stopped"

    def intact(self) -> bool:
        """Say yes: whether it still can is for its own health and the next proof to tell."""
        return True

    def ensure_loaded(self) -> None:
        """Find out that the server is ready, where the last answer does not tell.

        Raises:
            RemoteSttError: it is not.
        """
        if self.loaded:
            return
        attempts = Attempts(Stage.LOAD, self._observers, detail={"path": self.url})
        attempts.tell("started", self.name)
        with attempts.of(self.name):
            anyio.run(self._ask_ready)
            self.loaded = True
            attempts.settle(self.url, self.name)
            return
        error = attempts.failures[-1].error
        if not isinstance(error, RemoteSttError):
            error = RemoteSttUnavailable(attempts.failures[-1].message)
        error.told = True
        raise error

    def transcribe(self, request: SpeechRequest, audio: DecodedAudio, ticket: Ticket) -> Transcript:
        """Have the recording recognised there.

        Raises:
            RemoteSttError: no transcript came of it.
            CircuitOpen: it has failed lately and was not asked.
        """
        with self.circuits.of(self.url).guard(), self._judged():
            answer = anyio.run(self._exchange, request, audio, ticket)
            return _transcript(answer, audio, self.url)

    def close(self) -> None:
        """Nothing is held here."""

    def stop(self) -> None:
        """Leave the calls in hand, and take no more."""
        self._stopping.set()

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Remember whether the server is of use."""
        self._count(1)
        reached = False
        try:
            yield
            reached = True
        except RemoteSttError as exc:
            reached = not counts_for_circuit(exc)
            raise
        finally:
            self.loaded = reached
            self._count(-1)

    def _count(self, calls: int) -> None:
        with self._lock:
            self._in_hand += calls

    async def _ask_ready(self) -> None:
        with self._bounded(READY_TIMEOUT_SEC):
            async with self._client() as client, _answered(client, "GET", "/health/ready") as found:
                body = await _read(found)
                if found.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
                    raise RemoteSttUnavailable(_not_ready(body))
                _refuse_unless_ok(found)

    async def _exchange(
        self, request: SpeechRequest, audio: DecodedAudio, ticket: Ticket
    ) -> RecognitionResponse:
        limit = self._limits.transcribe_timeout(audio.duration, 1 + request.translate)
        answers: list[RecognitionResponse] = []
        with self._bounded(limit), ungrouped():
            async with self._client() as client, anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, client, ticket)
                answers.append(await _send(client, request))
                tasks.cancel_scope.cancel()
        return answers[0]

    async def _watch(self, client: httpx2.AsyncClient, ticket: Ticket) -> NoReturn:
        """Ask for signs of life while the answer is awaited; its health never waits for work."""
        limit = self._limits.stall_timeout_sec
        seen = time.monotonic()
        while True:
            await anyio.sleep(min(_LOOK_SEC, limit / 5))
            if self._stopping.is_set():
                raise ServerStopping("the server is stopping")
            ticket.check()
            with suppress(httpx2.HTTPError), anyio.move_on_after(limit / 5):
                await client.get("/health/live")
                seen = time.monotonic()
            if time.monotonic() - seen > limit:
                raise RemoteSttTimeout(f"{self.url} has been silent for {limit:g} s")

    @contextmanager
    def _bounded(self, limit: float) -> Iterator[None]:
        try:
            with anyio.fail_after(limit):
                yield
        except TimeoutError as exc:
            raise RemoteSttTimeout(f"{self.url} gave no answer within {limit:g} s") from exc
        except httpx2.ConnectTimeout as exc:
            raise RemoteSttUnavailable(f"{self.url}: connecting timed out") from exc
        except httpx2.ConnectError as exc:
            raise RemoteSttUnavailable(f"{self.url}: {root_words(exc)}") from exc
        except httpx2.HTTPError as exc:
            words = f"{self.url}: connection lost ({type(exc).__name__})"
            raise RemoteSttDisconnected(words) from exc

    def _client(self) -> httpx2.AsyncClient:
        identity = request_id.get()
        told = {"X-Request-ID": identity} if identity else {}
        client = distrustful_client(self._connect_timeout_sec, headers={**self._keys, **told})
        client.base_url = self.url
        return client


@asynccontextmanager
async def _answered(
    client: httpx2.AsyncClient, method: str, path: str, **content: object
) -> AsyncIterator[httpx2.Response]:
    async with client.stream(method, path, **content) as response:  # type: ignore[arg-type]
        yield response


async def _send(client: httpx2.AsyncClient, request: SpeechRequest) -> RecognitionResponse:
    form = {
        "language": request.language,
        "translate": str(request.translate).lower(),
        "word_timestamps": str(request.word_timestamps).lower(),
        "agent_channel": str(request.agent_channel),
        "strict": "false",
    }
    with _opened(request.path) as recording:
        files = {"file": (f"recording{request.path.suffix}", recording)}
        async with _answered(client, "POST", "/transcribe", data=form, files=files) as response:
            body = await _read(response)
            _refuse_unless_ok(response)
    try:
        return RecognitionResponse.model_validate_json(body)
    except ValidationError as exc:
        raise RemoteSttInvalid(f"not a transcript: {exc.error_count()} fields are wrong") from exc


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        recording = path.open("rb")
    except OSError as exc:
        raise AudioUnreadable(f"{path}: {exc.strerror}") from exc
    with recording:
        yield recording


async def _read(response: httpx2.Response) -> bytes:
    try:
        return await read_body(response, MAX_ANSWER_BYTES)
    except BodyTooLarge as exc:
        raise RemoteSttInvalid(f"the answer is larger than {MAX_ANSWER_BYTES} bytes") from exc


def _not_ready(body: bytes) -> str:
    try:
        return f"not ready: {ReadyResponse.model_validate_json(body).reason}"
    except ValidationError:
        return "not ready (HTTP 503)"


def _refuse_unless_ok(response: httpx2.Response) -> None:
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
    """Take an answer that is one, whole, and about this recording."""
    if not answer.success or answer.is_dummy:
        raise RemoteSttFailed(answer)
    if (answer.outcome == "speech") != bool(answer.text.strip()) or answer.outcome == "failed":
        raise RemoteSttInvalid(f"outcome {answer.outcome} with {len(answer.text)} characters")
    slack = max(_SLACK_SEC, audio.duration * _SLACK_SHARE)
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
    )
