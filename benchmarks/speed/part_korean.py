"""Korean clips: the product's character error rate beside faster-whisper's, called directly.

As they are, which is a few hundred letters, so that chance decides the last two; and with
:data:`RENDERINGS` of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from benchmarks.renderings import files, many
from benchmarks.speed.audio import korean
from benchmarks.speed.bench import Bench, keep_text
from benchmarks.speed.places import KOREAN, Failed, progress
from benchmarks.speed.score import character_errors, looped, per_cent, spread

PEER = "fw-sequential"
QUICK_CLIPS = 2
RENDERINGS = many(speeds=(0.9, 0.95, 1.05, 1.1), below_db=(14, 20, 30))


def korean_clips(bench: Bench) -> dict[str, Any]:
    """Measure each clip, and each rendering of it, once with each engine, by turns."""
    rows = korean()
    if not rows:
        bench.skip("Korean clips", "no folder shared/audio with manifest.tsv beside the project")
        return {}
    rows, renders = (rows[:QUICK_CLIPS], []) if bench.options.quick else (rows, RENDERINGS)
    engines = [*bench.product[:1], *(one for one in bench.all_peers if one.name == PEER)]
    pairs: dict[str, list[tuple[str, str]]] = {engine.name: [] for engine in engines}
    seconds: dict[str, list[float]] = {engine.name: [] for engine in engines}
    with bench.running(engines) as runners:
        for index, row in enumerate(rows):
            progress(f"Korean clip {index + 1} of {len(rows)}")
            clip = KOREAN / row["file"]
            for path in chain([clip], files(clip, renders)):
                for name, runner in list(runners.items()):
                    try:
                        heard = runner.transcribe([path], language="ko")
                    except Failed as error:
                        bench.skip(f"{name}: Korean clips", error)
                        del runners[name], pairs[name]
                        continue
                    said = row["reference_alt"] or row["reference"]
                    pairs[name].append((said, " ".join(heard["texts"])))
                    seconds[name].append(heard["seconds"])
    each = 1 + len(renders)
    for name, found in pairs.items():
        keep_text(f"korean-{name}", "\n".join(text for _, text in found[::each]))
    return {
        "clips": len(rows),
        "renderings": len(rows) * len(renders),
        "audio_sec": round(sum(float(row["duration"]) for row in rows), 1),
        "rows": {
            engine.name: {
                "title": engine.title,
                "settings": engine.told(),
                **_summary(pairs[engine.name], each),
                "seconds_a_clip": spread(seconds[engine.name][::each]),
            }
            for engine in engines
            if engine.name in pairs
        },
    }


def _summary(pairs: Sequence[tuple[str, str]], each: int) -> dict[str, Any]:
    """Sum up the transcripts; the first of every ``each`` in a row is the clip as it is."""
    return {
        "cer": per_cent(character_errors(pairs[::each])),
        "cer_of_all": per_cent(character_errors(pairs)),
        "errors": [character_errors([pair])[0] for pair in pairs],
        "letters": character_errors(pairs)[1],
        "looped": any(looped(text) for _, text in pairs),
    }
