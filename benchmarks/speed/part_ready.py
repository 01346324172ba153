"""How soon the product's server is ready: from the start of the process to a recognised clip."""

from __future__ import annotations

from typing import Any

from benchmarks.speed import servers
from benchmarks.speed.bench import Bench
from benchmarks.speed.places import Failed, progress
from benchmarks.speed.score import spread


def ready(bench: Bench) -> dict[str, Any]:
    """Start it again and again; the first start warms the disk cache and is not counted."""
    seconds = []
    for number in range(bench.options.rounds + 1):
        progress(f"start {number} of {bench.options.rounds}")
        try:
            server = servers.product(bench, bench.variant("product"))
        except Failed as error:
            bench.skip("ready", error)
            return {}
        server.end()
        if number:
            seconds.append(server.ready_sec)
    return {"seconds": spread(seconds, 2)}
