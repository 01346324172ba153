"""The two wire formats of agents: pure functions that encode requests and parse responses.

``prompt_based`` is OpenAI's chat completions (vLLM, llama.cpp, others); ``text_only`` is the
external agent's ``{"use_streaming", "chat_thread_id", "parameters"}``. A response in any other
shape raises an error of :mod:`api_server.clients.agent.errors`; nothing is guessed.
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args
from urllib.parse import urlsplit, urlunsplit

from api_server.clients.agent.errors import (
    AddressInvalid,
    AgentError,
    AgentNotFound,
    AgentNotReady,
    AgentOverloaded,
    AgentRefused,
    AgentServerError,
    AgentStatusError,
    AgentUnauthorized,
    AnswerWithheld,
    EmptyAnswer,
    InvalidAnswer,
    ModelUnknown,
    RedirectRefused,
    TruncatedAnswer,
)
from api_server.clients.agent.types import AgentRequest, RequestFormat
from stt_engine.errors import InvalidRequest
from stt_engine.shown import shorten

_CHAT = "/chat/completions"
_TOKEN = re.compile(r"[\w .-]{1,64}", re.ASCII)
_AMBIGUOUS = re.compile(r"[\s\\\x00-\x1f\x7f]")
"""Characters that one URL parser drops and another takes for the end of the host."""

_SECRET_PART = re.compile(r"(?<=/)(?=[^/]*\d)[^/]{20,}")
"""A part of a path as long as a token, with a digit as tokens have."""

_PORTS = {"http": 80, "https": 443}

_WHOLE = frozenset({"stop", "eos", "eos_token", "stop_sequence", "end_turn"})
"""How servers call the end of a whole answer; OpenAI's says ``stop``, others as here."""
_CUT = frozenset({None, "length", "max_tokens"})
_WANTS_TOOL = frozenset({"tool_calls", "tool_use", "function_call"})
_LONGEST_WAIT_SEC = 1e9
"""Of ``Retry-After``: some 30 years, so that no sum with it overflows."""
_MOST_DIGITS = 18
_DATE_CHARS = 64
_ERRORS = range(400, 600)
"""HTTP statuses of errors."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The parsed body of a response."""

    text: str
    model: str | None = None
    chat_thread_id: str | None = None


@dataclass(frozen=True, slots=True)
class AgentEndpoint:
    """The URLs of an agent; ``models_url`` lists its models.

    ``target`` is its address without user and query: scheme, host, port and path.
    """

    url: str
    target: str
    models_url: str | None


def parse_endpoint(url: str, request_format: RequestFormat) -> AgentEndpoint:
    """Parse an agent's URL; ``http://host:8000/v1`` becomes its chat completions endpoint."""
    if request_format not in get_args(RequestFormat):
        raise InvalidRequest(f"unknown request_format: {request_format!r}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError as exc:
        raise AddressInvalid("Agent URL을 해석할 수 없음") from exc
    if parts.scheme not in _PORTS or not host or not host.isascii() or _AMBIGUOUS.search(url):
        raise AddressInvalid("Agent URL은 http:// 또는 https:// 와 호스트가 필요함")
    shown = f"[{host}]" if ":" in host else host
    server = f"{parts.scheme}://{shown}:{port}"
    if request_format == "text_only":
        return AgentEndpoint(parts.geturl(), server + parts.path, None)
    path = parts.path.rstrip("/")
    if not path or path.endswith("/v1"):
        path = (path or "/v1") + _CHAT
    stem = path.removesuffix(_CHAT)
    models = None if stem == path else parts._replace(path=stem + "/models").geturl()
    return AgentEndpoint(parts._replace(path=path).geturl(), server + path, models)


def redact_url(url: str) -> str:
    """Return ``url`` for log lines and messages: cut, without what may be a secret.

    That is userinfo, query, fragment, and a part of the path that looks like a token.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(잘못된 URL)"
    path = _SECRET_PART.sub("***", parts.path)
    netloc = parts.netloc.rpartition("@")[2]
    return shorten(urlunsplit((parts.scheme, netloc, path, "", "")))


def encode_completion(request: AgentRequest, model: str) -> bytes:
    """Encode a chat completions request: temperature 0, limited length, strict schema.

    ``response_format`` is in the one form that both vLLM and llama.cpp support.
    """
    system = [{"role": "system", "content": request.system}] if request.system else []
    payload: dict[str, object] = {
        "model": model,
        "messages": [*system, {"role": "user", "content": request.text}],
        "max_tokens": request.max_tokens,
        "temperature": 0,
        "stream": False,
    }
    if request.schema is not None:
        payload["response_format"] = {
            "type": "json_schema",
            "json_schema": {
                "name": request.schema_name,
                "schema": dict(request.schema),
                "strict": True,
            },
        }
    return json.dumps(payload).encode()


def encode_external(request: AgentRequest) -> bytes:
    """Encode a request to an external agent."""
    query = f"{request.system}\n\n{request.text}" if request.system else request.text
    payload = {
        "use_streaming": False,
        "chat_thread_id": request.chat_thread_id,
        "parameters": {"user_query": query},
    }
    return json.dumps(payload).encode()


def parse_body(data: bytes) -> Mapping[str, object]:
    """Parse a JSON object, regardless of the Content-Type."""
    if not data.strip():
        raise EmptyAnswer("Agent 응답 본문이 비어 있음")
    try:
        body = json.loads(data)
        reject_lone_surrogates(body)
    except (ValueError, RecursionError) as exc:
        raise InvalidAnswer(f"Agent 응답이 JSON이 아님 ({len(data)} bytes)") from exc
    if not isinstance(body, dict):
        raise InvalidAnswer(f"Agent 응답이 JSON 객체가 아님 ({type(body).__name__})")
    return body


def reject_lone_surrogates(body: object) -> None:
    """Raise if a string in ``body`` cannot be encoded as UTF-8, and so not be sent on.

    Raises:
        InvalidAnswer: an escaped surrogate has no partner, as after a length limit cut a pair.
    """
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        raise InvalidAnswer("Agent 응답에 깨진 문자(surrogate)가 있음") from exc


def parse_completion(body: Mapping[str, object]) -> Reply:
    """Parse a chat completion.

    Raises:
        TruncatedAnswer: it is cut off.
        AnswerWithheld: it is something else than the words of an answer.
    """
    choice = get_first_choice(body)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise InvalidAnswer("Agent 응답에 message가 없음")
    if message.get("refusal"):
        raise AnswerWithheld("모델이 답변을 거절함 (refusal)")
    _check_finish(choice.get("finish_reason"))
    return Reply(_checked_text(message.get("content")), _model_name(body))


def _check_finish(finish: object) -> None:
    """Raise, and say what it is, unless ``finish_reason`` is the end of a whole answer."""
    told = _token(finish)
    said = f"(finish_reason={told or '없음'})"
    if told in _CUT:
        raise TruncatedAnswer(f"Agent 응답이 잘림 {said}")
    if told in _WANTS_TOOL:
        raise AnswerWithheld(f"모델이 답 대신 도구 호출을 요청함 {said}")
    if told not in _WHOLE:
        raise AnswerWithheld(f"Agent가 답을 끝맺지 않음 {said}")


def get_first_choice(body: Mapping[str, object]) -> Mapping[str, object]:
    """Return ``choices[0]`` of a chat completion."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise InvalidAnswer("Agent 응답에 choices가 없음")
    return choices[0]


def parse_external(body: Mapping[str, object]) -> Reply:
    """Parse an external agent's ``response`` or, if there is none, ``result``."""
    key = next((name for name in ("response", "result") if body.get(name) is not None), None)
    if key is None:
        raise InvalidAnswer("Agent 응답에 response/result가 없음")
    thread = body.get("chat_thread_id")
    return Reply(
        _checked_text(body[key]), chat_thread_id=thread if isinstance(thread, str) else None
    )


def parse_first_model(body: Mapping[str, object]) -> str:
    """Return ``data[0].id`` of a ``/models`` response."""
    models = body.get("data")
    if not isinstance(models, list):
        raise InvalidAnswer("모델 목록에 data가 없음")
    first = models[0] if models else None
    name = first.get("id") if isinstance(first, dict) else None
    if not isinstance(name, str) or not name:
        raise ModelUnknown("서버의 모델 목록이 비어 있음 (설정으로 모델 이름을 지정할 수 있음)")
    return name


def build_status_error(status: int, headers: Mapping[str, str], data: bytes) -> AgentError:
    """Return the error for an HTTP status; of the body, it quotes only short tokens."""
    message = f"HTTP {status}{_in_brackets(_tokens_in(data))}"
    return _error_class(status)(message, status, parse_retry_after(headers))


def reject_error_body(body: Mapping[str, object], status: int) -> None:
    """Raise what a successful response tells in its body: ``{"error": ...}``.

    The class is that of the status that the error names as its code, else that of a server's
    error.
    """
    if not body.get("error"):
        return
    tokens = _error_tokens(body)
    code = int(tokens["code"]) if tokens.get("code", "").isdecimal() else status
    named = _error_class(code) if code in _ERRORS else AgentServerError
    raise named(f"HTTP {status}, 본문은 오류{_in_brackets(tokens)}", status)


def _error_class(status: int) -> type[AgentStatusError]:
    exact = {
        401: AgentUnauthorized,
        403: AgentUnauthorized,
        404: AgentNotFound,
        429: AgentOverloaded,
        503: AgentNotReady,
    }
    ranges = {3: RedirectRefused, 4: AgentRefused}
    return exact.get(status) or ranges.get(status // 100) or AgentServerError


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return ``Retry-After`` (seconds or a date) as seconds from now."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:_MOST_DIGITS]), _LONGEST_WAIT_SEC)
    try:
        when = email.utils.parsedate_to_datetime(value[:_DATE_CHARS]).timestamp()
    except (ValueError, OverflowError, OSError):  # no date, or none that a clock can show
        return None
    return min(max(0.0, when - time.time()), _LONGEST_WAIT_SEC)


def _in_brackets(tokens: Mapping[str, str]) -> str:
    told = ", ".join(f"{key}={value}" for key, value in tokens.items())
    return f" ({told})" if told else ""


def _tokens_in(data: bytes) -> dict[str, str]:
    try:
        return _error_tokens(parse_body(data))
    except AgentError:
        return {}


def _error_tokens(body: Mapping[str, object]) -> dict[str, str]:
    inner = body.get("error")
    error = inner if isinstance(inner, dict) else body
    found = {key: _token(error.get(key)) for key in ("type", "param", "code")}
    return {key: value for key, value in found.items() if value is not None}


def _token(value: object) -> str | None:
    """Return ``value`` if it is a short machine token; anything else may be the caller's text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text if _TOKEN.fullmatch(text) else None


def _checked_text(value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise InvalidAnswer(f"Agent 응답의 본문이 글이 아님 ({type(value).__name__})")
    if value is None or not value.strip():
        raise EmptyAnswer("Agent 응답이 비어 있음")
    return value


def _model_name(body: Mapping[str, object]) -> str | None:
    name = body.get("model")
    return name if isinstance(name, str) and name else None
