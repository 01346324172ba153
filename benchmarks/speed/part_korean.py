"""Korean clips: the product's character error rate beside faster-whisper's, called directly."""

from __future__ import annotations

from typing import Any

from benchmarks.speed.audio import korean
from benchmarks.speed.bench import Bench, keep_text
from benchmarks.speed.places import KOREAN, Failed, progress
from benchmarks.speed.score import character_errors, looped, per_cent, spread

PEER = "fw-sequential"
QUICK_CLIPS = 2


def korean_clips(bench: Bench) -> dict[str, Any]:
    """Measure each clip once with each engine, by turns."""
    rows = korean()
    if not rows:
        bench.skip("Korean clips", "no folder shared/audio with manifest.tsv beside the project")
        return {}
    rows = rows[:QUICK_CLIPS] if bench.options.quick else rows
    engines = [*bench.product[:1], *(one for one in bench.all_peers if one.name == PEER)]
    pairs: dict[str, list[tuple[str, str]]] = {engine.name: [] for engine in engines}
    seconds: dict[str, list[float]] = {engine.name: [] for engine in engines}
    with bench.running(engines) as runners:
        for index, row in enumerate(rows):
            progress(f"Korean clip {index + 1} of {len(rows)}")
            for name, runner in list(runners.items()):
                try:
                    heard = runner.hear([KOREAN / row["file"]], language="ko")
                except Failed as error:
                    bench.skip(f"{name}: Korean clips", error)
                    del runners[name]
                    continue
                said = row["reference_alt"] or row["reference"]
                pairs[name].append((said, " ".join(heard["texts"])))
                seconds[name].append(heard["seconds"])
    found = {}
    for engine in engines:
        if len(pairs[engine.name]) == len(rows):
            keep_text(f"korean-{engine.name}", "\n".join(text for _, text in pairs[engine.name]))
            found[engine.name] = {
                "title": engine.title,
                "settings": engine.told(),
                "cer": per_cent(character_errors(pairs[engine.name])),
                "seconds_a_clip": spread(seconds[engine.name]),
                "looped": any(looped(text) for _, text in pairs[engine.name]),
            }
    audio_sec = round(sum(float(row["duration"]) for row in rows), 1)
    return {"clips": len(rows), "audio_sec": audio_sec, "rows": found}
