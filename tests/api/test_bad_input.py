"""The caller's mistakes: each is a problem document that says what to do, and never a dummy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api_server import paths
from api_server.problems import Problem
from tests.support import sounds
from tests.support.fault_server import FaultServer, answer
from tests.support.in_process import Running, running
from tests.support.scripted_llm import honest
from tests.support.server import ROOT, ApiServer

SECRET = "nobody may read this"


@pytest.fixture(autouse=True)
def nothing_counted_nothing_left(server: ApiServer) -> Iterator[None]:
    """A mistake is neither a failure nor a dummy, and leaves no file behind."""
    before = counted(server)
    yield
    assert counted(server) == before
    assert server.leftovers() == []


def counted(server: ApiServer) -> dict[str, float]:
    exposition = server.get("/metrics").text
    found = re.findall(
        r"^(stt_engine_(?:failures|outcomes)_total\{.*\}) (\S+)$", exposition, re.MULTILINE
    )
    return {name: float(value) for name, value in found if 'stage="health"' not in name}


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as found:
        yield found


def assert_problem(response: httpx2.Response, status: int, words: str) -> dict[str, Any]:
    """Assert a whole RFC 9457 document whose detail matches ``words``."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert "x-stt-degraded" not in response.headers
    told: dict[str, Any] = response.json()
    assert set(told) == {"type", "title", "status", "detail", "request_id"}
    assert re.fullmatch(r"urn:stt-engine:problem:[a-z-]+", told["type"])
    assert told["title"].strip()
    assert told["status"] == status
    assert told["request_id"] == response.headers["x-request-id"]
    assert re.search(words, told["detail"]), told["detail"]
    assert "Traceback" not in response.text
    return told


# What a caller can do about it has to be in the words.
UPLOAD_INSTEAD = "upload the recording in"
WHOLE = "Send a recording in a format FFmpeg reads"


@dataclass(frozen=True)
class Shelf:
    """The folder that the server may read, and one beside it that it may not."""

    root: Path
    outside: Path


@pytest.fixture(scope="session")
def shelf(audio_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.wav").write_text(SECRET)
    (audio_root / "folder").mkdir()
    (audio_root / "link.wav").symlink_to(outside / "secret.wav")
    (audio_root / "linked-folder").symlink_to(outside)
    (audio_root / "loop").symlink_to(audio_root / "loop")
    sounds.zero_bytes(audio_root / "empty.wav")
    sounds.text_as_wav(audio_root / "text.wav")
    sounds.truncated_wav(audio_root / "cut.wav")
    sounds.header_only_wav(audio_root / "header.wav")
    unreadable = sounds.sine(audio_root / "unreadable.wav", 0.1)
    unreadable.chmod(0)
    os.mkfifo(audio_root / "pipe.wav")
    return Shelf(audio_root, outside)


FILES = (
    ("folder", 400, "is a folder; give the path of one recording"),
    ("", 400, "is a folder"),
    ("unreadable.wav", 400, "Permission denied.*Give the path of one readable recording"),
    ("pipe.wav", 400, "not a regular file.*Give the path of one readable recording"),
    ("empty.wav", 415, f"0 bytes.*{WHOLE}"),
    ("text.wav", 415, f"no audio format recognised.*{WHOLE}"),
    ("cut.wav", 415, r"ends after 2\.0 s of the 10\.0 s.*send the whole recording"),
    ("header.wav", 415, f"not one sample.*{WHOLE}"),
    ("nothing-here.wav", 404, "no such file; check file_path"),
    ("empty.wav/inside.wav", 404, "no such file; check file_path"),
    ("../outside.wav", 403, UPLOAD_INSTEAD),
    ("folder/../../x.wav", 403, UPLOAD_INSTEAD),
    ("link.wav", 403, UPLOAD_INSTEAD),
    ("linked-folder/secret.wav", 403, UPLOAD_INSTEAD),
    ("linked-folder", 403, UPLOAD_INSTEAD),
    ("loop", 400, "not a usable path"),
    ("nul\0.wav", 400, "not a usable path"),
    ("a" * 300, 400, "not a usable path"),
    ("a/" * 5000, 400, "not a usable path"),
)


@pytest.mark.parametrize(
    ("name", "status", "words"), FILES, ids=[repr(name)[:30] for name, *_ in FILES]
)
async def test_file_path(
    name: str, status: int, words: str, shelf: Shelf, client: httpx2.AsyncClient
) -> None:
    response = await client.post("/transcribe", data={"file_path": f"{shelf.root}/{name}"})
    assert_problem(response, status, words)
    assert SECRET not in response.text


ELSEWHERE = (
    ("/etc/passwd", 403, UPLOAD_INSTEAD),
    ("text.wav", 403, UPLOAD_INSTEAD),  # relative to where the server runs
    (".", 403, UPLOAD_INSTEAD),
    ("~/secret.wav", 403, UPLOAD_INSTEAD),
    ("/proc/self/environ", 403, UPLOAD_INSTEAD),
    ("a" * 10_000, 400, "not a usable path"),
    ("/" * 10_000, 403, UPLOAD_INSTEAD),
    ("http://127.0.0.1/a.wav", 400, UPLOAD_INSTEAD),
    ("file:///etc/passwd", 400, UPLOAD_INSTEAD),
)


@pytest.mark.parametrize(
    ("path", "status", "words"), ELSEWHERE, ids=[path[:30] for path, *_ in ELSEWHERE]
)
async def test_path_elsewhere(
    path: str, status: int, words: str, server: ApiServer, client: httpx2.AsyncClient
) -> None:
    response = await client.post("/transcribe", data={"file_path": path})
    if len(path) == 10_000 and status == 400 and response.status_code == 403:
        status, words = 403, UPLOAD_INSTEAD  # some systems have no bound on a name
    assert_problem(response, status, words)
    assert str(server.folder) not in response.text


def uploads(folder: Path) -> dict[str, tuple[Path, int, str]]:
    speech = ROOT / "src/stt_engine/assets/canary.wav"
    mp3 = sounds.encode(speech, folder / "whole.mp3", "mp3").read_bytes()
    cut = folder / "cut.mp3"
    cut.write_bytes(mp3[: len(mp3) // 2])
    return {
        "zero bytes": (sounds.zero_bytes(folder / "zero.wav"), 415, f"0 bytes.*{WHOLE}"),
        "text": (sounds.text_as_wav(folder / "text.wav"), 415, f"no audio format.*{WHOLE}"),
        "truncated wav": (
            sounds.truncated_wav(folder / "cut.wav"),
            415,
            r"ends after 2\.0 s of the 10\.0 s.*send the whole recording",
        ),
        "truncated mp3": (cut, 415, "ends after .*send the whole recording"),
        "header only": (sounds.header_only_wav(folder / "head.wav"), 415, WHOLE),
        "playlist": (_playlist(folder), 415, f"no audio format.*{WHOLE}"),
    }


def _playlist(folder: Path) -> Path:
    path = folder / "list.wav"
    path.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{ROOT}/src/stt_engine/assets/canary.wav\n")
    return path


@pytest.mark.parametrize(
    "kind",
    ["zero bytes", "text", "truncated wav", "truncated mp3", "header only", "playlist"],
)
async def test_upload(
    kind: str, server: ApiServer, client: httpx2.AsyncClient, tmp_path: Path
) -> None:
    path, status, words = uploads(tmp_path)[kind]
    with path.open("rb") as file:
        response = await client.post("/transcribe", files={"file": ("mine.wav", file)})
    assert_problem(response, status, words)
    for inner in (str(server.folder), str(server.temporary), str(ROOT), "stt-engine-", "/tmp"):
        assert inner not in response.text


async def test_strict_changes_nothing_about_a_mistake(client: httpx2.AsyncClient) -> None:
    response = await client.post(
        "/transcribe", data={"strict": "true"}, files={"file": ("a.wav", b"text")}
    )
    assert_problem(response, 415, WHOLE)


CHECKED = {"incomplete_elements_check": "true"}
FIELDS = (
    ({"language": "xx"}, 400, "unknown language 'xx'; give a Whisper code"),
    ({"language": "../en"}, 400, "give a Whisper code"),
    ({"incomplete_elements_check": "maybe"}, 400, "incomplete_elements_check: .*boolean"),
    ({"strict": "2"}, 400, "strict: .*boolean"),
    ({"agent_request_format": "xml"}, 400, "agent_request_format: .*'prompt_based' or 'text_only'"),
    ({**CHECKED, "timeout": "0"}, 400, "timeout: .*greater than or equal to 1"),
    ({**CHECKED, "timeout": "-1"}, 400, "timeout: .*greater than or equal to 1"),
    ({**CHECKED, "timeout": "301"}, 400, "timeout: at most 300 seconds"),
    ({**CHECKED, "timeout": "nan"}, 400, "timeout: .*finite"),
    ({**CHECKED, "timeout": "inf"}, 400, "timeout: .*finite"),
    ({**CHECKED, "timeout": "soon"}, 400, "timeout: .*valid number"),
    ({**CHECKED, "agent_url": "http://example.com/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://localhost:9999/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://127.0.0.1@example.com/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://user@127.0.0.1/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://127.0.0.1.example.com/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://127.0.0.1:99999/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://example.com#@127.0.0.1/"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "http://example.com\\@127.0.0.1/"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "ftp://127.0.0.1/v1"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "file:///etc/passwd"}, 403, "operator can add it"),
    ({**CHECKED, "agent_url": "127.0.0.1:8000"}, 403, "operator can add it"),
)


@pytest.mark.parametrize(
    ("form", "status", "words"), FIELDS, ids=[json.dumps(form)[-50:] for form, *_ in FIELDS]
)
async def test_field(
    form: dict[str, str],
    status: int,
    words: str,
    client: httpx2.AsyncClient,
    canary: bytes,
) -> None:
    response = await client.post("/transcribe", data=form, files={"file": ("a.wav", canary)})
    assert_problem(response, status, words)


async def test_allow_list_with_a_port(tmp_path: Path) -> None:
    """``host:port`` allows that port only, and the server's own agent is always allowed."""
    settings = {
        "stt_model_path": tmp_path,
        "vllm_api_url": "http://vllm:8000/v1",
        "agent_allowed_hosts": ["127.0.0.1:1"],
    }
    async with running(ready=False, **settings) as app:
        for url, allowed in {
            "http://127.0.0.1:1/v1": True,
            "http://127.0.0.1:2/v1": False,
            "http://127.0.0.1/v1": False,
            "https://127.0.0.1:1/v1": True,
            "http://vllm:8000/other": True,
            "http://VLLM:8000/v1": True,
            "http://vllm:8001/v1": False,
        }.items():
            assert app.service.settings.allows_agent(url) is allowed, url
        refused = await app.client.post(
            "/analyze", json={"text": "x", "agent_url": "http://127.0.0.1:2/v1"}
        )
        assert_problem(refused, 403, "operator can add it")


async def test_redirect_of_an_allowed_agent_is_not_followed(modelless: Running) -> None:
    """A 302 is the agent's failure, and where it points to is never asked."""
    async with FaultServer(honest) as target:
        redirect = answer(302, b"", Location=target.url)
        async with FaultServer(redirect, models=redirect) as agent:
            told = await modelless.client.post(
                "/analyze", json={"text": "x", "agent_url": agent.url}
            )
            assert len(agent.requests) == 1
        assert target.requests == []
    assert told.json()["error_type"] == "RedirectRefused"


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
        ("GET", "/v1/unknown", 404, "/docs"),
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


async def _answer_to(server: ApiServer, *parts: bytes) -> str:
    """Send ``parts`` of a request and no more, and give what is answered to them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for part in parts:
        writer.write(part)
    await writer.drain()
    told = (await asyncio.wait_for(reader.read(), 60)).decode()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return told


FORM_OVERHEAD = 1024 * 1024


@pytest.mark.parametrize(
    ("path", "content_type", "limit"),
    [
        ("/transcribe", "multipart/form-data; boundary=x", 3_000_000 + FORM_OVERHEAD),
        ("/analyze", "application/json", 100_000 + FORM_OVERHEAD),
    ],
)
async def test_chunked_body_too_large_is_refused_before_it_ends(
    path: str, content_type: str, limit: int, server: ApiServer
) -> None:
    """No Content-Length: refused at the first byte too many; the end of the body never comes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        f"Content-Type: {content_type}\r\n\r\n"
    )
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body += bytes(limit + 1 - len(body))
    chunks = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    told = await _answer_to(
        server, head.encode(), *(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks)
    )
    assert told.startswith("HTTP/1.1 413 "), told
    assert "content-type: application/problem+json" in told.lower()
    assert f"larger than {limit} bytes. Split the recording" in told


async def test_declared_body_too_large_is_refused_before_it_comes(server: ApiServer) -> None:
    head = "POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x"
    told = await _answer_to(server, f"{head}\r\nContent-Length: 99999999999\r\n\r\n".encode())
    assert told.startswith("HTTP/1.1 413 "), told
    assert "content-type: application/problem+json" in told.lower()
    assert "Split the recording" in told


async def test_recording_between_the_limits(client: httpx2.AsyncClient) -> None:
    """Small enough for a body and too large for a recording."""
    response = await client.post("/transcribe", files={"file": ("a.wav", bytes(3_500_000))})
    assert_problem(response, 413, "3500000 bytes; the limit is 3000000.*Split the recording")


async def test_analyze_body_too_large(client: httpx2.AsyncClient) -> None:
    declared = await client.post("/analyze", json={"text": "가" * 500_000})
    assert_problem(declared, 413, "larger than")


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


async def test_recording_too_long(tmp_path: Path) -> None:
    path = sounds.sine(tmp_path / "long.wav", 3.0)
    settings = {"stt_model_path": tmp_path / "missing", "audio_max_duration_sec": 2.0}
    async with running(ready=False, **settings) as app:
        response = await app.client.post(
            "/transcribe", files={"file": ("long.wav", path.read_bytes())}
        )
        assert_problem(response, 413, "longer than 2 s.*Split the recording")
        assert app.service.metrics.stt_total_count == 0


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


# Paths, whatever they are made of.

PARTS = st.sampled_from(
    ["..", ".", "", "inside.wav", "folder", "out", "outer", "in", "secret.wav", "~", "\0", "가"]
)
PATHS = st.one_of(
    st.text(max_size=60),
    st.builds("/".join, st.lists(PARTS, max_size=12)),
    st.builds(lambda parts: "ROOT/" + "/".join(parts), st.lists(PARTS, max_size=12)),
    st.builds(lambda parts: "OUTSIDE/" + "/".join(parts), st.lists(PARTS | st.text(), max_size=6)),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("tree")
    root, outside = base / "root", base / "root-beside"
    for folder in (root / "folder", outside):
        folder.mkdir(parents=True)
    for path in (root / "inside.wav", root / "folder" / "inside.wav", outside / "secret.wav"):
        path.write_text("x")
    (root / "out").symlink_to(outside)
    (root / "outer").symlink_to("../root-beside/secret.wav")
    (root / "folder" / "out").symlink_to("../out")
    (root / "in").symlink_to(root / "folder")
    return root, outside


@given(path=PATHS)
@example(path="ROOT/inside.wav")
@example(path="ROOT/in/inside.wav")
@example(path="ROOT/in/../inside.wav")
@example(path="ROOT/out/secret.wav")
@example(path="ROOT-beside/secret.wav")
@example(path="ROOT/../root-beside/secret.wav")
@example(path="\ud800")
@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_path_leaves_the_roots(path: str, tree: tuple[Path, Path]) -> None:
    root, outside = tree
    path = path.replace("ROOT", str(root)).replace("OUTSIDE", str(outside))
    try:
        found = paths.resolve(path, [root])
    except Problem as problem:
        assert problem.status in {400, 403, 404}  # noqa: PT017 - either is right
        assert len(problem.detail) > 20  # noqa: PT017
        return
    assert found == Path(os.path.realpath(found))
    assert found.is_relative_to(os.path.realpath(root))
    assert found.is_file()


def test_a_good_path_is_found(tree: tuple[Path, Path]) -> None:
    root, _ = tree
    assert paths.resolve(f"{root}/in/inside.wav", [root]) == (root / "folder/inside.wav").resolve()


def test_where_the_server_runs_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The roots are relative by default: a refusal must not tell what to."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "loop").symlink_to(tmp_path / "audio" / "loop")
    monkeypatch.chdir(tmp_path)
    for path in ("audio/" + "a" * 300, "audio/x\0", "audio/none.wav", "audio/loop", "a"):
        with pytest.raises(Problem) as told:
            paths.resolve(path, [Path("audio")])
        assert str(tmp_path) not in told.value.detail
