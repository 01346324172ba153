"""What an endpoint does not read is refused by its name, with the one that was meant."""

from __future__ import annotations

import httpx2
import pytest

from tests.support.bad_input import assert_problem

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

FORMS = (
    (b"incomplete_element_check=true", "'incomplete_element_check'; did you mean 'incomplete_el"),
    (b"Language=ko", "unknown form field 'Language'; did you mean 'language'"),
    (b"file-path=x", "did you mean 'file_path'"),
    (b"qqq=1", "unknown form field 'qqq'; there is agent_request_format, .*, timeout"),
    (b"=1", "unknown form field ''"),
    (b"language=ko&language=en", "'language' is sent more than once"),
    (b"language=ko&language=ko", "'language' is sent more than once"),
    (b"strict=", "strict: empty"),
    (b"incomplete_elements_check=", "incomplete_elements_check: empty"),
    (b"language=", "language: empty"),
    (b"timeout=", "timeout: empty"),
    (b"a" * 5000 + b"=1", "unknown form field 'a{64}… \\(5000 characters\\)'"),
    (b"&".join(b"a%d=1" % n for n in range(900)), "'a0'.*'a4'[^']*$"),
)


@pytest.mark.parametrize(("body", "words"), FORMS, ids=[body[:24].decode() for body, _ in FORMS])
async def test_form(body: bytes, words: str, client: httpx2.AsyncClient) -> None:
    response = await client.post("/transcribe", content=body, headers={"Content-Type": FORM})
    assert_problem(response, 400, words)


async def test_two_recordings_in_one_form(client: httpx2.AsyncClient, canary: bytes) -> None:
    """The first of the two calls was lost."""
    parts = [("file", ("a.wav", canary)), ("file", ("b.wav", canary))]
    response = await client.post("/transcribe", files=parts)
    assert_problem(response, 400, "form field 'file' is sent more than once")


BODIES = (
    ('{"text": "x", "text": "y"}', "name 'text' is sent more than once"),
    ('{"segments": [{"text": "x", "te\\u0078t": "y"}]}', "name 'text' is sent more than once"),
    ('{"txt": "x"}', "unknown field 'txt'; did you mean 'text'"),
    ('{"segments": [{"text": "x", "spaeker": "agent"}]}', "segments.0: unknown .*'speaker'"),
    ('{"text": "x", "incomplete_elements_check": true}', "unknown field.*chat_thread_id.*timeout"),
    ('{"text": "x",', "no JSON"),
    ("[" * 100_000, "(?i)JSON"),
    ('{"segments": [' + ",".join(["{}"] * 1000) + "]}", "segments.0.text: Field required$"),
    ('{"text": "x", ' + ",".join(f'"x{n}": 1' for n in range(60)) + "}", "and 55 more errors$"),
    ('{"segments": [{"text": "a", "words": [{"wrd": 1}]}]}', "words.0: unknown .*'word'"),
    ('{"\\ud800": 1}', "body: .*unicode"),
    ('{"\\ud800": 1, "\\ud800": 2}', "name '\\?' is sent more than once"),
    ('{"text": ' + "1" * 5000 + "}", "more digits"),
    ('{"segments": [{"text": "a", "id": 1}, {"text": "b", "id": 1}]}', "'id' of its own"),
    ('{"segments": [{"text": "a", "id": 1}, {"text": "b"}]}', "'id' of its own"),
)


@pytest.mark.parametrize(("body", "words"), BODIES, ids=[body[:44] for body, _ in BODIES])
async def test_json(body: str, words: str, client: httpx2.AsyncClient) -> None:
    response = await client.post("/analyze", content=body, headers={"Content-Type": JSON})
    assert_problem(response, 400, words)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/health?verbose=1", "unknown query parameter 'verbose'"),
        ("GET", "/health/live?x", "unknown query parameter 'x'"),
        ("GET", "/health/ready?ready=true", "unknown query parameter 'ready'"),
        ("GET", "/metrics?name[]=x", "unknown query parameter"),
        ("POST", "/analyze?timeout=5", "unknown query parameter 'timeout'"),
        ("POST", "/transcribe?language=en", "'language' is a form field: send it in the body"),
        ("POST", "/transcribe?api_key=secret", "unknown query parameter 'api_key'"),
    ],
)
async def test_query(method: str, path: str, words: str, client: httpx2.AsyncClient) -> None:
    response = await client.request(method, path)
    problem = assert_problem(response, 400, words)
    assert "secret" not in problem["detail"]


CONTENTS = (
    ("/transcribe", {"Content-Type": JSON}, "send multipart/form-data or application/x-www"),
    ("/transcribe", {"Content-Type": "audio/wav"}, "'audio/wav' is not read here"),
    ("/transcribe", {"Content-Type": "nonsense"}, "'nonsense' is not read here"),
    ("/transcribe", {}, "A body without Content-Type"),
    ("/transcribe", {"Content-Type": f"{FORM}; charset=euc-kr"}, "charset 'euc-kr'.*UTF-8"),
    ("/transcribe", {"Content-Type": FORM, "Content-Encoding": "gzip"}, "Content-Encoding 'gzip'"),
    ("/analyze", {"Content-Type": FORM}, "send application/json"),
    ("/analyze", {"Content-Type": "text/plain"}, "send application/json"),
    ("/analyze", {"Content-Type": "multipart/form-data; boundary=x"}, "send application/json"),
    ("/analyze", {}, "A body without Content-Type.*application/json"),
    ("/analyze", {"Content-Type": f"{JSON}; charset=utf-16"}, "charset 'utf-16'"),
    ("/analyze", {"Content-Type": JSON, "Content-Encoding": "br"}, "Content-Encoding 'br'"),
)


@pytest.mark.parametrize(("path", "headers", "words"), CONTENTS)
async def test_content(
    path: str, headers: dict[str, str], words: str, client: httpx2.AsyncClient
) -> None:
    response = await client.post(path, content=b'{"text": "x"}', headers=headers)
    assert_problem(response, 415, words)


@pytest.mark.parametrize("content_type", [JSON, f"{JSON}; charset=UTF-8", "application/x+json"])
async def test_json_that_is_read(content_type: str, client: httpx2.AsyncClient) -> None:
    body = b'{"text": 5}'
    response = await client.post("/analyze", content=body, headers={"Content-Type": content_type})
    assert_problem(response, 400, "text: Input should be a valid string")


async def test_an_empty_text_counts_as_absent(client: httpx2.AsyncClient) -> None:
    form = {"file_path": "", "agent_url": "", "chat_thread_id": ""}
    response = await client.post("/transcribe", data=form, files={"file": ("a.wav", b"x")})
    assert response.status_code == 415, response.text
    assert response.json()["type"].endswith("not-audio")
