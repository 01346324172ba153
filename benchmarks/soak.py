"""Many calls of every kind against one real server, while its processes are killed at random.

``python benchmarks/soak.py [--calls N] [--callers N] [--kill-calls N] [--seed N] [--json]``

Every answer is compared with what was really in the recording. Afterwards: memory slope,
descriptors, temporary files, defects met. Exit code 1 where an answer was not honest or something
was left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.recordings import Recording, recordings
from tests.support.server import ApiServer

_SAMPLE_EVERY = 10
_SETTLED = 0.2
"""Share of the run that is left out of the slopes: caches fill up first."""


@dataclass
class Run:
    """What was seen so far."""

    answers: Counter[str] = field(default_factory=Counter)
    lies: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    memory: list[tuple[int, float, float]] = field(default_factory=list)
    descriptors: list[tuple[int, int]] = field(default_factory=list)
    sent: int = 0
    done: int = 0
    answered: anyio.Event = field(default_factory=anyio.Event)
    """Set, and replaced by the next one, whenever a call is done."""


async def soak(
    server: ApiServer, mix: list[Recording], options: argparse.Namespace, run: Run
) -> None:
    """Send the calls; end when all are answered."""
    chance = random.Random(options.seed)
    weights = [one.weight for one in mix]
    plan = iter([chance.choices(mix, weights)[0] for _ in range(options.calls)])
    limits = httpx2.Limits(max_connections=options.callers)
    async with (
        httpx2.AsyncClient(
            base_url=server.base, trust_env=False, timeout=300, limits=limits
        ) as client,
        anyio.create_task_group() as tasks,
    ):
        if options.kill_calls:
            tasks.start_soon(_kill, server, run, chance, options.kill_calls)
        async with anyio.create_task_group() as callers:
            for _ in range(options.callers):
                callers.start_soon(_caller, client, plan, run, server)
        tasks.cancel_scope.cancel()


async def _caller(client: httpx2.AsyncClient, plan: Any, run: Run, server: ApiServer) -> None:  # noqa: ANN401
    for recording in plan:
        began = time.monotonic()
        files = {"file": (f"{recording.name}.wav", unique(recording, run.sent))}
        run.sent += 1
        try:
            answer = await client.post("/transcribe", data={"language": "en"}, files=files)
        except httpx2.HTTPError as exc:
            run.lies.append(f"{recording.name}: no answer ({type(exc).__name__}: {exc})")
            continue
        finally:
            run.done += 1
            run.answered.set()
            run.answered = anyio.Event()
        run.seconds.append(time.monotonic() - began)
        _judge(recording, answer, run)
        if run.done % _SAMPLE_EVERY == 0:
            await anyio.to_thread.run_sync(_sample, server, run)
            _show(run)


def unique(recording: Recording, number: int) -> bytes:
    """Return the recording with a chunk at its end that no other has, as no two calls are the same.

    Only so is a recording that is in hand when somebody kills the process not one that kills it.
    """
    if recording.hostile:
        return recording.content
    return recording.content + b"junk" + (8).to_bytes(4, "little") + number.to_bytes(8, "little")


def _judge(recording: Recording, answer: httpx2.Response, run: Run) -> None:
    body = answer.json()
    wrong = recording.judge(answer.status_code, body)
    if wrong:
        run.lies.append(f"{recording.name}: {wrong}")
    cause = body.get("error_type") or body.get("type", "").rpartition(":")[2]
    kind = "hostile" if recording.hostile else "usual"
    told = "recognised" if body.get("success") and body.get("text") else cause or "no speech"
    run.answers[f"{kind}: {told}"] += 1


async def _kill(server: ApiServer, run: Run, chance: random.Random, every_calls: float) -> None:
    """Kill a child now and then; one in four is stopped instead, and found by its silence.

    By calls, not by seconds: a fast machine has as many kills as a slow one.
    """
    at_call = 0.0
    while True:
        at_call += chance.uniform(0.5, 1.5) * every_calls
        while run.done < at_call:
            await run.answered.wait()
        name = chance.choice(["faster-whisper", "faster-whisper", "audio"])
        found = await anyio.to_thread.run_sync(server.component, name)
        if found["pid"]:
            number = signal.SIGSTOP if chance.random() < 0.25 else signal.SIGKILL
            os.kill(found["pid"], number)
            run.kills[f"{name} {number.name}"] += 1


def _sample(server: ApiServer, run: Run) -> None:
    parent = psutil.Process(server.process.pid)
    theirs = 0.0
    for child in parent.children(recursive=True):
        try:
            theirs += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    run.memory.append((run.done, parent.memory_info().rss / 2**20, theirs / 2**20))
    run.descriptors.append((run.done, parent.num_fds()))


def _show(run: Run) -> None:
    if sys.stderr.isatty() or run.done % 100 == 0:
        sys.stderr.write(
            f"{run.done} calls, {sum(run.kills.values())} kills, {len(run.lies)} lies\n"
        )


def slope(points: list[tuple[int, float]]) -> float:
    """Return the growth over a thousand calls, of the settled part of the run."""
    settled = points[int(len(points) * _SETTLED) :]
    if len(settled) < 3:
        return 0.0
    calls, values = np.array(settled, float).T
    return float(np.polyfit(calls, values, 1)[0]) * 1000


def report(run: Run, server: ApiServer, took: float) -> dict[str, Any]:
    """Sum up."""
    seconds = np.array(run.seconds or [0.0])
    parent = [(calls, mine) for calls, mine, _ in run.memory]
    return {
        "calls": run.done,
        "answered": len(run.seconds),
        "dishonest": run.lies,
        "kills": dict(run.kills),
        "answers": dict(sorted(run.answers.items())),
        "took_sec": round(took, 1),
        "median_sec": round(float(np.median(seconds)), 2),
        "p99_sec": round(float(np.quantile(seconds, 0.99)), 2),
        "longest_sec": round(float(seconds.max()), 2),
        "server_mb": [round(parent[0][1], 1), round(parent[-1][1], 1)] if parent else [],
        "server_mb_a_thousand_calls": round(slope(parent), 1),
        "children_mb_most": round(max((theirs for *_, theirs in run.memory), default=0.0), 1),
        "descriptors": [run.descriptors[0][1], run.descriptors[-1][1]] if run.descriptors else [],
        "temporary_files": len(server.leftovers()),
        "defects": server.metric("stt_engine_unexpected_failures_total"),
    }


def main() -> int:
    """Run, print, and give the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument(
        "--kill-calls", type=float, default=30.0, help="calls between kills, mean; 0: kill nothing"
    )
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        mix = recordings(folder)
        server = ApiServer(folder, stt_stall_timeout_sec=5, ready_interval_sec=5)
        try:
            server.wait_ready()
            began = time.monotonic()
            run = Run()
            with suppress(KeyboardInterrupt):  # results so far are reported all the same
                anyio.run(soak, server, mix, options, run)
            found = report(run, server, time.monotonic() - began)
        finally:
            server.kill()
    write = sys.stdout.write
    if options.json:
        write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    else:
        for key, value in found.items():
            write(f"{key:<28}{value}\n")
    left = found["temporary_files"] or found["defects"]
    return 1 if found["dishonest"] or left or found["answered"] != options.calls else 0


if __name__ == "__main__":
    sys.exit(main())
