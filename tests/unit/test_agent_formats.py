"""The wire formats: what is sent byte for byte, and that no answer can be misread."""

from __future__ import annotations

import contextlib
import json
from email.utils import formatdate
from time import time

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.clients.agent.backend import AgentBackend, AgentRequest
from api_server.clients.agent.errors import (
    AddressInvalid,
    AgentError,
    AgentStatusError,
    AnswerWithheld,
    EmptyAnswer,
    InvalidAnswer,
)
from api_server.clients.agent.formats import (
    build_status_error,
    encode_completion,
    encode_external,
    parse_body,
    parse_completion,
    parse_endpoint,
    parse_external,
    parse_first_model,
    parse_retry_after,
    redact_url,
)
from api_server.clients.errors import format_seconds
from stt_engine.errors import InvalidRequest
from stt_engine.events import Event
from stt_engine.outcome import AttemptFailed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("url", "chat", "target", "models"),
    [
        (
            "http://vllm:8000/v1/chat/completions",
            "http://vllm:8000/v1/chat/completions",
            "http://vllm:8000/v1/chat/completions",
            "http://vllm:8000/v1/models",
        ),
        (
            "http://vllm:8000/v1",
            "http://vllm:8000/v1/chat/completions",
            "http://vllm:8000/v1/chat/completions",
            "http://vllm:8000/v1/models",
        ),
        (
            "HTTPS://LLM.example/",
            "https://LLM.example/v1/chat/completions",
            "https://llm.example:443/v1/chat/completions",
            "https://LLM.example/v1/models",
        ),
        (
            "http://[::1]:80/proxy/v1/?a=b",
            "http://[::1]:80/proxy/v1/chat/completions?a=b",
            "http://[::1]:80/proxy/v1/chat/completions",
            "http://[::1]:80/proxy/v1/models?a=b",
        ),
        ("http://own/path", "http://own/path", "http://own:80/path", None),
    ],
)
def test_address(url: str, chat: str, target: str, models: str | None) -> None:
    found = parse_endpoint(url, "prompt_based")
    assert (found.url, found.target, found.models_url) == (chat, target, models)
    assert parse_endpoint(url, "text_only").target.startswith(target.partition("/v1")[0])


@pytest.mark.parametrize(
    "url",
    ["", "x", "file:///etc/passwd", "http://", "http://a:b/", "http://good\\@evil/", "http://ａ/"],
)
def test_address_that_cannot_be_used(url: str) -> None:
    with pytest.raises(AddressInvalid):
        parse_endpoint(url, "prompt_based")


def test_unknown_format() -> None:
    with pytest.raises(InvalidRequest):
        parse_endpoint("http://a/", "other")  # type: ignore[arg-type]


def test_prompt_on_the_wire() -> None:
    schema = {"type": "object"}
    request = AgentRequest("통화", "http://a", system="지시", schema=schema, max_tokens=7)
    assert json.loads(encode_completion(request, "m")) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "지시"},
            {"role": "user", "content": "통화"},
        ],
        "max_tokens": 7,
        "temperature": 0,
        "stream": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        },
    }


def test_text_on_the_wire() -> None:
    request = AgentRequest("통화", "http://a", "text_only", chat_thread_id="t")
    assert json.loads(encode_external(request)) == {
        "use_streaming": False,
        "chat_thread_id": "t",
        "parameters": {"user_query": "통화"},
    }


def test_reads_the_two_shapes() -> None:
    chat = {"model": "m", "choices": [{"message": {"content": "답"}, "finish_reason": "stop"}]}
    assert (parse_completion(chat).text, parse_completion(chat).model) == ("답", "m")
    assert parse_external({"response": "답", "chat_thread_id": "t"}).chat_thread_id == "t"
    assert parse_external({"response": None, "result": "답"}).text == "답"
    assert parse_first_model({"data": [{"id": "m"}, {"id": "n"}]}) == "m"


def test_refusal_is_not_an_answer() -> None:
    message = {"content": "답", "refusal": "no"}
    with pytest.raises(AnswerWithheld, match="거절"):
        parse_completion({"choices": [{"message": message, "finish_reason": "stop"}]})


@given(JSON, st.sampled_from([parse_completion, parse_external, parse_first_model]))
def test_any_json_is_read_or_refused(body: object, read: object) -> None:
    """Whatever comes back, the only exceptions are ours."""
    wrapped = {"choices": [body], "data": [body], "response": body}
    message = {"choices": [{"message": body, "finish_reason": body}], "data": body}
    for data in (body, wrapped, message):
        try:
            read(parse_body(json.dumps(data).encode()))  # type: ignore[operator]
        except AgentError:
            continue


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidAnswer, EmptyAnswer):
        parse_body(data)


@given(st.integers(300, 999), st.binary(max_size=50) | JSON.map(lambda x: json.dumps(x).encode()))
def test_any_status_has_an_error(status: int, data: bytes) -> None:
    assert isinstance(build_status_error(status, {}, data), AgentStatusError)


def test_only_short_tokens_of_an_error_are_told() -> None:
    error = {"type": "a b", "param": "내 통화", "code": "x" * 65, "message": "내 통화"}
    assert (
        str(build_status_error(400, {}, json.dumps({"error": error}).encode()))
        == "HTTP 400 (type=a b)"
    )
    assert str(build_status_error(400, {}, json.dumps(error).encode())) == "HTTP 400 (type=a b)"


def test_retry_after() -> None:
    assert parse_retry_after({"retry-after": "12"}) == 12
    assert parse_retry_after(
        {"retry-after": formatdate(time() + 100, usegmt=True)}
    ) == pytest.approx(100, abs=5)
    assert parse_retry_after({"retry-after": formatdate(0)}) == 0
    for nonsense in ("", "-1", "soon", "nan", "²"):
        assert parse_retry_after({"retry-after": nonsense}) is None


def test_safe_url() -> None:
    assert redact_url("http://u:p@h:1/a?k=s#f") == "http://h:1/a"
    assert redact_url("http://[::1") == "(잘못된 URL)"


def test_seconds_as_people_write_them() -> None:
    assert [format_seconds(value) for value in (30, 30.0, 0.25, 100, 0)] == [
        "30",
        "30",
        "0.25",
        "100",
        "0",
    ]


def test_key_that_cannot_be_a_header() -> None:
    with pytest.raises(InvalidRequest):
        AgentBackend(api_key="two\nlines")


@given(url=st.text(max_size=30) | st.text(max_size=20).map("http://{}".format))
async def test_any_url_has_an_answer(url: str) -> None:
    """No text in place of a URL is a defect of ours."""
    events: list[Event] = []
    transport = httpx2.MockTransport(lambda _: httpx2.Response(500))
    backend = AgentBackend(observers=[events.append], transport=transport)
    response = await backend.call("\ud800", url)
    await backend.aclose()
    assert response["is_dummy"]
    assert not [one for one in events if isinstance(one, AttemptFailed) and one.failure.unexpected]
