"""Malformed requests: bodies, methods, paths, ids."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import httpx2
import pytest

from api_server.http import paths
from api_server.http.problems import Problem
from tests.support.bad_input import assert_problem

BODIES = {
    "neither": ({}, {}),
    "both": ({"file_path": "/x.wav"}, {"file": ("a.wav", b"x")}),
    "empty path": ({"file_path": ""}, {}),
}


@pytest.mark.parametrize("kind", BODIES)
async def test_one_input(kind: str, client: httpx2.AsyncClient) -> None:
    form, files = BODIES[kind]
    response = await client.post("/transcribe", data=form, files=files or None)
    assert_problem(response, 422, "exactly one of 'file_path' and 'file'")


async def test_text_in_the_upload_field(client: httpx2.AsyncClient) -> None:
    response = await client.post("/transcribe", data={"file": "a.wav"})
    assert_problem(response, 400, "^file: .*[Uu]pload")


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/transcribe", 405, "(?i)use POST"),
        ("PUT", "/transcribe", 405, "(?i)use POST"),
        ("DELETE", "/analyze", 405, "(?i)use POST"),
        ("POST", "/health", 405, "(?i)use GET"),
        ("GET", "/", 404, "/docs"),
        ("GET", "/v2/unknown", 404, "/docs"),
        ("POST", "/transcribe/../etc/passwd", 404, "/docs"),
    ],
)
async def test_wrong_method_or_path(
    method: str, path: str, status: int, words: str, client: httpx2.AsyncClient
) -> None:
    response = await client.request(method, path)
    assert_problem(response, status, words)
    assert (status == 405) == ("allow" in response.headers)


MALFORMED = {
    "no boundary": ("multipart/form-data", b"garbage"),
    "garbage": ("multipart/form-data; boundary=x", b"garbage"),
    "no end": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF',
    ),
    "no name": (
        "multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data\r\n\r\nx\r\n--x--\r\n",
    ),
    "empty": ("multipart/form-data; boundary=x", b""),
    "too many fields": (
        "application/x-www-form-urlencoded",
        b"&".join(b"a%d=1" % n for n in range(3000)),
    ),
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_malformed_form(kind: str, client: httpx2.AsyncClient) -> None:
    content_type, body = MALFORMED[kind]
    response = await client.post(
        "/transcribe", content=body, headers={"Content-Type": content_type}
    )
    assert response.status_code in {400, 415, 422}
    assert_problem(response, response.status_code, "(?i)send|form|multipart|recording")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"segments": [{"text": "x", "end": 1e999}]}', "finite"),
        ('{"segments": [{"text": "x", "end": NaN}]}', "finite"),
        ('{"segments": [{"text": "x", "start": "1"}]}', "give a number"),
        ('{"segments": [{"text": "x", "channel": false}]}', "give a number"),
        ('{"text": "x", "timeout": true}', "give a number"),
        (r'{"segments": [{"text": "\ud800"}]}', "surrogate"),
        (r'{"text": "x\ud800"}', "surrogate"),
        (r'{"text": "x", "chat_thread_id": "\udfff"}', "surrogate"),
    ],
)
async def test_what_no_answer_could_give_back(
    body: str, words: str, client: httpx2.AsyncClient
) -> None:
    """JSON can say infinity and half a character; evidence quotes both, and then no answer can."""
    headers = {"Content-Type": "application/json"}
    assert_problem(await client.post("/analyze", content=body, headers=headers), 400, words)


async def test_a_given_request_id_comes_back_if_it_is_harmless(client: httpx2.AsyncClient) -> None:
    for given_id, kept in {
        "abc-1.2_3": True,
        uuid.uuid4().hex: True,
        "x" * 65: False,
        "a b": False,
        "a]forged": False,
        "": False,
    }.items():
        response = await client.get("/nowhere", headers={"X-Request-ID": given_id})
        assert (response.headers["x-request-id"] == given_id) is kept
        assert re.fullmatch(r"[\w.-]{1,64}", response.headers["x-request-id"])


def test_where_the_server_runs_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The roots are relative by default: a refusal must not tell what to."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "loop").symlink_to(tmp_path / "audio" / "loop")
    monkeypatch.chdir(tmp_path)
    for path in ("audio/" + "a" * 300, "audio/x\0", "audio/none.wav", "audio/loop", "a"):
        with pytest.raises(Problem) as told:
            paths.resolve(path, [Path("audio")])
        assert str(tmp_path) not in told.value.detail
