"""Clients that send clips at the same time, and a watch on /health meanwhile."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2

from benchmarks.speed.bench import LANGUAGE
from benchmarks.speed.places import AUDIO
from benchmarks.speed.servers import Server

HEALTH_EVERY_SEC = 0.05
TIMEOUT_SEC = 300.0


@dataclass
class Load:
    """Results of one period of load; ``texts`` are (reference, transcript)."""

    seconds: float = 0.0
    audio_sec: float = 0.0
    latencies: list[float] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def send(server: Server, clips: list[dict[str, Any]], clients: int, each: int) -> Load:
    """Let ``clients`` clients send ``each`` clips one after the other, all at the same time."""
    load = Load()
    contents = [(AUDIO / clip["file"]).read_bytes() for clip in clips]

    async def client(http: httpx2.AsyncClient, number: int) -> None:
        for turn in range(each):
            index = (number * each + turn) % len(clips)
            began = time.perf_counter()
            text = await _ask(http, server, contents[index], load)
            load.latencies.append(time.perf_counter() - began)
            load.audio_sec += clips[index]["seconds"]
            load.texts.append((clips[index]["text"], text))

    async def everybody() -> None:
        limits = httpx2.Limits(max_connections=None)
        async with (
            httpx2.AsyncClient(
                base_url=server.base, trust_env=False, timeout=TIMEOUT_SEC, limits=limits
            ) as http,
            _watched(server, load),
            anyio.create_task_group() as tasks,
        ):
            for number in range(clients):
                tasks.start_soon(client, http, number)

    began = time.perf_counter()
    anyio.run(everybody)
    load.seconds = time.perf_counter() - began
    return load


async def _ask(http: httpx2.AsyncClient, server: Server, clip: bytes, load: Load) -> str:
    form = {"language": LANGUAGE} | server.form
    try:
        answer = await http.post(server.path, data=form, files={"file": ("clip.wav", clip)})
    except httpx2.HTTPError as error:
        load.errors.append(type(error).__name__)
        return ""
    if answer.status_code != 200:
        load.errors.append(f"HTTP {answer.status_code}: {answer.text[:200]}")
        return ""
    return str(answer.json()["text"])


@asynccontextmanager
async def _watched(server: Server, load: Load) -> AsyncIterator[None]:
    """Ask /health twenty times a second, over a connection of its own."""

    async def watch(http: httpx2.AsyncClient) -> None:
        while True:
            began = time.perf_counter()
            await http.get("/health")
            load.health.append(time.perf_counter() - began)
            await anyio.sleep(HEALTH_EVERY_SEC)

    async with (
        httpx2.AsyncClient(base_url=server.base, trust_env=False, timeout=TIMEOUT_SEC) as http,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(watch, http)
        yield
        tasks.cancel_scope.cancel()
