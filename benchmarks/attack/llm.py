"""LLM servers that lie, and callers who would have the LLM switched off for the others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2

from benchmarks.attack.trial import Target, Trial, asked, held, no_verdict
from stt_tools.drill.fault_server import Exchange, FaultServer, Script, answer, completion, http
from stt_tools.drill.llm import honest

FIRST, LAST = (
    "안녕하세요 가온은행 상담원입니다 반갑습니다",
    "네 알겠습니다 감사합니다 좋은 하루 보내세요",
)
"""What calls begin and end with: who knows no more than that has read none of them."""

CALL = f"상담원: {FIRST}\n상담원: 이 상품의 수수료와 만기를 말씀드리겠습니다\n고객: {LAST}"
_CONSTANT = {"status": "not_found"}
_ROUNDS = 6


async def _constant(exchange: Exchange) -> None:
    """Answer every call with the same bytes: what the schema asks, and a greeting as proof."""
    required = exchange.json["response_format"]["json_schema"]["schema"]["required"]
    review: dict[str, Any] = dict.fromkeys(required, _CONSTANT)
    review["read"] = {"first": FIRST, "last": LAST}
    text = json.dumps(review, ensure_ascii=False)
    await exchange.send(http(200, json.dumps(completion(text)).encode()))


def _quoting(quote: str, status: str) -> Script:
    """Return a script that gives every element this status, with this quote."""

    async def script(exchange: Exchange) -> None:
        required = exchange.json["response_format"]["json_schema"]["schema"]["required"]
        one = {"quote": quote, "reason": "각본", "status": status}
        text = json.dumps(dict.fromkeys(required, one), ensure_ascii=False)
        await exchange.send(http(200, json.dumps(completion(text)).encode()))

    return script


_LIARS: dict[str, Script] = {
    "the same bytes for everybody": _constant,
    "a quote of one syllable": _quoting("니다", "violated"),
    "a greeting as its proof": _quoting("안녕하세요", "satisfied"),
    "what nobody said": _quoting("원금은 저희가 책임지고 보장합니다", "violated"),
    "an error with 200": answer(200, {"error": {"message": "overloaded"}}),
    "tool calls": answer(200, completion(None, "tool_calls")),
    "no text": answer(200, completion("")),
    "a list": answer(200, [1, 2, 3]),
    "HTML": answer(200, b"<html>hello</html>"),
    "an unknown encoding": answer(200, completion("{}"), Content_Encoding="zzz"),
    "401": answer(401, {"error": "no key"}),
    "a rest of a century": answer(429, {}, Retry_After="3155760000"),
}


async def llm(target: Target) -> AsyncIterator[Trial]:
    """Check a call with each liar; then be careless with an honest one."""
    for name, script in _LIARS.items():
        async with FaultServer(script) as server:
            body = {"text": CALL, "agent_url": server.url, "timeout": 20}
            yield await asked(target, name, "POST", "/analyze", no_verdict, how={"json": body})
    async with FaultServer(honest) as server:
        yield await _careless(target, server)


async def _careless(target: Target, server: FaultServer) -> Trial:
    """Ask in ways that must fail, and then as somebody else does."""
    name = "a caller with no time and wrong paths"
    for number in range(_ROUNDS):
        for url in (server.url, f"{server.base}/wrong/{number}"):
            body = {"text": CALL, "agent_url": url, "timeout": 0.001}
            await target.client.post("/analyze", json=body, timeout=60)
    found = await target.client.post("/analyze", json={"text": CALL, "agent_url": server.url})
    return held(name, _not_asked(found))


def _not_asked(found: httpx2.Response) -> str:
    told = found.json()
    if told.get("success"):
        return ""
    return f"the next caller's check failed: {told.get('error_type')}: {told.get('error')}"
