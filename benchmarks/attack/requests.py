"""Requests that say what is not read, or twice, or far too much of it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.attack.trial import Target, Trial, asked, held

_LONG = "가" * 200_000


def _forms(clip: bytes) -> dict[str, dict[str, Any]]:
    file = ("file", ("call.wav", clip))
    return {
        "an unknown field": {"files": [file], "data": {"incomplete_element_check": "true"}},
        "an unknown query": {"files": [file], "params": {"lang": "ko"}},
        "two recordings": {"files": [file, file]},
        "a field twice": {"files": [file], "data": {"language": ["ko", "en"]}},
        "no recording": {"data": {"language": "ko"}},
        "a recording and a path": {"files": [file], "data": {"file_path": "a.wav"}},
        "a language that is none": {"files": [file], "data": {"language": "xx"}},
        "a field of 600 KB": {"files": [file], "data": {"language": _LONG}},
        "JSON for a form": {"json": {"file_path": "a.wav"}},
        "plain text": {"content": b"hello", "headers": {"Content-Type": "text/plain"}},
        "a form without a boundary": {
            "content": b"--x\r\n",
            "headers": {"Content-Type": "multipart/form-data"},
        },
        "a form that ends in the middle": {
            "content": b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
            "headers": {"Content-Type": "multipart/form-data; boundary=x"},
        },
        "10,000 fields": {"data": {f"x{n}": "1" for n in range(10_000)}},
    }


async def requests(target: Target) -> AsyncIterator[Trial]:
    """Send each form; then look for what a caller sent in the log."""
    for name, how in _forms(target.clip).items():
        yield await asked(target, name, "POST", "/transcribe", how=how)
    for method, path in (("GET", "/transcribe"), ("DELETE", "/health"), ("POST", "/nothing")):
        yield await asked(target, f"{method} {path}", method, path)
    secret = secrets.token_hex(16)
    await target.client.get("/health", headers={"Authorization": f"Bearer {secret}"})
    await target.client.get(f"/nothing?api_key={secret}")
    before = target.server.log.stat().st_size
    for _ in range(4):
        await target.client.post("/transcribe", data={"file_path": _LONG, "language": _LONG})
    grown = target.server.log.stat().st_size - before
    log = target.server.log.read_text("utf-8")
    yield held("keys in headers and queries", "one is in the log" if secret in log else "")
    why = f"the log grew by {grown} bytes" if grown > 20_000 else ""
    yield held("four calls with 600 KB in their fields", why)
