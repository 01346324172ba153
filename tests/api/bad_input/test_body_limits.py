"""Bodies and recordings above the limits."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx2
import pytest

from tests.support import sounds
from tests.support.bad_input import assert_problem
from tests.support.in_process import running
from tests.support.server import ApiServer


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
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
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
    head = (
        "POST /transcribe HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: multipart/form-data; boundary=x"
    )
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


async def test_recording_too_long(tmp_path: Path) -> None:
    path = sounds.sine(tmp_path / "long.wav", 3.0)
    settings = {"stt_model_path": tmp_path / "missing", "audio_max_duration_sec": 2.0}
    async with running(ready=False, **settings) as app:
        response = await app.client.post(
            "/transcribe", files={"file": ("long.wav", path.read_bytes())}
        )
        assert_problem(response, 413, "longer than 2 s.*Split the recording")
        assert app.service.metrics.stt_total_count == 0
