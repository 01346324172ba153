"""POST /analyze: a transcript is checked, with an agent that is well, dead or lying."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest

from api_server.models import AnalyzeRequest
from stt_engine.speech import Segment, Word
from tests.support.fault_server import (
    Exchange,
    FaultServer,
    answer,
    completion,
    in_turn,
    refused_port,
)
from tests.support.in_process import Running
from tests.support.scripted_llm import INVENTED, QUOTED, honest, lying, reviews, utterances
from tests.support.server import ROOT, ApiServer

KOREAN = json.loads((ROOT / "audio/sample_call_ko.json").read_text("utf-8"))["segments"]
PROMISE = "사실상 원금은 보장된다고 보시면 됩니다."
DENIAL = "원금이 보장되지 않습니다."
QUESTION = "그럼 원금은 보장되는 거죠?"
TURNS = [{"speaker": "agent", "text": "원금은 보장됩니다."}, {"speaker": "customer", "text": "네."}]


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as found:
        yield found


def elements(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in body["incomplete_elements"]["elements"]}


async def analyzed(client: httpx2.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post("/analyze", json=body)
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    assert told["request_id"] == response.headers["x-request-id"]
    return told


async def test_text(client: httpx2.AsyncClient) -> None:
    async with FaultServer(honest) as llm:
        body = await analyzed(
            client, {"text": "안녕하세요.\n원금은 무조건 보장됩니다.", "agent_url": llm.url}
        )
        assert utterances(llm.posts[0]) == ["안녕하세요.", "원금은 무조건 보장됩니다."]
    assert (body["success"], body["agent_type"]) == (True, "vllm")
    assert (body["error"], body["error_type"], body["is_agent_dummy"]) == (None, None, False)
    (proof,) = elements(body)[QUOTED]["evidence"]
    assert proof["quote"] == "원금은 무조건 보장됩니다."
    assert (proof["start"], proof["end"]) == (None, None)  # plain text has no times


@pytest.mark.timeout(60)
async def test_who_hangs_up_is_not_asked_for(server: ApiServer) -> None:
    """The call to the LLM ends, which would have gone on for two minutes."""
    left = anyio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.reader.read()  # returns once the other side closes
        left.set()

    body = {"text": "안녕하세요.", "timeout": 120}
    async with FaultServer(slow) as llm, server.client() as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(client.post, "/analyze", json={**body, "agent_url": llm.url}))
            await llm.wait_for_requests()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(20):
            await left.wait()
    assert server.metric("stt_engine_unexpected_failures_total") == 0


async def test_segments(client: httpx2.AsyncClient) -> None:
    turns = [
        {"speaker": "customer", "text": "네.", "start": 1.0, "end": 2.0},
        {"speaker": "agent", "text": "원금은 무조건 보장됩니다.", "start": 2.5, "end": 4.25},
    ]
    async with FaultServer(honest) as llm:
        body = await analyzed(client, {"segments": turns, "agent_url": llm.url})
    (proof,) = elements(body)[QUOTED]["evidence"]
    assert (proof["start"], proof["end"], proof["segment_id"]) == (2.5, 4.25, 1)


async def test_segments_of_transcribe_as_they_are(
    client: httpx2.AsyncClient, canary: bytes
) -> None:
    files = {"file": ("a.wav", canary)}
    told = await client.post("/transcribe", data={"language": "en"}, files=files)
    segments = told.json()["segments"]
    assert segments
    segments[0] |= {"id": 41, "text": "원금은 무조건 보장됩니다."}  # a quote has to say something
    async with FaultServer(reviews(lambda lines: lines[0])) as llm:
        body = await analyzed(client, {"segments": segments, "agent_url": llm.url})
    proofs = [proof for one in elements(body).values() for proof in one["evidence"]]
    assert {proof["segment_id"] for proof in proofs} == {41}


def test_every_field_of_a_segment_is_accepted() -> None:
    words = (Word(0.0, 0.5, "원금", 0.9),)
    whole = Segment(7, 0.0, 1.0, "원금", 1, "agent", 0.8, words, "diarisation", 0, 0.97, "kim")
    sent = json.loads(json.dumps(asdict(whole)))
    assert not [name for name, value in sent.items() if value is None]
    (kept,) = AnalyzeRequest(segments=[sent]).transcript()
    assert replace(kept, words=words) == whole


@pytest.mark.parametrize(
    ("quote", "status", "reason"),
    [
        (PROMISE, "violated", "evidence_found"),
        (DENIAL, "undetermined", "evidence_is_denial"),
        (QUESTION, "undetermined", "evidence_wrong_speaker"),
        (INVENTED, "undetermined", "evidence_not_found"),
    ],
)
async def test_korean_sample_call(
    quote: str, status: str, reason: str, client: httpx2.AsyncClient
) -> None:
    """What a scripted LLM claims of a call is believed as far as the call proves it."""
    async with FaultServer(reviews(lambda _lines: quote)) as llm:
        body = await analyzed(client, {"segments": KOREAN, "agent_url": llm.url})
        assert len(utterances(llm.posts[0])) == len(KOREAN)
    one = elements(body)[QUOTED]
    assert (one["tiers"]["llm"], one["tiers"]["llm_reason"]) == (status, reason)
    assert (one["status"], one["tiers"]["rules"]) == ("violated", "violated")
    assert one["source"] == ("both" if status == "violated" else "rules")
    assert one.get("rejected_quotes", []) == ([] if status == "violated" else [quote])
    for proof in one["evidence"]:
        assert proof["quote"] in KOREAN[proof["segment_id"]]["text"]
        assert proof["start"] == KOREAN[proof["segment_id"]]["start"]
    assert any(PROMISE.rstrip(".") in proof["quote"] for proof in one["evidence"])


async def test_lying_agent(client: httpx2.AsyncClient) -> None:
    async with FaultServer(lying) as llm:
        body = await analyzed(client, {"segments": TURNS, "agent_url": llm.url})
    one = elements(body)[QUOTED]
    assert (one["tiers"]["llm"], one["rejected_quotes"]) == ("undetermined", [INVENTED])
    assert (one["status"], one["source"]) == ("violated", "rules")


async def test_agent_down(client: httpx2.AsyncClient) -> None:
    url = f"http://127.0.0.1:{refused_port()}/v1/chat/completions"
    body = await analyzed(client, {"segments": TURNS, "agent_url": url})
    assert (body["success"], body["is_agent_dummy"], body["agent_type"]) == (False, True, "dummy")
    assert body["error_type"] == "ConnectionError"
    assert body["error"] == body["agent_dummy_reason"]
    assert body["error"].startswith("Agent 서버 연결 실패: ")
    assert body["agent_analysis"] is None
    only_the_rules(body)


async def test_agent_down_and_nothing_found(client: httpx2.AsyncClient) -> None:
    """No list of nothing but ``undetermined``: it could be read as an analysis."""
    url = f"http://127.0.0.1:{refused_port()}/v1/chat/completions"
    body = await analyzed(client, {"text": "안녕하세요.", "agent_url": url})
    assert (body["success"], body["incomplete_elements"]) == (False, None)


def only_the_rules(body: dict[str, Any]) -> None:
    found = elements(body)
    assert found[QUOTED]["status"] == "violated"
    assert {one["source"] for one in found.values()} == {"rules", None}
    open_ones = {one["status"] for one in found.values() if one["source"] is None}
    assert open_ones == {"undetermined"}


@pytest.mark.parametrize(
    ("content", "finish", "error_type"),
    [
        ("모두 문제없습니다.", "stop", "InvalidAnswer"),
        ("{}", "stop", "InvalidAnswer"),
        ("", "stop", "EmptyAnswer"),
        ('{"a": 1', "length", "TruncatedAnswer"),
    ],
)
async def test_unusable_answers(
    content: str, finish: str, error_type: str, client: httpx2.AsyncClient
) -> None:
    async with FaultServer(answer(200, completion(content, finish))) as llm:
        body = await analyzed(client, {"segments": TURNS, "agent_url": llm.url})
        assert len(llm.posts) == (2 if error_type == "InvalidAnswer" else 1)
    assert (body["success"], body["error_type"]) == (False, error_type)
    only_the_rules(body)


async def test_a_wrong_form_is_asked_for_once_more(client: httpx2.AsyncClient) -> None:
    script = in_turn(answer(200, completion("모두 문제없습니다.")), honest)
    async with FaultServer(script) as llm:
        body = await analyzed(client, {"segments": TURNS, "agent_url": llm.url})
        again = llm.posts[1].json["messages"][-1]["content"]
        assert utterances(llm.posts[1]) == utterances(llm.posts[0])
    assert "앞서 준 답은 쓸 수 없었습니다(JSON이 아님" in again
    assert "문제없습니다" not in again
    assert (body["success"], elements(body)[QUOTED]["source"]) == (True, "both")


async def test_speakers_of_plain_text(client: httpx2.AsyncClient) -> None:
    text = "상담원: 무엇을 도와드릴까요?\n고객: 원금은 무조건 보장됩니다."
    url = f"http://127.0.0.1:{refused_port()}/v1/chat/completions"
    body = await analyzed(client, {"text": text, "agent_url": url})
    assert body["incomplete_elements"] is None  # a customer's words
    body = await analyzed(client, {"text": text.replace("고객", "상담원"), "agent_url": url})
    only_the_rules(body)


async def test_external_agent(client: httpx2.AsyncClient) -> None:
    """``text_only`` has no schema; an answer in prose proves nothing and is refused."""
    async with FaultServer(answer(200, {"response": "괜찮습니다", "chat_thread_id": "t"})) as agent:
        body = await analyzed(
            client,
            {
                "segments": TURNS,
                "agent_url": f"{agent.base}/ask",
                "agent_request_format": "text_only",
                "chat_thread_id": "t",
            },
        )
        sent = agent.posts[0].json
    assert sent["use_streaming"] is False
    assert sent["chat_thread_id"] == "t"
    assert (body["success"], body["error_type"]) == (False, "InvalidAnswer")


@pytest.mark.parametrize(
    "given", [{"text": ""}, {"text": " \n\t "}, {"segments": []}, {"text": "...\n?!"}]
)
async def test_nothing_was_said(given: dict[str, Any], client: httpx2.AsyncClient) -> None:
    async with FaultServer(honest) as llm:
        body = await analyzed(client, {**given, "agent_url": llm.url})
    assert (body["success"], body["error_type"]) == (False, "NoTranscript")
    assert {one["status"] for one in elements(body).values()} == {"undetermined"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "exactly one of 'text' and 'segments'"),
        ({"text": "x", "segments": TURNS}, "exactly one of 'text' and 'segments'"),
        ({"text": 5}, "text: .*string"),
        ({"segments": [{"speaker": "robot", "text": "x"}]}, "segments.0.speaker: .*'agent'"),
        ({"segments": [{"text": "x", "start": -1}]}, "segments.0.start: .*greater than"),
        ({"text": "x", "timeout": 0}, "timeout: .*greater than"),
        ({"text": "x", "timeout": 301}, "timeout: at most 300 seconds"),
    ],
)
async def test_bad_bodies(given: dict[str, Any], words: str, client: httpx2.AsyncClient) -> None:
    response = await client.post("/analyze", json=given)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert re.search(words, response.json()["detail"]), response.text


@pytest.mark.parametrize(
    "raw",
    [
        b'{"text": "\\ud83d"}',
        b'{"text": "x", "chat_thread_id": "\\ud83d"}',
        b'{"segments": [{"text": "\\ud83d"}]}',
        b'{"segments": [{"text": "x", "start": 1e999}]}',
        b'{"segments": [{"text": "x", "end": NaN}]}',
    ],
)
async def test_what_no_answer_could_repeat(raw: bytes, client: httpx2.AsyncClient) -> None:
    """Half a character, or no finite time: refused at the door, not met while answering."""
    response = await client.post(
        "/analyze", content=raw, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["type"] == "urn:stt-engine:problem:bad-field"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe"])
async def test_not_json(raw: bytes, client: httpx2.AsyncClient) -> None:
    response = await client.post(
        "/analyze", content=raw, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]


async def test_a_check_too_many_is_refused_at_once(modelless: Running) -> None:
    checks = modelless.service.checks
    checks.inside += modelless.service.settings.analyze_max_at_once
    try:
        refused = await modelless.client.post("/analyze", json={"text": "안녕하세요."})
    finally:
        checks.inside = 0
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
