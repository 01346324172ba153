"""How the server answers while callers send long texts: health, and what becomes of each call.

``python benchmarks/doors.py [--calls 64] [--bytes 200000]``

It starts a server of its own on loopback, without a model and with an LLM that is not there, sends
that many transcripts to ``POST /analyze`` at once and asks for ``GET /health/live`` meanwhile; then
bodies of 10 MB, one after the other. Times are of this machine; the bound is 100 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import anyio
import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.server import ApiServer, api_server, awaited

SENTENCES = "안녕하세요 고객님. 이 상품은 원금이 보장됩니다. 제 번호는 010-1234-5678입니다. "
_TIMEOUT_SEC = 600.0
_ASKED_EVERY_SEC = 0.02


def transcript(size: int) -> bytes:
    turns = size // (len(SENTENCES.encode()) + 60)
    segments = [{"text": SENTENCES, "speaker": "agent", "start": n} for n in range(turns)]
    return json.dumps({"segments": segments}, ensure_ascii=False).encode()


LARGE = {
    "10 MB of {}": b'{"segments": [' + b", ".join([b"{}"] * 2_500_000) + b"]}",
    "10 MB of text": json.dumps({"text": "원금보장" * 830_000}, ensure_ascii=False).encode(),
    "10 MB of [": b"[" * 10_000_000,
    "500,000 characters": json.dumps({"text": "원금보장" * 125_000}).encode(),
    "200,000 dots": json.dumps({"text": "." * 200_000 + "가"}).encode(),
    "20,000 letters, a line each": json.dumps({"text": "가\n" * 20_000}).encode(),
}


async def ask(client: httpx2.AsyncClient, body: bytes) -> tuple[int, float]:
    began = time.perf_counter()
    answer = await client.post(
        "/analyze", content=body, headers={"Content-Type": "application/json"}
    )
    return answer.status_code, time.perf_counter() - began


async def watch(client: httpx2.AsyncClient, took: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await client.get("/health/live")
        took.append(time.perf_counter() - began)
        await anyio.sleep(_ASKED_EVERY_SEC)


def told(took: list[float]) -> str:
    found = sorted(took)
    p99 = found[int(len(found) * 0.99)] * 1000
    return f"/health/live p99 {p99:.0f} ms, most {found[-1] * 1000:.0f} ms of {len(found)}"


async def measure(server: ApiServer, calls: int, size: int) -> None:
    limits = httpx2.Limits(max_connections=calls)
    options = {"timeout": _TIMEOUT_SEC, "limits": limits}
    async with (
        httpx2.AsyncClient(base_url=server.base, **options) as client,
        httpx2.AsyncClient(base_url=server.base, timeout=_TIMEOUT_SEC) as other,
    ):
        await together(client, other, [transcript(size)] * calls, f"{calls} x {size} bytes")
        for name, body in LARGE.items():
            await together(client, other, [body], name)


async def together(
    client: httpx2.AsyncClient, other: httpx2.AsyncClient, bodies: list[bytes], name: str
) -> None:
    took: list[float] = []
    answers: list[tuple[int, float]] = []

    async def one(body: bytes) -> None:
        answers.append(await ask(client, body))

    async with anyio.create_task_group() as watching:
        watching.start_soon(watch, other, took)
        async with anyio.create_task_group() as tasks:
            for body in bodies:
                tasks.start_soon(one, body)
        watching.cancel_scope.cancel()
    slowest = max(sec for _, sec in answers)
    codes = dict(Counter(code for code, _ in answers))
    print(f"{name:28} {codes} slowest {slowest:.1f} s; {told(took)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=64)
    parser.add_argument("--bytes", type=int, default=200_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"stt_model_path": Path(folder) / "none", "agent_connect_timeout_sec": 1}
        with api_server(Path(folder), ready=False, **settings) as server:
            awaited(lambda: server.get("/health/live").status_code, "the server answers")
            anyio.run(measure, server, given.calls, given.bytes)


if __name__ == "__main__":
    main()
