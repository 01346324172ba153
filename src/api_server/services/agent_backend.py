"""Calls to agents: vLLM or another OpenAI-compatible server, or an external agent.

The only module that speaks HTTP to agents. Whatever goes wrong takes one road: a failed attempt
of ``Stage.AGENT``, counted, logged, and a dummy that names the cause. One deadline stands over
everything: connecting, the look-up of the model, retries and the last byte of the body.

Retried (at most twice, inside the deadline) is only what was certainly not done: nothing was sent
(``AgentConnectionError``, within a second), or the server said so (429/503 with ``Retry-After``).
"""

from __future__ import annotations

import math
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Literal

import anyio
import httpx2
import stamina

from api_server.services.agent_errors import (
    AddressInvalid,
    AgentConnectionError,
    AgentDisconnected,
    AgentError,
    AgentNotFound,
    AgentStatusError,
    AgentTimeout,
    AnswerTooLarge,
    InvalidAnswer,
    ModelUnknown,
)
from api_server.services.agent_formats import (
    Address,
    Reply,
    address_of,
    decode,
    encode_prompt,
    encode_text,
    first_choice,
    first_model,
    read_prompt,
    read_text,
    safe_url,
    status_error,
)
from api_server.services.agent_types import (
    DUMMY_TEXT,
    AgentAnswer,
    AgentBackendResponse,
    AgentRequest,
    Readiness,
    RequestFormat,
    render,
)
from api_server.services.circuit import CircuitBreakers, CircuitPolicy
from api_server.services.deadline import Clock, Deadline
from api_server.services.http_client import (
    UNSENDABLE,
    BodyTooLarge,
    distrustful_client,
    read_body,
    root_words,
)
from stt_engine.errors import InvalidRequest, ServerStopping
from stt_engine.outcome import DUMMY, Attempts, Observer, Outcome, Stage

__all__ = [
    "AgentAnswer",
    "AgentBackend",
    "AgentBackendResponse",
    "AgentRequest",
    "Readiness",
    "render",
]

MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_MODELS = 256
RETRIES = 2
RETRY_WINDOW_SEC = 1.0
"""Refused connections are retried no later than this after the call began."""

REPAIR = "repair"
"""``source`` of the event of an answer in a wrong form that is asked for once more."""

_TYPES: Mapping[str, Literal["vllm", "external"]] = {
    "prompt_based": "vllm",
    "text_only": "external",
}


class AgentBackend:
    """Asks agents, and always has an answer in bounded time.

    Args:
        observers: told of every attempt, failure, outcome and circuit transition.
        circuit_policy: settings of the circuit breakers, one a target.
        model: the model to ask; by default the first that the server lists.
        api_key: sent as bearer token to ``prompt_based`` agents only.
        connect_timeout_sec: bound of one connection attempt.
        transport: replaces the network in tests.
        verify: TLS settings; by default the system's store of CAs.
        clock: monotonic seconds, for the circuits and the retries.
    """

    def __init__(
        self,
        *,
        observers: Iterable[Observer] = (),
        circuit_policy: CircuitPolicy | None = None,
        model: str | None = None,
        api_key: str | None = None,
        connect_timeout_sec: float = 3.0,
        transport: httpx2.AsyncBaseTransport | None = None,
        verify: ssl.SSLContext | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise InvalidRequest("API 키에 HTTP 헤더로 보낼 수 없는 문자가 있음")
        self._observers = tuple(observers)
        self._model = model
        self._keys = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._clock = clock
        self._models: dict[str, str] = {}
        self._in_hand: set[anyio.CancelScope] = set()
        self._stopping = False
        self.circuits = CircuitBreakers(circuit_policy, observers=self._observers, clock=clock)
        self._client = distrustful_client(
            connect_timeout_sec,
            headers={"Content-Type": "application/json"},
            transport=transport,
            verify=verify,
        )

    def stop(self) -> None:
        """Leave the calls in hand, and take no more: each ends as a dummy that says why."""
        self._stopping = True
        for scope in self._in_hand:
            scope.deadline = -math.inf

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def ask(self, request: AgentRequest) -> Outcome[AgentAnswer]:
        """Ask; a failure of the agent gives a dummy, cancellation passes through."""
        source = _TYPES.get(request.request_format, "external")
        attempts = Attempts(Stage.AGENT, self._observers, detail=_facts(request))
        attempts.tell("started", source)
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
        """Ask as the original request does; never raises for a failure of the agent."""
        request = AgentRequest(request_text, url, request_format, timeout, chat_thread_id)
        return render(await self.ask(request))

    async def probe(
        self,
        url: str,
        timeout_sec: float,
        request_format: RequestFormat = "prompt_based",
    ) -> Readiness:
        """Find out whether an agent can answer: one token of a real completion, under a deadline.

        A health endpoint proves nothing: vLLM's stays 200 while its engine hangs. A probe is not a
        call: no observer is told of it, and the circuits neither see nor stop it.
        """
        request = AgentRequest("ping", url, request_format, timeout_sec, max_tokens=1)
        source = _TYPES.get(request_format, "external")
        attempts = Attempts(Stage.HEALTH)
        with attempts.of(source), self._within(timeout_sec):
            reply = await self._exchange(address_of(url, request_format), request, _read_probe)
            return Readiness(attempts.settle(reply, source).elapsed_sec, reply.model)
        failed = attempts.settle(None, DUMMY)
        return Readiness(failed.elapsed_sec, failure=failed.cause)

    async def _answer(self, request: AgentRequest, attempts: Attempts) -> AgentAnswer:
        address = address_of(request.url, request.request_format)
        breaker = self.circuits.of(address.target, self._model)
        limit = _bound(request.timeout_sec)
        rule = _RetryRule(Deadline.after(limit, self._clock), self._clock, attempts)
        with breaker.guard(), self._within(limit):
            reply = await _RETRYING(rule, self._exchange, address, request, read_prompt)
            try:
                parsed = request.parse(reply.text) if request.parse else None
            except InvalidAnswer as exc:
                again = _repaired(request, exc, attempts)
                reply = await self._exchange(address, again, read_prompt)
                parsed = request.parse(reply.text) if request.parse else None
        return AgentAnswer(
            reply.text,
            _TYPES[request.request_format],
            reply.model,
            reply.chat_thread_id or request.chat_thread_id,
            parsed,
        )

    @contextmanager
    def _within(self, timeout_sec: float) -> Iterator[None]:
        """Hold a call to its deadline, and to the end of this server."""
        limit = -math.inf if self._stopping else _bound(timeout_sec)
        try:
            with anyio.fail_after(limit) as scope:
                self._in_hand.add(scope)
                try:
                    yield
                finally:
                    self._in_hand.discard(scope)
        except TimeoutError as exc:
            if self._stopping:
                raise ServerStopping("서버가 종료되는 중") from exc
            raise AgentTimeout(timeout_sec) from exc

    async def _exchange(
        self,
        address: Address,
        request: AgentRequest,
        read: Callable[[Mapping[str, object]], Reply],
    ) -> Reply:
        if request.request_format == "text_only":
            return read_text(await self._send("POST", address.url, encode_text(request)))
        model = self._model or await self._listed_model(address)
        with self._forgetting_model(address):
            content = encode_prompt(request, model)
            return read(await self._send("POST", address.url, content, self._keys))

    async def _listed_model(self, address: Address) -> str:
        if address.models is None:
            raise ModelUnknown("URL에서 /models 경로를 알 수 없음 (설정으로 모델 이름을 지정)")
        known = self._models.get(address.models)
        if known is None:
            known = first_model(await self._send("GET", address.models, headers=self._keys))
            if len(self._models) >= MAX_MODELS:
                self._models.clear()
            self._models[address.models] = known
        return known

    @contextmanager
    def _forgetting_model(self, address: Address) -> Iterator[None]:
        """Drop the remembered model where the server no longer has it."""
        try:
            yield
        except AgentNotFound:
            self._models.pop(address.models or "", None)
            raise

    async def _send(
        self,
        method: str,
        url: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, object]:
        async with self._stream(method, url, content, headers or {}) as response:
            data = await _body(response)
            if not response.is_success:
                raise status_error(response.status_code, response.headers, data)
        return decode(data)

    @asynccontextmanager
    async def _stream(
        self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request; what the HTTP library raises becomes one of our errors."""
        try:
            async with self._client.stream(
                method, url, content=content, headers=headers
            ) as response:
                yield response
        except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
            raise _agent_error(exc, url) from exc


class _RetryRule:
    """Says whether, and for a server that said so after how long, a failure is tried again."""

    def __init__(self, deadline: Deadline, clock: Clock, attempts: Attempts) -> None:
        self._deadline = deadline
        self._until = clock() + RETRY_WINDOW_SEC
        self._clock = clock
        self._attempts = attempts
        self._tried = 0

    def __call__(self, error: Exception) -> bool | float:
        """Decide on ``error``; ``True`` leaves the wait to the usual backoff."""
        self._tried += 1
        again = self._tried <= RETRIES and self._wait(error)
        if again is not False:
            detail = {"retry": self._tried, "error": str(error)}
            self._attempts.tell("noted", "retry", detail=detail)
        return again

    def _wait(self, error: Exception) -> bool | float:
        if isinstance(error, AgentConnectionError):
            return self._clock() < self._until
        asked = error.retry_after if isinstance(error, AgentStatusError) else None
        if asked is None:
            return False
        wait = asked + random.uniform(0.0, 0.25)  # noqa: S311 - jitter, not a secret
        return wait if wait < self._deadline.remaining / 2 else False


_RETRYING = stamina.AsyncRetryingCaller(
    attempts=RETRIES + 1, timeout=None, wait_initial=0.1, wait_max=0.3, wait_jitter=0.1
)


async def _body(response: httpx2.Response) -> bytes:
    """Read a body within :data:`MAX_ANSWER_BYTES`; of an error's body a part is enough."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise InvalidAnswer("요청하지 않은 압축 응답 (Content-Encoding)")
    try:
        return await read_body(response, MAX_ANSWER_BYTES)
    except BodyTooLarge as exc:
        raise AnswerTooLarge(f"Agent 응답이 {MAX_ANSWER_BYTES} bytes를 넘음") from exc


def _read_probe(body: Mapping[str, object]) -> Reply:
    """Read a one-token completion: cut short by design, so only its shape is asked for."""
    choice = first_choice(body)
    if choice.get("finish_reason") not in {"stop", "length"}:
        raise InvalidAnswer("finish_reason이 없음")
    model = body.get("model")
    return Reply("", model if isinstance(model, str) else None)


def _repaired(request: AgentRequest, refused: InvalidAnswer, attempts: Attempts) -> AgentRequest:
    """Give the question that is asked once more after an answer in a wrong form.

    Raises:
        InvalidAnswer: there is no such question.
    """
    if request.repair is None:
        raise refused
    attempts.tell("noted", REPAIR, detail={"repair": str(refused)})
    return replace(request, text=request.repair(str(refused)))


def _bound(timeout_sec: float) -> float:
    if not (math.isfinite(timeout_sec) and timeout_sec > 0):
        raise InvalidRequest(f"timeout은 0보다 커야 함 ({timeout_sec})")
    return timeout_sec


def _agent_error(exc: Exception, url: str) -> AgentError:
    """Name what the HTTP library raised. Its own words are told only where they hold no data."""
    if isinstance(exc, UNSENDABLE):
        return AddressInvalid(f"Agent URL로 요청을 보낼 수 없음 ({type(exc).__name__})")
    target = safe_url(url)
    if isinstance(exc, httpx2.ConnectTimeout):
        return AgentConnectionError(f"{target}: 연결 시간 초과")
    if isinstance(exc, httpx2.ConnectError):
        return AgentConnectionError(f"{target}: {root_words(exc)}")
    return AgentDisconnected(f"{target}: 응답 중 연결이 끊어짐 ({type(exc).__name__})")


def _facts(request: AgentRequest) -> dict[str, object]:
    return {
        "url": safe_url(request.url),
        "format": request.request_format,
        "timeout": request.timeout_sec,
    }
