"""The body of ``POST /analyze``, which is read strictly, and within limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from pydantic import ValidationError

from api_server.clients.agent.types import RequestFormat
from api_server.compliance.text_tasks import ReadCall
from api_server.models import AnalyzeRequest
from api_server.text.strict_json import NotStrictJson, parse_strictly
from api_server.text.validation_errors import describe_errors
from stt_engine.errors import EngineError

_MAX_FIELDS = 64
"""Names in one object; each of them may be a mistake."""


class BodyRejected(EngineError):
    """The body of a request says what is not read here."""


class BodyTooLong(BodyRejected):
    """The body of a request holds more than a limit."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What a body asks for; see :class:`api_server.models.AnalyzeRequest`."""

    call: ReadCall
    agent_url: str | None
    agent_request_format: RequestFormat
    chat_thread_id: str | None
    timeout: float | None


def read_body(body: bytes, max_chars: int, max_segments: int) -> ReadRequest:
    """Return what ``body`` asks for.

    Raises:
        BodyTooLong: it has more turns, characters or names than the limit that the message tells.
        BodyRejected: it is no such request.
    """
    try:
        data = parse_strictly(body)
    except NotStrictJson as exc:
        raise BodyRejected(f"body: {exc}") from None
    _bound(data, max_segments)
    asked = validate_request(data)
    call = ReadCall.of(asked.transcript())
    if call.chars > max_chars:
        limit = f"the transcript has {call.chars} characters, which is more than {max_chars}"
        raise BodyTooLong(f"{limit} (ANALYZE_MAX_CHARS). Split the call.")
    return ReadRequest(
        call.closed(),
        asked.agent_url,
        asked.agent_request_format,
        asked.chat_thread_id,
        asked.timeout,
    )


def validate_request(data: object) -> AnalyzeRequest:
    """Return the request that parsed JSON says.

    Raises:
        BodyRejected: it says none; the message tells the first mistakes.
    """
    try:
        return AnalyzeRequest.model_validate(data)
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_input=False)
        raise BodyRejected(describe_errors(found, AnalyzeRequest)) from None


def _bound(data: object, max_segments: int) -> None:
    """Refuse what has too many turns or names before anything else looks at each of them."""
    segments = _list_in(data, "segments")
    turns = len(segments) or _lines(data)
    if turns > max_segments:
        limit = f"the transcript has {turns} turns, which is more than {max_segments}"
        raise BodyTooLong(f"{limit} (ANALYZE_MAX_SEGMENTS). Split the call.")
    words = chain.from_iterable(_list_in(one, "words") for one in segments)
    if any(len(names) > _MAX_FIELDS for names in _objects(chain([data], segments, words))):
        raise BodyTooLong(f"body: more than {_MAX_FIELDS} fields. See /docs for those that are.")


def _objects(found: Iterator[object]) -> Iterator[dict[str, object]]:
    return (one for one in found if isinstance(one, dict))


def _list_in(found: object, name: str) -> list[object]:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, list) else []


def _lines(data: object) -> int:
    text = data.get("text") if isinstance(data, dict) else None
    return len(text.splitlines()) if isinstance(text, str) else 0
