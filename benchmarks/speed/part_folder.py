"""A folder of clips as one job beside the same clips from sixteen clients, by turns."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.speed import servers
from benchmarks.speed.bench import LANGUAGE, Bench
from benchmarks.speed.load import send
from benchmarks.speed.places import AUDIO, Failed, progress
from benchmarks.speed.score import ratios, spread
from benchmarks.speed.servers import Server

CLIENTS, EACH = 16, 4
LOOK_SEC, LONGEST_SEC = 0.25, 900.0


def folder_job(bench: Bench) -> dict[str, Any]:
    """Have the same clips recognised both ways, and give the seconds of audio a second."""
    clips = bench.audio.clips()
    with tempfile.TemporaryDirectory(prefix="bench-folder-") as name:
        folder = Path(name)
        for number in range(CLIENTS * EACH):
            source = AUDIO / clips[number % len(clips)]["file"]
            shutil.copyfile(source, folder / f"{number:04}.wav")
        engine = bench.variant("product")
        roots = {"AUDIO_ROOTS": name, "RECORDINGS_RESERVE_BYTES": "0"}
        try:
            server = servers.product(bench, replace(engine, env=engine.env | roots))
        except Failed as error:
            bench.skip("folder", error)
            return {}
        try:
            return _measured(bench, server, folder, clips)
        except httpx2.HTTPError as error:
            bench.skip("folder", error)
            return {}
        finally:
            server.end()


def _measured(
    bench: Bench, server: Server, folder: Path, clips: list[dict[str, Any]]
) -> dict[str, Any]:
    send(server, clips, CLIENTS, 1)
    _job(server, folder)
    seconds: dict[str, list[float]] = {"clients": [], "job": []}
    audio_sec = 0.0
    for number in range(bench.options.rounds):
        for way in ("clients", "job") if number % 2 == 0 else ("job", "clients"):
            progress(f"folder, round {number + 1}: {way}")
            if way == "job":
                seconds[way].append(_job(server, folder))
            else:
                load = send(server, clips, CLIENTS, EACH)
                audio_sec = load.audio_sec
                seconds[way].append(load.seconds)
    return {
        "clips": CLIENTS * EACH,
        "throughput": {
            way: spread([audio_sec / one for one in taken], 2) for way, taken in seconds.items()
        },
        "ratio": ratios(seconds["clients"], seconds["job"]),
    }


def _job(server: Server, folder: Path) -> float:
    """Return the seconds from sending a job of the folder until it has ended.

    Raises:
        Failed: it has not ended well.
    """
    asked = {"folder": str(folder), "language": LANGUAGE}
    began = time.perf_counter()
    with httpx2.Client(base_url=server.base, trust_env=False, timeout=60) as http:
        answer = http.post("/jobs", data=asked)
        if answer.status_code != httpx2.codes.ACCEPTED:
            raise Failed(f"a job of a folder: {answer.text[:200]}")
        while time.perf_counter() - began < LONGEST_SEC:
            job = http.get(f"/jobs/{answer.json()['id']}").json()
            if job["counts"]["done"] == job["cases"]:
                return time.perf_counter() - began
            time.sleep(LOOK_SEC)
    raise Failed(f"a job of a folder has not ended: {job['counts']}")
