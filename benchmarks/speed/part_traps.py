"""The trap set: sounds that Whisper invents text on, or loses its time on."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from benchmarks.speed.bench import LANGUAGE, Bench
from benchmarks.speed.places import AUDIO, Failed, progress
from benchmarks.speed.processes import Runner
from benchmarks.speed.score import looped, spread

PEERS = ("fw-sequential", "fw-batched")
PEER_TIMEOUT_SEC = 120.0


def traps(bench: Bench) -> dict[str, Any]:
    """Measure; the product in every round, the peers once, for comparison."""
    sounds = bench.audio.traps()
    ours = bench.product[:1]
    others = [] if bench.options.quick else [one for one in bench.all_peers if one.name in PEERS]
    rows: dict[str, Any] = {}
    with bench.running([*ours, *others]) as runners:
        for engine in [*ours, *others]:
            if engine.name not in runners:
                continue
            rounds = bench.options.rounds if engine in ours else 1
            progress(f"traps: {engine.name}, {rounds} rounds")
            try:
                found = _rows(runners[engine.name], sounds, rounds)
            except Failed as error:
                bench.skip(f"{engine.title}: traps", error)
                continue
            rows[engine.name] = {"title": engine.title, "settings": engine.told(), "sounds": found}
    return {"rows": rows}


def _rows(runner: Runner, sounds: list[dict[str, Any]], rounds: int) -> dict[str, Any]:
    # A short clip first, which is not measured.
    runner.transcribe([AUDIO / "clip_00.wav"], language=LANGUAGE)
    seconds: dict[str, list[float]] = defaultdict(list)
    texts: dict[str, set[str]] = defaultdict(set)
    for _ in range(rounds):
        for sound in sounds:
            file = AUDIO / sound["file"]
            heard = runner.transcribe([file], language=LANGUAGE, timeout=PEER_TIMEOUT_SEC)
            seconds[sound["name"]].append(heard["seconds"] / sound["seconds"])
            texts[sound["name"]].add(" ".join(heard["texts"]).strip())
    return {
        sound["name"]: {
            "seconds": sound["seconds"],
            "of_real_time": spread(seconds[sound["name"]]),
            "speech": sound["speech"],
            "text": max(texts[sound["name"]], key=len)[:500],
            "looped": any(looped(text) for text in texts[sound["name"]]),
        }
        for sound in sounds
    }
