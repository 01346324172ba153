"""What a stream of the answer costs beside an answer at once, and when its first words come."""

from __future__ import annotations

from typing import Any

import httpx2

from benchmarks.speed import servers
from benchmarks.speed.bench import Bench
from benchmarks.speed.places import Failed, progress
from benchmarks.streaming import measure

MINUTES, QUICK_MINUTES = 10.0, 1.0


def stream(bench: Bench) -> dict[str, Any]:
    """Send the same call both ways, by turns, then one of an hour for its first words."""
    try:
        server = servers.product(bench, bench.variant("product"))
    except Failed as error:
        bench.skip("stream", error)
        return {}
    minutes = QUICK_MINUTES if bench.options.quick else MINUTES
    progress(f"stream: {minutes:g} minutes, {bench.options.rounds} rounds, and an hour's beginning")
    try:
        return measure(server.base, server.pid, minutes, bench.options.rounds, hours=1.0)
    except httpx2.HTTPError as error:
        bench.skip("stream", error)
        return {}
    finally:
        server.end()
