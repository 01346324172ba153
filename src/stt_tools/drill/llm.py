"""Scripts for an OpenAI-compatible server without a model.

Answers follow the JSON schema of the request, so that the success path of a check runs in
milliseconds and with a known result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from stt_tools.drill.fault_server import Exchange, Script, completion, http

QUOTED = "solicitation.certainty"
"""The element that the script reports as violated; all others are ``not_found``."""

INVENTED = "저는 이 통화에서 아무도 하지 않은 말입니다"
_MARK = re.compile(r"\[\d{4}\] ")
_MARKED = re.compile(r"\[\d{4}\][^\n\[]{0,24}")
_LINE = re.compile(r"^(?:상담원: |고객: )?(.+)$", re.MULTILINE)


def utterances(exchange: Exchange) -> list[str]:
    """Return the utterances of the call in a request's prompt."""
    found: list[str] = _LINE.findall(_MARK.sub("", _call(exchange)))
    return found


def proof_of_reading(exchange: Exchange) -> str:
    """Return every mark of the call with some of the words behind it."""
    return " ".join(_MARKED.findall(_call(exchange)))


def _call(exchange: Exchange) -> str:
    prompt: str = exchange.json["messages"][-1]["content"]
    return prompt.partition("<통화>")[2].partition("</통화>")[0]


def reviews(quote: Callable[[list[str]], str] | None) -> Script:
    """Return a script that answers every element of the schema.

    ``quote`` picks the evidence of the violated element; with ``None`` no element is violated.
    """

    async def script(exchange: Exchange) -> None:
        """Answer one request."""
        await exchange.send(_review(exchange, quote))

    return script


def constant() -> Script:
    """Return a script that answers the first request honestly, and every other one alike."""
    kept: list[bytes] = []

    async def script(exchange: Exchange) -> None:
        """Send the same bytes as ever."""
        if not kept:
            kept.append(_review(exchange, None))
        await exchange.send(kept[0])

    return script


def _review(exchange: Exchange, quote: Callable[[list[str]], str] | None) -> bytes:
    required = exchange.json["response_format"]["json_schema"]["schema"]["required"]
    lines = utterances(exchange)
    review: dict[str, object] = {name: {"status": "not_found"} for name in required}
    review["read"] = proof_of_reading(exchange)
    if quote and QUOTED in required:  # another rubric may not have it
        review[QUOTED] = {"quote": quote(lines), "reason": "각본", "status": "violated"}
    text = json.dumps(review, ensure_ascii=False)
    return http(200, json.dumps(completion(text)).encode())


def _longest(lines: list[str]) -> str:
    return max(lines, key=len, default="")[:100]


honest = reviews(_longest)
"""Quotes the longest utterance (nothing, where there is none)."""

lying = reviews(lambda _lines: INVENTED)
"""Well-formed, and its quote does not occur in the call."""
