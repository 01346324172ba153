"""More calls than the machine can take: each is served within its time or refused at once.

``python benchmarks/overload.py [--times N] [--seconds S] [--wait-sec S] [--health-ms MS] [--json]``

First the machine's own rate is measured; then calls arrive at ``--times`` that rate, whether the
earlier ones are answered or not, while /health is polled twenty times a second. Exit code 1 where a
call was neither served nor refused with Retry-After, or where /health's p99 was above its bound.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.recordings import CLIP
from tests.support.server import ApiServer

_HEALTH_EVERY_SEC = 0.05
_RATE_CALLS = 12


@dataclass
class Run:
    """What was seen."""

    served: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    retry_after: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    health: list[float] = field(default_factory=list)


async def overload(server: ApiServer, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the rate, send the flood, sum up."""
    clip = CLIP.read_bytes()
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(
        base_url=server.base, trust_env=False, timeout=900, limits=limits
    ) as client:
        rate = await _rate(client, clip)
        run = Run()
        async with anyio.create_task_group() as watch:
            watch.start_soon(_watch, client, run)
            async with anyio.create_task_group() as tasks:
                ends = time.monotonic() + options.seconds
                while time.monotonic() < ends:
                    tasks.start_soon(_call, client, clip, run)
                    await anyio.sleep(1 / (rate * options.times))
            watch.cancel_scope.cancel()
    return _report(run, rate, options)


async def _rate(client: httpx2.AsyncClient, clip: bytes) -> float:
    """Return the calls a second that are served, three of them at a time."""
    run = Run()
    began = time.monotonic()
    few = anyio.CapacityLimiter(3)

    async def one() -> None:
        async with few:
            await _call(client, clip, run)

    async with anyio.create_task_group() as tasks:
        for _ in range(_RATE_CALLS):
            tasks.start_soon(one)
    if run.wrong or run.refused:
        raise SystemExit(f"the server cannot even serve {_RATE_CALLS} calls: {run.wrong}")
    return _RATE_CALLS / (time.monotonic() - began)


async def _call(client: httpx2.AsyncClient, clip: bytes, run: Run) -> None:
    began = time.monotonic()
    files = {"file": ("clip.wav", clip)}
    try:
        answer = await client.post("/transcribe", data={"language": "en"}, files=files)
    except httpx2.HTTPError as exc:
        run.wrong.append(f"no answer ({type(exc).__name__})")
        return
    took = time.monotonic() - began
    if answer.status_code == 200 and answer.json()["success"]:
        run.served.append(took)
    elif answer.status_code == 429 and "retry-after" in answer.headers:
        run.refused.append(took)
        run.retry_after.append(int(answer.headers["retry-after"]))
    else:
        run.wrong.append(f"HTTP {answer.status_code}: {answer.text[:200]}")


async def _watch(client: httpx2.AsyncClient, run: Run) -> None:
    while True:
        began = time.monotonic()
        await client.get("/health")
        run.health.append(time.monotonic() - began)
        await anyio.sleep(_HEALTH_EVERY_SEC)


def _report(run: Run, rate: float, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "own_rate_a_second": round(rate, 2),
        "sent": len(run.served) + len(run.refused) + len(run.wrong),
        "times": options.times,
        "served": len(run.served),
        "served_sec_p50_max": _quantiles(run.served, 0.5, 1.0),
        "refused": len(run.refused),
        "refused_sec_p50_p99_max": _quantiles(run.refused, 0.5, 0.99, 1.0),
        "retry_after_sec": [min(run.retry_after), max(run.retry_after)] if run.retry_after else [],
        "neither": run.wrong,
        "health_sec_p50_p99_max": _quantiles(run.health, 0.5, 0.99, 1.0),
    }


def _quantiles(seconds: list[float], *shares: float) -> list[float]:
    return [round(float(np.quantile(seconds, share)), 3) for share in shares] if seconds else []


def main() -> int:
    """Run, print, and give the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--times", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--wait-sec", type=float, default=600.0, help="QUEUE_MAX_WAIT_SEC")
    parser.add_argument("--health-ms", type=float, default=100.0, help="bound on its p99")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="overload-") as name:
        server = ApiServer(Path(name), queue_max_wait_sec=options.wait_sec)
        try:
            server.wait_ready()
            found = anyio.run(overload, server, options)
        finally:
            server.kill()
    write = sys.stdout.write
    if options.json:
        write(json.dumps(found, indent=1) + "\n")
    else:
        for key, value in found.items():
            write(f"{key:<28}{value}\n")
    late = found["health_sec_p50_p99_max"][1] > options.health_ms / 1000
    return 1 if found["neither"] or late else 0


if __name__ == "__main__":
    sys.exit(main())
