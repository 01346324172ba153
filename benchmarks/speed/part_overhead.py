"""What the product's server adds to the engine's own time, and what it keeps of a long upload."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.speed import servers
from benchmarks.speed.audio import repeated
from benchmarks.speed.bench import LANGUAGE, Bench
from benchmarks.speed.places import AUDIO, Failed, progress
from benchmarks.speed.score import quantile, spread
from benchmarks.speed.servers import Server

SILENT_HOURS = 2
_MIB = 1 << 20


def overhead(bench: Bench) -> dict[str, Any]:
    """Send a clip, the long call, and two silent hours, which are all upload and answer."""
    try:
        server = servers.product(bench, bench.variant("product"))
    except Failed as error:
        bench.skip("overhead", error)
        return {}
    clip = AUDIO / bench.audio.clips()[0]["file"]
    call = AUDIO / bench.audio.call(quick=bench.options.quick)["file"]
    sounds = {"one clip": clip, "long call": call, "two silent hours": _silence(call)}
    try:
        with httpx2.Client(base_url=server.base, trust_env=False, timeout=3600) as http:
            for sound in (clip, call):  # the first ones, which are not measured
                _ask(http, server, sound)
            rows = {
                name: _row(http, server, sound, bench.options.rounds)
                for name, sound in sounds.items()
            }
    except httpx2.HTTPError as error:
        bench.skip("overhead", error)
        return {}
    finally:
        server.end()
    return {"rows": rows}


def _silence(call: Path) -> Path:
    """Return a two-channel file of mu-law silence, as long as its name says."""
    target = AUDIO / f"silent_{SILENT_HOURS}_hours.wav"
    if not target.exists():
        raw = call.read_bytes()
        start = raw.index(b"data") + 8
        frames = bytes([0xFF]) * (2 * 8_000 * 600)
        head = raw[: start - 4] + len(frames).to_bytes(4, "little")
        target.write_bytes(repeated(head + frames, SILENT_HOURS * 6))
    return target


def _row(http: httpx2.Client, server: Server, sound: Path, rounds: int) -> dict[str, Any]:
    progress(f"overhead: {sound.name}, {rounds} rounds")
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    added, engine, answers = [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        answer = _ask(http, server, sound)
        took = time.perf_counter() - began
        engine.append(float(answer.json()["timings"]["total_sec"]))
        added.append(took - engine[-1])
        answers.append(len(answer.content) / 1024)
    return {
        "upload_mib": round(sound.stat().st_size / _MIB, 1),
        "answer_kib": round(quantile(answers, 0.5), 1),
        "engine_sec": spread(engine),
        "added_sec": spread(added),
        "server_growth_mib": round((process.memory_info().rss - before) / _MIB, 1),
    }


def _ask(http: httpx2.Client, server: Server, sound: Path) -> httpx2.Response:
    with sound.open("rb") as file:
        answer = http.post(server.path, data={"language": LANGUAGE}, files={"file": file})
    answer.raise_for_status()
    return answer
