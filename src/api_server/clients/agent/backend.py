"""Calls to agents: vLLM or another OpenAI-compatible server, or an external agent.

The only module that calls agents over HTTP. Every error ends in the same way: as a failed attempt
of ``Stage.AGENT``, counted and logged, and a dummy answer that names the cause. One deadline
covers everything: connecting, the look-up of the model, retries and reading the body.

At most two retries, within the deadline, and only of requests that were certainly not processed:
nothing was sent (``AgentConnectionError``, within a second of the start), or the server said so
(429 or 503 with ``Retry-After``).
"""

from __future__ import annotations

import math
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Literal, get_args

import anyio
import httpx2
import stamina

from api_server.clients.agent.errors import (
    AddressInvalid,
    AgentConnectionError,
    AgentNotFound,
    AgentStatusError,
    AgentTimeout,
    InvalidAnswer,
    ModelUnknown,
)
from api_server.clients.agent.formats import (
    AgentEndpoint,
    Reply,
    build_status_error,
    encode_completion,
    encode_external,
    get_first_choice,
    parse_body,
    parse_completion,
    parse_endpoint,
    parse_external,
    parse_first_model,
    redact_url,
    reject_error_body,
)
from api_server.clients.agent.responses import read_answer, read_error, to_agent_error
from api_server.clients.agent.types import (
    DUMMY_TEXT,
    PROBE,
    AgentAnswer,
    AgentBackendResponse,
    AgentRequest,
    ProbeResult,
    RequestFormat,
    build_agent_response,
)
from api_server.clients.circuit_breaker import CircuitBreakers, CircuitPolicy, CircuitSnapshot
from api_server.clients.deadline import Clock, Deadline
from api_server.clients.events import AgentAnswerRepaired, AgentCallRetried, AgentCallStarted
from api_server.clients.http import create_client
from stt_engine.errors import InvalidRequest, ServerStopping
from stt_engine.events import Observer, Stage
from stt_engine.outcome import DUMMY, AttemptFailed, Attempts, Failure, Outcome, capture

__all__ = [
    "AgentAnswer",
    "AgentBackend",
    "AgentBackendResponse",
    "AgentRequest",
    "ProbeResult",
    "build_agent_response",
]

MAX_MODELS = 256
RETRIES = 2
RETRY_WINDOW_SEC = 1.0
"""Failed connections are retried for this long after the start of the call."""

_MIN_TIMEOUT_SEC = 0.001

_AGENT_TYPES: Mapping[str, Literal["vllm", "external"]] = {
    "prompt_based": "vllm",
    "text_only": "external",
}


class AgentBackend:
    """Client of agents; every call returns an outcome within its deadline.

    Args:
        observers: get an event for every attempt, failure, outcome and circuit transition.
        circuit_policy: settings of the circuit breakers, one for each target.
        model: name of the model; by default the first that the server lists.
        api_key: bearer token, sent to ``prompt_based`` agents only.
        may_have_key: whether a URL may be sent the token; by default every one may.
        connect_timeout_sec: limit of one connection attempt.
        patience_sec: a time-out of so many seconds or more is a failure of the target; a shorter
            one is the caller's own.
        transport: replaces the network in tests.
        verify: TLS settings; by default the system's CA store.
        clock: monotonic seconds, for the circuit breakers and the retries.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        observers: Iterable[Observer] = (),
        circuit_policy: CircuitPolicy | None = None,
        model: str | None = None,
        api_key: str | None = None,
        may_have_key: Callable[[str], bool] = lambda _url: True,
        connect_timeout_sec: float = 3.0,
        patience_sec: float = 30.0,
        transport: httpx2.AsyncBaseTransport | None = None,
        verify: ssl.SSLContext | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise InvalidRequest("the API key has characters that an HTTP header cannot carry")
        self._observers = tuple(observers)
        self._model = model
        self._key_headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._may_have_key = may_have_key
        self._patience_sec = patience_sec
        self._clock = clock
        self._models: dict[str, str] = {}
        self._active_scopes: set[anyio.CancelScope] = set()
        self._stopping = False
        self.circuits = CircuitBreakers(circuit_policy, observers=self._observers, clock=clock)
        self._client = create_client(
            connect_timeout_sec,
            headers={"Content-Type": "application/json"},
            transport=transport,
            verify=verify,
        )

    def stop(self) -> None:
        """End active calls and reject new ones; each returns a dummy that names the cause."""
        self._stopping = True
        for scope in self._active_scopes:
            scope.deadline = -math.inf

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def ask(self, request: AgentRequest) -> Outcome[AgentAnswer]:
        """Ask; a failure of the agent gives a dummy, cancellation passes through."""
        source = _AGENT_TYPES.get(request.request_format, "external")
        url = redact_url(request.url)
        attempts = Attempts(Stage.AGENT, self._observers, subject=url)
        attempts.emit(AgentCallStarted(url=url, request_format=request.request_format))
        with attempts.of(source):
            return attempts.settle(await self._answer(request, attempts), source)
        dummy = AgentAnswer(DUMMY_TEXT, DUMMY, chat_thread_id=request.chat_thread_id)
        return attempts.settle(dummy, DUMMY)

    async def call(
        self,
        request_text: str,
        url: str,
        request_format: RequestFormat = "prompt_based",
        timeout: float = 30,  # noqa: ASYNC109 - the original's name
        chat_thread_id: str | None = None,
    ) -> AgentBackendResponse:
        """Send a text and return the response dict; a failure of the agent is in it, not raised."""
        request = AgentRequest(request_text, url, request_format, timeout, chat_thread_id)
        return build_agent_response(await self.ask(request))

    def circuit_of(self, url: str) -> CircuitSnapshot | None:
        """Return the circuit of an agent where it is not closed; ``None`` where nothing is known.

        With a ``retry_after`` of 0, the next call is let through as a probe.
        """
        names = set()
        for way in get_args(RequestFormat):
            with suppress(AddressInvalid):
                shown = redact_url(parse_endpoint(url, way).target)
                names.add(f"{shown} ({self._model})" if self._model else shown)
        found = (one for one in self.circuits.snapshots() if one.target in names)
        return next((one for one in found if one.state != "closed"), None)

    async def probe(
        self,
        url: str,
        timeout_sec: float,
        request_format: RequestFormat = "prompt_based",
    ) -> ProbeResult:
        """Probe whether an agent can answer: request one token of a completion like a check's.

        A health endpoint is not enough: vLLM's returns 200 while its engine hangs. Nor is any
        question: some models take no system message, and some servers no schema. A probe is not a
        call: it emits no events, and no circuit breaker records or rejects it.
        """
        request = replace(PROBE, url=url, request_format=request_format, timeout_sec=timeout_sec)
        began = time.monotonic()
        with capture() as kept, self._enforce_deadline(timeout_sec):
            reply = await self._exchange(parse_endpoint(url, request_format), request, _parse_probe)
            return ProbeResult(time.monotonic() - began, reply.model)
        elapsed_sec = time.monotonic() - began
        source = _AGENT_TYPES.get(request_format, "external")
        failure = Failure.of(kept.raised, Stage.HEALTH, source, elapsed_sec)
        failed = AttemptFailed(failure=failure, error=kept.raised, subject=redact_url(url))
        return ProbeResult(elapsed_sec, failed=failed)

    async def _answer(self, request: AgentRequest, attempts: Attempts) -> AgentAnswer:
        endpoint = parse_endpoint(request.url, request.request_format)
        breaker = self.circuits.get(endpoint.target, self._model, redact_url(endpoint.target))
        limit = _validate_timeout(request.timeout_sec)
        deadline = Deadline.after(limit, self._clock)
        policy = _RetryPolicy(deadline, self._clock, attempts)
        patient = limit >= self._patience_sec
        with breaker.guard(conclusive=patient), self._enforce_deadline(limit):
            reply = await _RETRYING(policy, self._exchange, endpoint, request, parse_completion)
        try:
            parsed = request.parse(reply.text) if request.parse else None
        except InvalidAnswer as exc:  # what a model makes of these words, not how the target is
            second = _repair_request(request, exc, attempts)
            left = max(_MIN_TIMEOUT_SEC, deadline.remaining)
            with breaker.guard(conclusive=False), self._enforce_deadline(limit, left):
                reply = await self._exchange(endpoint, second, parse_completion)
            parsed = request.parse(reply.text) if request.parse else None
        return AgentAnswer(
            reply.text,
            _AGENT_TYPES[request.request_format],
            reply.model,
            reply.chat_thread_id or request.chat_thread_id,
            parsed,
        )

    @contextmanager
    def _enforce_deadline(self, timeout_sec: float, left: float | None = None) -> Iterator[None]:
        """Raise where the deadline passes or this server stops before the block is done.

        ``left``: seconds of ``timeout_sec`` that are left.
        """
        rest = timeout_sec if left is None else left
        limit = -math.inf if self._stopping else _validate_timeout(rest)
        try:
            with anyio.fail_after(limit) as scope:
                self._active_scopes.add(scope)
                try:
                    yield
                finally:
                    self._active_scopes.discard(scope)
        except TimeoutError as exc:
            if self._stopping:
                raise ServerStopping("서버가 종료되는 중") from exc
            patient = rest >= self._patience_sec
            raise AgentTimeout(timeout_sec, patient=patient) from exc

    async def _exchange(
        self,
        endpoint: AgentEndpoint,
        request: AgentRequest,
        parse: Callable[[Mapping[str, object]], Reply],
    ) -> Reply:
        if request.request_format == "text_only":
            body = await self._send("POST", endpoint.url, encode_external(request))
            return parse_external(body)
        model = self._model or await self._first_listed_model(endpoint)
        with self._invalidating_model_cache(endpoint):
            content = encode_completion(request, model)
            headers = self._auth_headers(endpoint.url)
            return parse(await self._send("POST", endpoint.url, content, headers))

    def _auth_headers(self, url: str) -> dict[str, str]:
        return self._key_headers if self._may_have_key(url) else {}

    async def _first_listed_model(self, endpoint: AgentEndpoint) -> str:
        if endpoint.models_url is None:
            raise ModelUnknown("URL에서 /models 경로를 알 수 없음 (설정으로 모델 이름을 지정)")
        known = self._models.get(endpoint.models_url)
        if known is None:
            known = parse_first_model(
                await self._send(
                    "GET", endpoint.models_url, headers=self._auth_headers(endpoint.models_url)
                )
            )
            if len(self._models) >= MAX_MODELS:
                self._models.clear()
            self._models[endpoint.models_url] = known
        return known

    @contextmanager
    def _invalidating_model_cache(self, endpoint: AgentEndpoint) -> Iterator[None]:
        """Drop the cached model name if the server no longer has it."""
        try:
            yield
        except AgentNotFound:
            self._models.pop(endpoint.models_url or "", None)
            raise

    async def _send(
        self,
        method: str,
        url: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, object]:
        async with self._stream(method, url, content, headers or {}) as response:
            status = response.status_code
            if not response.is_success:
                raise build_status_error(status, response.headers, await read_error(response))
            body = parse_body(await read_answer(response))
        reject_error_body(body, status)
        return body

    @asynccontextmanager
    async def _stream(
        self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request; errors of the HTTP library become errors of the taxonomy."""
        try:
            async with self._client.stream(
                method, url, content=content, headers=headers
            ) as response:
                yield response
        except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
            raise to_agent_error(exc, url) from exc


class _RetryPolicy:
    """Decides whether a failed request is retried, and after which ``Retry-After``."""

    def __init__(self, deadline: Deadline, clock: Clock, attempts: Attempts) -> None:
        self._deadline = deadline
        self._until = clock() + RETRY_WINDOW_SEC
        self._clock = clock
        self._attempts = attempts
        self._tried = 0

    def __call__(self, error: Exception) -> bool | float:
        """Return the seconds to wait, ``True`` for the default backoff, ``False``: no retry."""
        self._tried += 1
        again = self._tried <= RETRIES and self._wait(error)
        if again is not False:
            self._attempts.emit(AgentCallRetried(retry=self._tried, error=str(error)))
        return again

    def _wait(self, error: Exception) -> bool | float:
        if isinstance(error, AgentConnectionError):
            return self._clock() < self._until
        retry_after = error.retry_after if isinstance(error, AgentStatusError) else None
        if retry_after is None:
            return False
        wait = retry_after + random.uniform(0.0, 0.25)  # noqa: S311 - jitter, not a secret
        return wait if wait < self._deadline.remaining / 2 else False


_RETRYING = stamina.AsyncRetryingCaller(
    attempts=RETRIES + 1, timeout=None, wait_initial=0.1, wait_max=0.3, wait_jitter=0.1
)


def _parse_probe(body: Mapping[str, object]) -> Reply:
    """Parse a one-token completion: it is cut off by design, so only its shape is checked."""
    choice = get_first_choice(body)
    if choice.get("finish_reason") not in {"stop", "length"}:
        raise InvalidAnswer("finish_reason이 없음")
    model = body.get("model")
    return Reply("", model if isinstance(model, str) else None)


def _repair_request(
    request: AgentRequest, refused: InvalidAnswer, attempts: Attempts
) -> AgentRequest:
    """Return the question that is asked once more after an answer in a wrong form.

    Raises:
        InvalidAnswer: ``request`` cannot be repaired.
    """
    if request.repair is None:
        raise refused
    attempts.emit(AgentAnswerRepaired(refused=str(refused)))
    return replace(request, text=request.repair(str(refused)))


def _validate_timeout(timeout_sec: float) -> float:
    if not (math.isfinite(timeout_sec) and timeout_sec > 0):
        raise InvalidRequest(f"timeout has to be above 0, not {timeout_sec}")
    return timeout_sec
