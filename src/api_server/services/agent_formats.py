"""The two wire formats of agents, as pure functions: what is sent, and what may come back.

``prompt_based`` is OpenAI's chat completions (vLLM, llama.cpp, others); ``text_only`` is the
external agent's ``{"use_streaming", "chat_thread_id", "parameters"}``. Whatever is not in the
agreed shape is an error of :mod:`api_server.services.agent_errors`, never a guess.
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from api_server.services.agent_errors import (
    AddressInvalid,
    AgentError,
    AgentNotFound,
    AgentNotReady,
    AgentOverloaded,
    AgentRefused,
    AgentServerError,
    AgentStatusError,
    AgentUnauthorized,
    EmptyAnswer,
    InvalidAnswer,
    ModelUnknown,
    RedirectRefused,
    TruncatedAnswer,
)
from api_server.services.agent_types import AgentRequest, RequestFormat
from stt_engine.errors import InvalidRequest

_CHAT = "/chat/completions"
_TOKEN = re.compile(r"[\w .-]{1,64}", re.ASCII)
_AMBIGUOUS = re.compile(r"[\s\\\x00-\x1f\x7f]")
"""Characters that one reader of URLs drops and another takes for the end of the host."""

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a well-formed answer holds."""

    text: str
    model: str | None = None
    chat_thread_id: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where an agent is. ``target`` is scheme, host and port; ``models`` its list of models."""

    url: str
    target: str
    models: str | None


def address_of(url: str, request_format: RequestFormat) -> Address:
    """Read an agent's URL; ``http://host:8000/v1`` is completed to its chat completions."""
    if request_format not in {"prompt_based", "text_only"}:
        raise InvalidRequest(f"알 수 없는 request_format: {request_format!r}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError as exc:
        raise AddressInvalid("Agent URL을 해석할 수 없음") from exc
    if parts.scheme not in _PORTS or not host or not host.isascii() or _AMBIGUOUS.search(url):
        raise AddressInvalid("Agent URL은 http:// 또는 https:// 와 호스트가 필요함")
    shown = f"[{host}]" if ":" in host else host
    target = f"{parts.scheme}://{shown}:{port}"
    if request_format == "text_only":
        return Address(parts.geturl(), target, None)
    path = parts.path.rstrip("/")
    if not path or path.endswith("/v1"):
        path = (path or "/v1") + _CHAT
    stem = path.removesuffix(_CHAT)
    models = None if stem == path else parts._replace(path=stem + "/models").geturl()
    return Address(parts._replace(path=path).geturl(), target, models)


def safe_url(url: str) -> str:
    """Give ``url`` for a log line: without userinfo, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(잘못된 URL)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def encode_prompt(request: AgentRequest, model: str) -> bytes:
    """Write a chat completions request; deterministic, bounded, and strict where it has a schema.

    ``response_format`` is the one spelling that vLLM and llama.cpp both honour.
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


def encode_text(request: AgentRequest) -> bytes:
    """Write a request to an external agent."""
    query = f"{request.system}\n\n{request.text}" if request.system else request.text
    payload = {
        "use_streaming": False,
        "chat_thread_id": request.chat_thread_id,
        "parameters": {"user_query": query},
    }
    return json.dumps(payload).encode()


def decode(data: bytes) -> Mapping[str, object]:
    """Read a JSON object, whatever the Content-Type claims."""
    if not data.strip():
        raise EmptyAnswer("Agent 응답 본문이 비어 있음")
    try:
        body = json.loads(data)
        refuse_half_characters(body)
    except (ValueError, RecursionError) as exc:
        raise InvalidAnswer(f"Agent 응답이 JSON이 아님 ({len(data)} bytes)") from exc
    if not isinstance(body, dict):
        raise InvalidAnswer(f"Agent 응답이 JSON 객체가 아님 ({type(body).__name__})")
    return body


def refuse_half_characters(body: object) -> None:
    """Refuse JSON with half a character anywhere: no answer that repeats it could be sent.

    Raises:
        InvalidAnswer: an escaped surrogate stands alone, as where a bound on a text cut a pair.
    """
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        raise InvalidAnswer("Agent 응답에 깨진 문자(surrogate)가 있음") from exc


def read_prompt(body: Mapping[str, object]) -> Reply:
    """Read a whole chat completion; a cut one is :class:`TruncatedAnswer`."""
    choice = first_choice(body)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise InvalidAnswer("Agent 응답에 message가 없음")
    if message.get("refusal"):
        raise InvalidAnswer("모델이 답변을 거절함 (refusal)")
    finish = choice.get("finish_reason")
    if finish != "stop":
        raise TruncatedAnswer(f"Agent 응답이 잘림 (finish_reason={_token(finish) or '없음'})")
    return Reply(_text_of(message.get("content")), _model_of(body))


def first_choice(body: Mapping[str, object]) -> Mapping[str, object]:
    """Give ``choices[0]`` of a chat completion."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise InvalidAnswer("Agent 응답에 choices가 없음")
    return choices[0]


def read_text(body: Mapping[str, object]) -> Reply:
    """Read an external agent's ``response`` or, where there is none, ``result``."""
    key = next((name for name in ("response", "result") if body.get(name) is not None), None)
    if key is None:
        raise InvalidAnswer("Agent 응답에 response/result가 없음")
    thread = body.get("chat_thread_id")
    return Reply(_text_of(body[key]), chat_thread_id=thread if isinstance(thread, str) else None)


def first_model(body: Mapping[str, object]) -> str:
    """Give ``data[0].id`` of a list of models."""
    models = body.get("data")
    if not isinstance(models, list):
        raise InvalidAnswer("모델 목록에 data가 없음")
    first = models[0] if models else None
    name = first.get("id") if isinstance(first, dict) else None
    if not isinstance(name, str) or not name:
        raise ModelUnknown("서버의 모델 목록이 비어 있음 (설정으로 모델 이름을 지정할 수 있음)")
    return name


def status_error(status: int, headers: Mapping[str, str], data: bytes) -> AgentError:
    """Describe an answer that is not success; of the body only the short tokens are told."""
    told = ", ".join(f"{key}={value}" for key, value in _error_tokens(data).items())
    message = f"HTTP {status} ({told})" if told else f"HTTP {status}"
    return _class_of(status)(message, status, retry_after(headers))


def _class_of(status: int) -> type[AgentStatusError]:
    exact = {
        401: AgentUnauthorized,
        403: AgentUnauthorized,
        404: AgentNotFound,
        429: AgentOverloaded,
        503: AgentNotReady,
    }
    ranges = {3: RedirectRefused, 4: AgentRefused}
    return exact.get(status) or ranges.get(status // 100) or AgentServerError


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` (seconds or a date) as seconds from now."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, when.timestamp() - time.time())


def _error_tokens(data: bytes) -> dict[str, str]:
    try:
        body = decode(data)
    except AgentError:
        return {}
    inner = body.get("error")
    error = inner if isinstance(inner, dict) else body
    found = {key: _token(error.get(key)) for key in ("type", "param", "code")}
    return {key: value for key, value in found.items() if value is not None}


def _token(value: object) -> str | None:
    """Give a short machine word as it is; anything else could be the caller's text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text if _TOKEN.fullmatch(text) else None


def _text_of(value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise InvalidAnswer(f"Agent 응답의 본문이 글이 아님 ({type(value).__name__})")
    if value is None or not value.strip():
        raise EmptyAnswer("Agent 응답이 비어 있음")
    return value


def _model_of(body: Mapping[str, object]) -> str | None:
    name = body.get("model")
    return name if isinstance(name, str) and name else None
