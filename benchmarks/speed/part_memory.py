"""Memory: a two-hour call, and (with ``--long``) a thousand calls in a row."""

from __future__ import annotations

from typing import Any

from benchmarks.speed import servers
from benchmarks.speed.bench import LANGUAGE, Bench
from benchmarks.speed.load import send
from benchmarks.speed.places import Failed, progress
from benchmarks.speed.processes import MEMORY, Memory, tree_mib

HOURS = 2.0
CALLS = 1_000
CLIENTS = 4
STEP = 100


def memory(bench: Bench) -> dict[str, Any]:
    """Measure the whole process tree of the product."""
    found: dict[str, Any] = {"measured_as": f"{MEMORY} of the process tree"}
    if bench.options.quick:
        bench.skip("memory: two-hour call", "not part of --quick")
    else:
        found["two_hours"] = _two_hours(bench)
    if bench.options.long:
        found["many_calls"] = _many_calls(bench)
    else:
        bench.skip(f"memory: {CALLS:,} calls in a row", "only with --long")
    return found


def _two_hours(bench: Bench) -> dict[str, Any] | None:
    path, seconds = bench.audio.long_call(HOURS)
    with bench.running(bench.product[:1]) as runners:
        for runner in runners.values():
            progress(f"memory: a call of {HOURS:g} hours")
            try:
                with Memory(runner.process.pid, 1.0) as memory:
                    heard = runner.transcribe([path], language=LANGUAGE, timeout=3600)
            except Failed as error:
                bench.skip("memory: two-hour call", error)
                return None
            return {
                "audio_sec": seconds,
                "seconds": round(heard["seconds"], 1),
                "rtf": round(heard["seconds"] / seconds, 4),
                "words": sum(len(text.split()) for text in heard["texts"]),
                "peak_mib": round(memory.peak),
            }
    return None


def _many_calls(bench: Bench) -> dict[str, Any] | None:
    """Look at the memory after every hundred calls, when the server is idle."""
    try:
        server = servers.product(bench, bench.variant("product"))
    except Failed as error:
        bench.skip(f"memory: {CALLS:,} calls in a row", error)
        return None
    told = bench.audio.clips()
    after, errors = [], 0
    try:
        for number in range(0, CALLS, STEP):
            progress(f"memory: calls {number + 1} to {number + STEP} of {CALLS}")
            errors += len(send(server, told, CLIENTS, STEP // CLIENTS).errors)
            after.append(round(tree_mib(server.pid), 1))
    finally:
        server.end()
    return {
        "calls": CALLS,
        "errors": errors,
        "mib_after_each_hundred": after,
        "growth_after_first_hundred_mib": round(after[-1] - after[0], 1),
    }
