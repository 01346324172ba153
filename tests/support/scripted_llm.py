"""An OpenAI-compatible server that answers from a script: no model, no thinking.

What it says has the shape that was asked for (it reads the JSON schema of the request), so that
the road of a good answer is walked in milliseconds and with a known result. That a real model's
answers take the same road is shown by the tests with llama.cpp.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from tests.support.fault_server import (
    Exchange,
    FaultServer,
    Script,
    answer,
    completion,
    hang,
    http,
    refused_port,
)

QUOTED = "solicitation.certainty"
"""The element that the script calls violated; all others are ``not_found``."""

INVENTED = "저는 이 통화에서 아무도 하지 않은 말입니다"
_LINE = re.compile(r"^(?:상담원: |고객: )?(.+)$", re.MULTILINE)


def said(exchange: Exchange) -> list[str]:
    """Give the utterances of the call in a request's prompt."""
    messages = exchange.json["messages"]
    assert isinstance(messages, list)
    call = messages[-1]["content"].partition("<통화>")[2].partition("</통화>")[0]
    return _LINE.findall(call)


def reviews(quote: Callable[[list[str]], str]) -> Script:
    """Answer every element of the schema; ``quote`` picks the proof of the violated one."""

    async def script(exchange: Exchange) -> None:
        shape = exchange.json["response_format"]
        assert isinstance(shape, dict)
        asked = shape["json_schema"]["schema"]["required"]
        lines = said(exchange)
        told: dict[str, object] = {name: {"status": "not_found"} for name in asked}
        told["read"] = {"first": lines[0][:60], "last": lines[-1][:60]} if lines else {}
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


MODES: Mapping[str, Script | None] = MappingProxyType(
    {
        "not asked": None,
        "ok": honest,
        "refused": None,
        "hung": hang,
        "non-JSON": answer(200, b"<html>a proxy's page</html>"),
        "lying": lying,
    }
)
"""The states of the LLM leg."""


@asynccontextmanager
async def llm(mode: str) -> AsyncIterator[dict[str, str]]:
    """Put an LLM into a state; gives the form fields that ask it."""
    form = {"incomplete_elements_check": "true", "timeout": "1" if mode == "hung" else "60"}
    script = MODES[mode]
    if script is not None:
        async with FaultServer(script) as server:
            yield form | {"agent_url": server.url}
    elif mode == "refused":
        yield form | {"agent_url": f"http://127.0.0.1:{refused_port()}/v1/chat/completions"}
    else:
        yield {}
