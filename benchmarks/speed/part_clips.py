"""Short clips over HTTP: one client and many, product and peer servers by turns."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from benchmarks.speed import servers
from benchmarks.speed.bench import Bench
from benchmarks.speed.load import Load, send
from benchmarks.speed.places import Failed, progress
from benchmarks.speed.processes import Memory
from benchmarks.speed.score import per_cent, quantile, ratios, spread, word_errors
from benchmarks.speed.servers import Server

SETTLE_SEC = 0.5
CLIPS_EACH = {1: 6, 4: 3, 8: 2, 16: 2}
"""Clips of each client, by the number of clients."""

EVERY_ROUND = (1, 16)
"""The levels that claims are about; the others are measured in the first round only."""

MIXED_UP = 0.5
"""A clip with more wrong words than that has somebody else's text."""

SPEACHES = (
    "not on PyPI (there is only speaches-cli, a client of it), and it cannot be installed from a "
    "repository here"
)


def clips(bench: Bench) -> dict[str, Any]:
    """Measure, and give rows by server and number of clients."""
    quick = bench.options.quick
    levels = (1, 4) if quick else tuple(CLIPS_EACH)
    told = bench.audio.clips()
    bench.skip("speaches", SPEACHES)
    part = _Part()
    with _running(bench) as running:
        for server in running:
            part.add(server, 0, send(server, told, 1, 2))
        for number in range(bench.options.rounds):
            for level in levels if number == 0 else EVERY_ROUND:
                for server in running[number % len(running) :] + running[: number % len(running)]:
                    progress(f"clips, round {number + 1}, {level} clients: {server.name}")
                    time.sleep(SETTLE_SEC)
                    watched = level == levels[-1]
                    with Memory(server.pid, 0.5) if watched else nullcontext() as memory:
                        load = send(server, told, level, CLIPS_EACH[level])
                    part.add(server, level, load)
                    if memory:  # it takes some rounds of load to get there
                        highest = max(part.peak.get(server.name, 0), memory.peak)
                        part.peak[server.name] = round(highest)
    rows = {server.name: part.row(server) for server in running}
    return {
        "beam": bench.beam,
        "levels": levels,
        "clip_seconds": spread([clip["seconds"] for clip in told], 2) | {"values": len(told)},
        "rows": rows,
        "ratios": _ratios(rows, levels),
    }


@dataclass
class _Part:
    seen: dict[tuple[str, int], list[Load]] = field(default_factory=lambda: defaultdict(list))
    peak: dict[str, float] = field(default_factory=dict)

    def add(self, server: Server, level: int, load: Load) -> None:
        self.seen[server.name, level].append(load)

    def row(self, server: Server) -> dict[str, Any]:
        levels = {
            str(level): _summary(loads)
            for (name, level), loads in self.seen.items()
            if name == server.name and level
        }
        return {
            "title": server.title,
            "settings": server.settings,
            "ready_sec": round(server.ready_sec, 2),
            "peak_mib": self.peak.get(server.name),
            "levels": levels,
        }


@contextmanager
def _running(bench: Bench) -> Iterator[list[Server]]:
    """Have every server run, idle while another works; one that cannot is noted."""
    found: list[Server] = []
    starts = [lambda engine=one: servers.product(bench, engine) for one in bench.product]
    starts += [
        lambda peer=peer: servers.start(bench, peer)
        for peer in servers.peer_servers()
        if bench.wanted(peer.name)
    ]
    try:
        for start in starts:
            try:
                found.append(start())
                progress(f"server ready: {found[-1].name}")
            except Failed as error:
                bench.skip("a server", error)
        yield found
    finally:
        for server in found:
            server.end()


def _summary(loads: list[Load]) -> dict[str, Any]:
    """Sum up the rounds at one level; the latencies are those of all rounds."""
    latencies = [one for load in loads for one in load.latencies]
    texts = [pair for load in loads for pair in load.texts]
    health = [one for load in loads for one in load.health]
    wrong = [word_errors([pair]) for pair in texts]
    return {
        "throughput": spread([load.audio_sec / load.seconds for load in loads], 2),
        "p50": spread([quantile(load.latencies, 0.5) for load in loads]),
        "p95": spread([quantile(load.latencies, 0.95) for load in loads]),
        "slowest": round(max(latencies), 3),
        "clips": len(latencies),
        "wer": per_cent(word_errors(texts)),
        "mixed_up": sum(errors > MIXED_UP * said for errors, said in wrong),
        "errors": [error for load in loads for error in load.errors],
        "health_p99": round(quantile(health, 0.99), 4) if health else None,
        "health_asked": len(health),
    }


def _ratios(rows: dict[str, Any], levels: tuple[int, ...]) -> dict[str, Any]:
    """Tell how the product compares with each other server: above 1 is better, everywhere."""
    ours = rows.get("product")
    if not ours:
        return {}
    found: dict[str, Any] = {}
    for name, row in rows.items():
        if name == "product":
            continue
        found[name] = {
            str(level): {
                "throughput": _over(ours, row, level, "throughput"),
                "p50": _over(row, ours, level, "p50"),
                "p95": _over(row, ours, level, "p95"),
            }
            for level in levels
        }
    return found


def _over(top: dict[str, Any], bottom: dict[str, Any], level: int, what: str) -> dict[str, Any]:
    level_of = [row["levels"][str(level)][what]["values"] for row in (top, bottom)]
    return ratios(*level_of)
