"""Reading an agent's HTTP response: bounded, its status before its body."""

from __future__ import annotations

import anyio
import httpx2

from api_server.clients.agent.errors import (
    AddressInvalid,
    AgentConnectionError,
    AgentDisconnected,
    AgentError,
    AnswerTooLarge,
    InvalidAnswer,
)
from api_server.clients.agent.formats import redact_url
from api_server.clients.http import (
    UNSENDABLE,
    BodyTooLarge,
    describe_root_cause,
    is_packed,
    read_body,
)
from stt_engine.outcome import capture

MAX_ANSWER_BYTES = 1024 * 1024

_ERROR_BODY_SEC = 1.0
"""Time for the body of an error response, of which only short tokens are told."""


async def read_answer(response: httpx2.Response) -> bytes:
    """Read a body of at most :data:`MAX_ANSWER_BYTES`."""
    if is_packed(response):
        raise InvalidAnswer("요청하지 않은 압축 응답 (Content-Encoding)")
    try:
        return await read_body(response, MAX_ANSWER_BYTES)
    except BodyTooLarge as exc:
        raise AnswerTooLarge(f"Agent 응답이 {MAX_ANSWER_BYTES} bytes를 넘음") from exc


async def read_error(response: httpx2.Response) -> bytes:
    """Return the body of an error response, as far as it comes; its status has said it all."""
    if is_packed(response):
        return b""
    with capture(), anyio.move_on_after(_ERROR_BODY_SEC):
        return await read_body(response, MAX_ANSWER_BYTES)
    return b""


def to_agent_error(exc: Exception, url: str) -> AgentError:
    """Convert an error of the HTTP library; quote its message only where it holds no data."""
    if isinstance(exc, UNSENDABLE):
        return AddressInvalid(f"Agent URL로 요청을 보낼 수 없음 ({type(exc).__name__})")
    target = redact_url(url)
    if isinstance(exc, httpx2.ConnectTimeout):
        return AgentConnectionError(f"{target}: 연결 시간 초과")
    if isinstance(exc, httpx2.ConnectError):
        return AgentConnectionError(f"{target}: {describe_root_cause(exc)}")
    return AgentDisconnected(f"{target}: 응답 중 연결이 끊어짐 ({type(exc).__name__})")
