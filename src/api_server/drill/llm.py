"""An OpenAI-compatible server that answers from a script: no model, no thinking.

What it says has the shape that was asked for (it reads the JSON schema of the request), so that
the road of a good answer is walked in milliseconds and with a known result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from api_server.drill.fault_server import Exchange, Script, completion, http

QUOTED = "solicitation.certainty"
"""The element that the script calls violated; all others are ``not_found``."""

INVENTED = "저는 이 통화에서 아무도 하지 않은 말입니다"
_LINE = re.compile(r"^(?:상담원: |고객: )?(.+)$", re.MULTILINE)


def said(exchange: Exchange) -> list[str]:
    """Give the utterances of the call in a request's prompt."""
    call = exchange.json["messages"][-1]["content"].partition("<통화>")[2].partition("</통화>")[0]
    found: list[str] = _LINE.findall(call)
    return found


def reviews(quote: Callable[[list[str]], str] | None) -> Script:
    """Answer every element of the schema; ``quote`` picks the proof of the violated one.

    ``None``: no element is.
    """

    async def script(exchange: Exchange) -> None:
        """Answer one request."""
        asked = exchange.json["response_format"]["json_schema"]["schema"]["required"]
        lines = said(exchange)
        told: dict[str, object] = {name: {"status": "not_found"} for name in asked}
        told["read"] = {"first": lines[0][:60], "last": lines[-1][:60]} if lines else {}
        if quote and QUOTED in asked:  # another rubric may not know it
            told[QUOTED] = {"quote": quote(lines), "reason": "각본", "status": "violated"}
        text = json.dumps(told, ensure_ascii=False)
        await exchange.send(http(200, json.dumps(completion(text)).encode()))

    return script


def _longest(lines: list[str]) -> str:
    return max(lines, key=len, default="")[:100]


honest = reviews(_longest)
"""Quotes the longest thing that was said (nothing, where nothing was)."""

lying = reviews(lambda _lines: INVENTED)
"""Well-formed, and its proof was never said."""
