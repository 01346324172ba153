"""Names of files made to harm: each is answered, shown as it is, and forges nothing."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from tests.support.server import LINE, ApiServer

FORGED = "[2026-01-01 00:00:00] INFO - [STT] forged"
BOUNDARY = "limit"

SHOWN = {
    "korean": "상담 녹취 (최종).wav",
    "decomposed": unicodedata.normalize("NFD", "상담 녹취.wav"),
    "emoji": "📞🇰🇷👩‍💼.wav",
    "quotes": "a'b`c$(d)&e;f|g.wav",
    "tab": "a\tb.wav",
    "leading dash": "-rf.wav",
    "right to left": "\u202egnp.wav",
    "isolate": "a\u2066b\u2069\u200b.wav",
    "line separator": f"a\u2028{FORGED}\u2029b\x85c.wav",
    "escape": "a\x1b[2Jb\x07.wav",
    "percent": "%2e%2e%2f%00%0d%0a%s%n{0}.wav",
    "255 bytes": "가" * 83 + "ab.wav",
    "space": " ",
}
"""Names that a file system can hold too, and that come back as they were sent."""

UPLOADED = SHOWN | {
    "parent": "../../../../etc/passwd",
    "absolute": "/etc/cron.d/call.wav",
    "backslash": "..\\..\\windows\\call.wav",
    "url": "http://127.0.0.1/a.wav",
}


@pytest.fixture(autouse=True)
def nothing_forged_nothing_left(server: ApiServer, audio_root: Path) -> Iterator[None]:
    before, kept = len(server.lines), sorted(audio_root.iterdir())
    yield
    for line in server.lines[before:]:
        assert LINE.fullmatch(line), line
        assert not line.startswith(FORGED)
        assert not {"\x1b", "\u202e", "\u2028", "\x85"}.intersection(line)
    assert server.leftovers() == []
    assert sorted(audio_root.iterdir()) == kept
    assert server.metric("stt_engine_unexpected_failures_total") == 0


@pytest.fixture
def client(server: ApiServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.base, trust_env=False, timeout=60) as found:
        yield found


def upload(
    client: httpx2.Client, disposition: bytes, content: bytes = b"", charset: str = ""
) -> httpx2.Response:
    """Send one part whose header is exactly ``disposition``."""
    kind = f"multipart/form-data; boundary={BOUNDARY}" + (f"; charset={charset}" if charset else "")
    head = b"Content-Disposition: form-data; " + disposition + b"\r\n\r\n"
    body = b"--limit\r\n" + head + content + b"\r\n--limit--\r\n"
    return client.post("/transcribe", content=body, headers={"Content-Type": kind})


def problem(response: httpx2.Response, *statuses: int) -> dict[str, Any]:
    assert response.status_code in statuses, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = response.json()
    assert "stt-engine-" not in told["detail"]
    return told


@pytest.mark.parametrize("kind", list(UPLOADED))
def test_upload(kind: str, client: httpx2.Client) -> None:
    """The client's name is shown, and is the name of nothing here."""
    name = UPLOADED[kind]
    raw = name.encode().replace(b"\\", b"\\\\")
    told = problem(upload(client, b'name="file"; filename="' + raw + b'"'), 415)
    assert f"{name} has 0 bytes" in told["detail"]


HEADERS = {
    "extended": b"filename*=UTF-8''%EC%83%81%EB%8B%B4%0D%0A.wav",
    "extended and plain": b"filename=\"a.wav\"; filename*=utf-8''..%2F..%2Fb.wav",
    "extended of no charset": b"filename*=nope''%ff%fe.wav",
    "extended half": b"filename*=UTF-8''%ed%a0%80.wav",
    "quote": b'filename="a\\"b.wav"',
    "percent quote": b'filename="a%22%0d%0a.wav"',
    "unquoted": b"filename=a b;c.wav",
    "no end": b'filename="a.wav',
    "twice": b'filename="a.wav"; filename="../b.wav"',
    "invalid utf-8": b'filename="\xff\xfe\x80.wav"',
    "surrogate": b'filename="\xed\xa0\x80.wav"',
    "overlong": b'filename="\xc0\xae\xc0\xae\xc0\xaf.wav"',
    "nul": b'filename="a\x00b.wav"',
    "bare return": b'filename="a\rb.wav"',
    "newline": b'filename="a\r\n' + FORGED.encode() + b'.wav"',
    "folded": b'filename="a\r\n b.wav"',
    "drive": b'filename="C:\\call.wav"',
    "very long": b'filename="' + b"a" * 10_000 + b'"',
    "empty": b'filename=""',
    "none": b"",
}


@pytest.mark.parametrize("kind", list(HEADERS))
def test_header_of_an_upload(kind: str, client: httpx2.Client) -> None:
    problem(upload(client, b'name="file"; ' + HEADERS[kind]), 400, 415, 422)


CHARSETS = "utf-7 utf-16 unicode_escape punycode idna hex nope rot13 euc-kr".split()


@pytest.mark.parametrize("charset", CHARSETS)
def test_charset_of_a_form(charset: str, client: httpx2.Client) -> None:
    """A form says in what its names are written; some of that makes half characters."""
    for raw in (b"+2AA-.wav", b"\\ud800\\n.wav", b"xn--a-\xff.wav", b"a" * 400):
        problem(
            upload(client, b'name="file"; filename="' + raw + b'"', b"", charset), 400, 415, 422
        )
        problem(upload(client, b'name="file_path"', raw, charset), 400, 403, 404)
        problem(upload(client, b'name="language"', raw, charset), 400, 422)


@pytest.mark.parametrize("kind", list(SHOWN))
def test_file_path(kind: str, client: httpx2.Client, audio_root: Path) -> None:
    path = audio_root / SHOWN[kind]
    problem(client.post("/transcribe", data={"file_path": str(path)}), 404)
    path.touch()
    try:
        told = problem(client.post("/transcribe", data={"file_path": str(path)}), 415)
        multipart = problem(upload(client, b'name="file_path"', os.fsencode(path)), 415)
    finally:
        path.unlink()
    assert f"{path} has 0 bytes" in told["detail"]
    assert told["detail"] == multipart["detail"]


@pytest.mark.parametrize("raw", [b"\xff\xfe\x80.wav", b"\xed\xa0\x80.wav", b"\xc0\xae.wav"])
def test_a_path_that_is_no_text(raw: bytes, client: httpx2.Client, audio_root: Path) -> None:
    """HTTP forms are text: such a file is there, and cannot be named; nothing else is opened."""
    path = os.fsencode(audio_root) + b"/" + raw
    with open(path, "wb"):  # noqa: PTH123 - a name of bytes
        pass
    try:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = f"file_path={quote(path)}"
        problem(client.post("/transcribe", content=body, headers=form), 404)
        problem(client.post("/transcribe", content=b"file_path=" + path, headers=form), 404)
        problem(upload(client, b'name="file_path"', path), 404)
    finally:
        os.unlink(path)  # noqa: PTH108 - a name of bytes


@pytest.mark.parametrize(
    "raw", ["%00", "a%00.wav", "%0d%0a" + quote(FORGED), "%u0000", "%", "%zz", "+"]
)
def test_a_path_in_odd_encodings(raw: str, client: httpx2.Client, audio_root: Path) -> None:
    body = f"file_path={quote(str(audio_root))}/{raw}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    problem(client.post("/transcribe", content=body, headers=form), 400, 404)
