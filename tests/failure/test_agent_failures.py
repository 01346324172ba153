"""Every way an agent can fail that a server has to be made to: one road, bounded, named, logged."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from api_server.clients.agent.backend import AgentBackend, AgentRequest
from api_server.clients.agent.errors import InvalidAnswer
from api_server.clients.circuit_breaker import CircuitPolicy, CircuitState
from api_server.clients.events import AgentCallStarted
from stt_engine.outcome import Outcome
from tests.support import fault_server as fault
from tests.support.agents import FELL_BACK, Watch, assert_dummy, line_of, watching
from tests.support.fault_server import FaultServer, answer, completion, in_turn

TRANSCRIPT = "제 계좌번호는 일이삼 사오육 칠팔구 입니다"
KEY = "sk-very-secret"
SLACK_SEC = 5.0
OPENAI_ERROR = {
    "message": f"echo: {TRANSCRIPT}",
    "type": "BadRequestError",
    "param": "x",
    "code": 1,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def watch() -> Iterator[Watch]:
    with watching() as found:
        yield found


@pytest.fixture
async def backend(watch: Watch) -> AsyncIterator[AgentBackend]:
    made = AgentBackend(observers=watch.observers, api_key=KEY)
    yield made
    await made.aclose()


async def _fails(
    backend: AgentBackend,
    watch: Watch,
    url: str,
    error_type: str,
    words: str,
    *,
    timeout: float = 5,  # noqa: ASYNC109
) -> None:
    """Assert one failed call: dummy, cause, the lines in order, no secret, and in time."""
    began = time.monotonic()
    response = await backend.call(TRANSCRIPT, url, "prompt_based", timeout, "t-1")
    assert time.monotonic() - began < timeout + SLACK_SEC
    assert_dummy(response, error_type, words)
    assert response["chat_thread_id"] == "t-1"
    assert watch.logged == [
        f"INFO - [AgentBackend] 호출 시작 (url={url}, format=prompt_based)",
        line_of(error_type, response["error"]),
        FELL_BACK,
        f"INFO - [AgentBackend] Dummy 응답: is_dummy=True, reason={response['error']}",
    ]
    everything = json.dumps(response, ensure_ascii=False) + "\n".join(watch.lines)
    assert TRANSCRIPT not in everything
    assert KEY not in everything


def cut_error() -> fault.Script:
    """Promise more of an error's body than comes."""

    async def script(exchange: fault.Exchange) -> None:
        await exchange.send(b"HTTP/1.1 500 No\r\nContent-Length: 999\r\n\r\n{")

    return script


def endless_error() -> fault.Script:
    """Send the head of an error, and never its body."""

    async def script(exchange: fault.Exchange) -> None:
        await exchange.send(b"HTTP/1.1 429 No\r\nContent-Length: 999\r\n\r\n")
        await asyncio.Event().wait()

    return script


ANSWERS = {
    "401": (answer(401, {"error": OPENAI_ERROR}), "AgentUnauthorized", "HTTP 401 (type="),
    "403": (answer(403, b"<html>"), "AgentUnauthorized", "HTTP 403"),
    "404": (answer(404, {"detail": "Not Found"}), "AgentNotFound", "HTTP 404"),
    "429": (answer(429), "AgentOverloaded", "HTTP 429"),
    "500": (answer(500, {"error": OPENAI_ERROR}), "AgentServerError", "HTTP 500 (type="),
    "503": (answer(503, {"error": {"type": "unavailable_error"}}), "AgentNotReady", "HTTP 503"),
    "redirect": (answer(307, Location="http://127.0.0.1:1/"), "RedirectRefused", "HTTP 307"),
    "prompt too long": (answer(400, {"error": OPENAI_ERROR}), "AgentRefused", "BadRequestError"),
    "not JSON": (answer(200, b"<html>502</html>"), "InvalidAnswer", "JSON이 아님"),
    "a list": (answer(200, [1]), "InvalidAnswer", "JSON 객체가 아님"),
    "too deep": (answer(200, b"[" * 200_000), "InvalidAnswer", "JSON이 아님"),
    "bad UTF-8": (answer(200, b'{"a": "\xff\xfe"}'), "InvalidAnswer", "JSON이 아님"),
    "a stream": (answer(200, b"data: {}\n\ndata: [DONE]\n\n"), "InvalidAnswer", "JSON이 아님"),
    "no body": (answer(200), "EmptyAnswer", "비어 있음"),
    "no choices": (answer(200, {"choices": []}), "InvalidAnswer", "choices"),
    "null text": (answer(200, completion(None)), "EmptyAnswer", "비어 있음"),
    "blank text": (answer(200, completion(" \n")), "EmptyAnswer", "비어 있음"),
    "not text": (answer(200, completion(7)), "InvalidAnswer", "int"),  # type: ignore[arg-type]
    "surrogate": (answer(200, completion("\ud800")), "InvalidAnswer", "surrogate"),
    "surrogate in a name": (
        answer(200, {**completion("{}"), "model": "\ud800"}),
        "InvalidAnswer",
        "surrogate",
    ),
    "cut": (answer(200, completion("반만", "length")), "TruncatedAnswer", "finish_reason=length"),
    "no finish": (answer(200, completion("반만", None)), "TruncatedAnswer", "finish_reason=없음"),
    "filtered": (
        answer(200, completion("", "content_filter")),
        "AnswerWithheld",
        "finish_reason=content_filter",
    ),
    "a tool": (answer(200, completion(None, "tool_calls")), "AnswerWithheld", "도구 호출"),
    "an error at 200": (answer(200, {"error": OPENAI_ERROR}), "AgentServerError", "본문은 오류"),
    "an error with its status": (
        answer(200, {"error": {"code": 503, "message": TRANSCRIPT}, "choices": []}),
        "AgentNotReady",
        "HTTP 200, 본문은 오류 (code=503)",
    ),
    "an error in words": (answer(200, {"error": TRANSCRIPT}), "AgentServerError", "본문은 오류"),
    "503 in an unreadable body": (
        answer(503, b"\x1f\x8b broken", Content_Encoding="gzip"),
        "AgentNotReady",
        "HTTP 503",
    ),
    "500 that dies": (cut_error(), "AgentServerError", "HTTP 500"),
    "429 without end": (endless_error(), "AgentOverloaded", "HTTP 429"),
    "zipped": (
        answer(200, gzip.compress(b"{}"), Content_Encoding="gzip"),
        "InvalidAnswer",
        "Content-Encoding",
    ),
    "huge": (answer(200, b" " * (5 << 20)), "AnswerTooLarge", "bytes를 넘음"),
    "endless": (fault.endless, "AnswerTooLarge", "bytes를 넘음"),
    "reset at once": (fault.reset_at_once, "AgentDisconnected", "연결이 끊어짐"),
    "reset mid body": (fault.reset_mid_body, "AgentDisconnected", "연결이 끊어짐"),
    "died mid body": (fault.die_mid_body, "AgentDisconnected", "연결이 끊어짐"),
    "not HTTP": (fault.not_http, "AgentDisconnected", "연결이 끊어짐"),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_bad_answer(case: str, backend: AgentBackend, watch: Watch) -> None:
    script, error_type, words = ANSWERS[case]
    async with FaultServer(script) as server:
        await _fails(backend, watch, server.url, error_type, words)
        assert len(server.posts) == 1  # never sent twice


@pytest.mark.parametrize("coding", ["", "identity", "none", "utf-8", "identity, x-own", "UTF8 "])
async def test_a_coding_that_packs_nothing_changes_nothing(
    coding: str, backend: AgentBackend
) -> None:
    async with FaultServer(answer(200, completion("좋음"), Content_Encoding=coding)) as server:
        assert (await backend.call("안녕", server.url))["response"] == "좋음"


@pytest.mark.parametrize("finish", ["stop", "eos_token", "stop_sequence", "end_turn"])
async def test_every_name_of_a_whole_answers_end(finish: str, backend: AgentBackend) -> None:
    async with FaultServer(answer(200, completion("좋음", finish))) as server:
        assert (await backend.call("안녕", server.url))["success"]


@pytest.mark.parametrize(
    "when",
    [
        "9" * 5000,
        "Fri, 31 Dec 9999999999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 0001 00:00:00 -0000",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Mon, 01 Jan 2024 00:00:00 +999999999999",
        "soon",
        "-1",
        "1e400",
    ],
)
async def test_retry_after_of_any_size_or_date(
    when: str, backend: AgentBackend, watch: Watch
) -> None:
    async with FaultServer(answer(503, Retry_After=when)) as server:
        response = await backend.call("안녕", server.url, timeout=5)
        assert_dummy(response, "AgentNotReady", "HTTP 503")
    watch.assert_no_defect()


@pytest.mark.parametrize("script", [fault.hang, fault.slow_headers, fault.trickle])
async def test_slow_answer_is_bounded(
    script: fault.Script, backend: AgentBackend, watch: Watch
) -> None:
    async with FaultServer(script) as server:
        words = "Agent 호출 타임아웃 (1s)"
        await _fails(backend, watch, server.url, "TimeoutError", words, timeout=1)


async def test_slow_look_up_of_the_model_is_bounded(backend: AgentBackend, watch: Watch) -> None:
    async with FaultServer(answer(200, completion()), models=fault.hang) as server:
        await _fails(backend, watch, server.url, "TimeoutError", "(0.5s)", timeout=0.5)
        assert server.posts == []


async def test_refused_port_is_answered_fast(backend: AgentBackend, watch: Watch) -> None:
    url = f"http://127.0.0.1:{fault.refused_port()}/v1/chat/completions"
    began = time.monotonic()
    await _fails(backend, watch, url, "ConnectionError", "Connection refused", timeout=30)
    assert time.monotonic() - began < SLACK_SEC
    retries = [line for line in watch.lines if line.startswith("DEBUG - [AgentBackend] 재시도")]
    assert len(retries) == 2


async def test_unknown_host(backend: AgentBackend, watch: Watch) -> None:
    url = "http://agent.invalid:8000/v1/chat/completions"
    await _fails(backend, watch, url, "ConnectionError", "agent.invalid")


async def test_plain_server_asked_for_tls(backend: AgentBackend, watch: Watch) -> None:
    async with FaultServer(answer(200, completion())) as server:
        url = server.url.replace("http:", "https:")
        await _fails(backend, watch, url, "ConnectionError", "TLS")


@pytest.mark.parametrize(
    "url", ["", "vllm", "ftp://vllm/x", "http://", "http://[::1", "http://a b/"]
)
async def test_unusable_url(url: str, backend: AgentBackend) -> None:
    assert_dummy(await backend.call("안녕", url), "AddressInvalid", "URL")


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
async def test_meaningless_timeout(timeout: float, backend: AgentBackend) -> None:  # noqa: ASYNC109
    response = await backend.call("안녕", "http://127.0.0.1:1/v1", timeout=timeout)
    assert_dummy(response, "InvalidRequest", "timeout")


async def test_userinfo_and_query_stay_out_of_the_log(watch: Watch) -> None:
    backend = AgentBackend(observers=watch.observers)
    url = f"http://user:hunter2@127.0.0.1:{fault.refused_port()}/v1/chat/completions?key=hunter2"
    response = await backend.call("안녕", url)
    await backend.aclose()
    assert "hunter2" not in "\n".join([*watch.lines, str(response), str(watch.events)])


async def test_no_model_listed_and_none_made_up(backend: AgentBackend, watch: Watch) -> None:
    async with FaultServer(answer(200, completion()), models=answer(200, {"data": []})) as server:
        await _fails(backend, watch, server.url, "ModelUnknown", "모델 목록")
        assert server.posts == []


async def test_model_is_looked_up_again_after_404(backend: AgentBackend) -> None:
    script = in_turn(answer(200, completion()), answer(404, {}), answer(200, completion()))
    models = in_turn(answer(200, fault.MODELS), answer(200, {"data": [{"id": "new-model"}]}))
    async with FaultServer(script, models) as server:
        answers = [await backend.call("안녕", server.url) for _ in range(3)]
        assert [found["success"] for found in answers] == [True, False, True]
        asked = [post.json["model"] for post in server.posts]
        assert asked == ["fault-model", "fault-model", "new-model"]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_where_the_server_says_when(status: int, backend: AgentBackend) -> None:
    script = in_turn(answer(status, Retry_After="0"), answer(200, completion()))
    async with FaultServer(script) as server:
        assert (await backend.call("안녕", server.url))["success"]
        assert len(server.posts) == 2


async def test_no_retry_that_would_not_fit(backend: AgentBackend) -> None:
    async with FaultServer(answer(503, Retry_After="3600")) as server:
        response = await backend.call("안녕", server.url, timeout=5)
        assert_dummy(response, "AgentNotReady", "HTTP 503")
        assert len(server.posts) == 1


async def test_retries_end(backend: AgentBackend) -> None:
    async with FaultServer(answer(429, Retry_After="0")) as server:
        response = await backend.call("안녕", server.url)
        assert_dummy(response, "AgentOverloaded", "HTTP 429")
        assert len(server.posts) == 3


async def test_answer_that_cannot_be_parsed(backend: AgentBackend, watch: Watch) -> None:
    def refuse(text: str) -> object:
        raise InvalidAnswer("스키마에 맞지 않음")

    async with FaultServer(answer(200, completion())) as server:
        outcome = await backend.ask(AgentRequest("안녕", server.url, parse=refuse))
    assert outcome.is_dummy
    assert outcome.cause is not None
    assert outcome.cause.error_type == "InvalidAnswer"
    assert FELL_BACK in watch.logged


async def test_caller_that_leaves_counts_as_nothing(watch: Watch) -> None:
    backend = AgentBackend(
        observers=watch.observers, circuit_policy=CircuitPolicy(failure_threshold=1)
    )
    async with FaultServer(fault.hang) as server:
        task = asyncio.create_task(backend.call("안녕", server.url))
        await server.wait_for_requests()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    (circuit,) = backend.circuits.snapshots()
    assert (circuit.state, circuit.failures) == (CircuitState.CLOSED, 0)
    assert [type(event) for event in watch.events] == [AgentCallStarted]
    await backend.aclose()


async def test_circuit_opens_refuses_and_recovers(watch: Watch) -> None:
    now = [0.0]
    backend = AgentBackend(observers=watch.observers, clock=lambda: now[0])
    script = in_turn(*[answer(500)] * 5, answer(200, completion()))
    async with FaultServer(script) as server:
        for _ in range(5):
            assert_dummy(await backend.call("안녕", server.url), "AgentServerError", "HTTP 500")
        assert "ERROR - [CircuitBreaker] Circuit 열림 (실패 5회)" in watch.logged
        watch.lines.clear()

        refused = await backend.call("안녕", server.url)
        assert_dummy(refused, "CircuitOpen", "60초 후 재시도")
        assert len(server.posts) == 5
        assert watch.logged == [
            f"INFO - [AgentBackend] 호출 시작 (url={server.url}, format=prompt_based)",
            "WARNING - [CircuitBreaker] Circuit 열림 - Dummy 사용",
            FELL_BACK,
            f"INFO - [AgentBackend] Dummy 응답: is_dummy=True, reason={refused['error']}",
        ]
        watch.lines.clear()

        now[0] = 60.0
        assert (await backend.call("안녕", server.url))["success"]
    assert "INFO - [CircuitBreaker] Circuit 반열림 - 시험 호출 허용" in watch.logged
    assert "INFO - [CircuitBreaker] Circuit 닫힘 - 정상 복구" in watch.logged
    assert backend.circuits.snapshots()[0].refusals == 1
    await backend.aclose()


@pytest.mark.parametrize("status", [307, 400, 401, 404])
async def test_wrong_requests_do_not_shut_the_agent_off(status: int) -> None:
    backend = AgentBackend(circuit_policy=CircuitPolicy(failure_threshold=1))
    async with FaultServer(in_turn(answer(status), answer(200, completion()))) as server:
        assert not (await backend.call("안녕", server.url))["success"]
        assert (await backend.call("안녕", server.url))["success"]
    await backend.aclose()


async def test_one_dead_target_leaves_the_others_alone() -> None:
    backend = AgentBackend(circuit_policy=CircuitPolicy(failure_threshold=1))
    async with FaultServer(answer(200, completion())) as server:
        dead = f"http://127.0.0.1:{fault.refused_port()}/v1"
        assert (await backend.call("안녕", dead))["error_type"] == "ConnectionError"
        assert (await backend.call("안녕", dead))["error_type"] == "CircuitOpen"
        assert (await backend.call("안녕", server.url))["success"]
    await backend.aclose()


async def test_external_agent(backend: AgentBackend, watch: Watch) -> None:
    body = {"result": "위반 없음", "chat_thread_id": "t-2"}
    async with FaultServer(answer(200, body)) as server:
        url = f"{server.base}/agent"
        response = await backend.call("안녕하세요", url, "text_only", 30, "t-1")
        (post,) = server.requests
    assert post.json == {
        "use_streaming": False,
        "chat_thread_id": "t-1",
        "parameters": {"user_query": "안녕하세요"},
    }
    assert "authorization" not in post.headers  # the key is for the OpenAI-compatible server
    assert response == {
        "success": True,
        "response": "위반 없음",
        "agent_type": "external",
        "is_dummy": False,
        "dummy_reason": None,
        "error": None,
        "error_type": None,
        "processing_time_sec": response["processing_time_sec"],
        "chat_thread_id": "t-2",
    }
    started, received = watch.logged
    assert started == f"INFO - [AgentBackend] 호출 시작 (url={url}, format=text_only)"
    assert received.startswith("INFO - [AgentBackend] 응답 수신 완료 (")


@pytest.mark.parametrize("body", [{}, {"response": {"a": 1}}, {"response": None, "result": None}])
async def test_external_agent_with_another_shape(
    body: dict[str, object], backend: AgentBackend
) -> None:
    async with FaultServer(answer(200, body)) as server:
        response = await backend.call("안녕", f"{server.base}/agent", "text_only")
    assert_dummy(response, "InvalidAnswer", "Agent 응답")


async def test_environment_proxies_are_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{fault.refused_port()}")
    backend = AgentBackend()
    async with FaultServer(answer(200, completion(), Set_Cookie="a=b")) as server:
        for _ in range(2):
            assert (await backend.call("안녕", server.url))["success"]
        assert all("cookie" not in request.headers for request in server.requests)
    await backend.aclose()


async def test_probe_proves_a_completion(backend: AgentBackend) -> None:
    async with FaultServer(in_turn(answer(200, completion("a", "length")), fault.hang)) as server:
        ready = await backend.probe(server.url, 5)
        assert (ready.ready, ready.model) == (True, "fault-model")
        assert server.posts[0].json["max_tokens"] == 1
        hung = await backend.probe(server.url, 0.5)
        assert (hung.ready, hung.error_type) == (False, "TimeoutError")
    assert backend.circuits.snapshots() == ()


async def test_many_at_once(backend: AgentBackend) -> None:
    async with FaultServer(answer(200, completion())) as server:
        answers: list[Outcome[object]] = await asyncio.gather(
            *(backend.ask(AgentRequest("안녕", server.url)) for _ in range(50))
        )
    assert not [found for found in answers if found.is_dummy]
