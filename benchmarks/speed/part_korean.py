"""Korean clips: the product's character error rate beside faster-whisper's, called directly.

As they are, which is a few hundred letters, so that chance decides the last two; and in
:data:`RENDERINGS` of each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import decode_audio

from benchmarks.renderings import many
from benchmarks.speed.audio import korean
from benchmarks.speed.bench import Bench, keep_text
from benchmarks.speed.places import KOREAN, Failed, progress
from benchmarks.speed.score import character_errors, looped, per_cent, spread
from tests.support.sounds import RATE, write_wav

PEER = "fw-sequential"
QUICK_CLIPS = 2
RENDERINGS = many(speeds=(0.9, 0.95, 1.05, 1.1), below_db=(14, 20, 30))


@dataclass
class _Heard:
    """What one engine made of the clips; pairs are (said, heard)."""

    as_they_are: list[tuple[str, str]] = field(default_factory=list)
    rendered: list[tuple[str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def korean_clips(bench: Bench) -> dict[str, Any]:
    """Measure each clip, and each rendering of it, once with each engine, by turns."""
    rows = korean()
    if not rows:
        bench.skip("Korean clips", "no folder shared/audio with manifest.tsv beside the project")
        return {}
    quick = bench.options.quick
    rows = rows[:QUICK_CLIPS] if quick else rows
    engines = [*bench.product[:1], *(one for one in bench.all_peers if one.name == PEER)]
    heard = {engine.name: _Heard() for engine in engines}
    with bench.running(engines) as runners:
        for index, row in enumerate(rows):
            progress(f"Korean clip {index + 1} of {len(rows)}")
            said = row["reference_alt"] or row["reference"]
            for path, rendered in _files(KOREAN / row["file"], quick=quick):
                for name, runner in list(runners.items()):
                    try:
                        found = runner.hear([path], language="ko")
                    except Failed as error:
                        bench.skip(f"{name}: Korean clips", error)
                        del runners[name], heard[name]
                        continue
                    pair = (said, " ".join(found["texts"]))
                    if rendered:
                        heard[name].rendered.append(pair)
                    else:
                        heard[name].as_they_are.append(pair)
                        heard[name].seconds.append(found["seconds"])
    for name, one in heard.items():
        keep_text(f"korean-{name}", "\n".join(text for _, text in one.as_they_are))
    return {
        "clips": len(rows),
        "renderings": 0 if quick else len(rows) * len(RENDERINGS),
        "audio_sec": round(sum(float(row["duration"]) for row in rows), 1),
        "rows": {
            engine.name: {
                "title": engine.title,
                "settings": engine.told(),
                **_summary(heard[engine.name]),
            }
            for engine in engines
            if engine.name in heard
        },
    }


def _files(clip: Path, *, quick: bool) -> Iterator[tuple[Path, bool]]:
    """Give a clip's file, and those of its renderings, which are there while they are heard."""
    yield clip, False
    if quick:
        return
    samples = decode_audio(str(clip), sampling_rate=RATE).astype(np.float64)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for render in RENDERINGS.values():
            path = Path(name) / "clip.wav"
            write_wav(path, render(samples), RATE)
            yield path, True


def _summary(heard: _Heard) -> dict[str, Any]:
    every = heard.as_they_are + heard.rendered
    return {
        "cer": per_cent(character_errors(heard.as_they_are)),
        "cer_rendered": per_cent(character_errors(heard.rendered)) if heard.rendered else None,
        "errors": [character_errors([pair])[0] for pair in every],
        "letters": character_errors(every)[1],
        "seconds_a_clip": spread(heard.seconds),
        "looped": any(looped(text) for _, text in every),
    }
