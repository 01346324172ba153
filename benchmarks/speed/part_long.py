"""The long call: two channels, monologues among short turns; product and peers take turns."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from benchmarks.speed.audio import mixed_reference, references
from benchmarks.speed.bench import LANGUAGE, Bench, keep_text
from benchmarks.speed.engines import Engine
from benchmarks.speed.places import AUDIO, Failed, progress
from benchmarks.speed.processes import Memory, Runner
from benchmarks.speed.score import looped, per_cent, ratios, spread, word_errors

SETTLE_SEC = 0.5
"""Between two engines: threads of the one before go on spinning for a moment."""


def long_call(bench: Bench) -> dict[str, Any]:
    """Measure, and give a row for each engine."""
    call = bench.audio.call(quick=bench.options.quick)
    equal = [bench.variant("product-beam1")] if bench.beam > 1 else []
    engines = [*bench.product, *equal, *bench.all_peers]
    with bench.running(engines) as runners:
        part = _Part(bench, engines, runners)
        part.warm_up()
        for number in range(bench.options.rounds):
            part.round(call, number)
        part.mixed(call)
    rows = {
        engine.name: _row(engine, part.seen[engine.name], part.peak, call)
        for engine in engines
        if len(part.seen[engine.name]) == bench.rounds_of(engine)
    }
    for name, found in part.seen_mixed.items():
        rate = per_cent(word_errors([(mixed_reference(call), found["texts"][0])]))
        rows[name]["mixed"] = {"seconds": round(found["seconds"], 2), "wer": rate}
    return {
        "seconds": call["seconds"],
        "words": sum(len(text.split()) for text in references(call)),
        "rows": rows,
        "ratios": _ratios(rows, "product"),
        "ratios_beam1": _ratios(rows, "product-beam1" if equal else "product"),
    }


@dataclass
class _Part:
    """The engines, and what came of them so far."""

    bench: Bench
    engines: list[Engine]
    runners: dict[str, Runner]
    seen: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    seen_mixed: dict[str, dict[str, Any]] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)

    def warm_up(self) -> None:
        """Warm up: let each engine transcribe the call's first minute, unmeasured."""
        for engine in self.engines:
            self._hear(engine, self.bench.audio.call(quick=True))

    def round(self, call: dict[str, Any], number: int) -> None:
        """Measure each once; in the first round memory is sampled too, four times a second."""
        for engine in rotated(self.engines, number):
            if engine.name not in self.runners or number >= self.bench.rounds_of(engine):
                continue
            progress(f"long call, round {number + 1}: {engine.name}")
            time.sleep(SETTLE_SEC)
            pid = self.runners[engine.name].process.pid
            with Memory(pid) if number == 0 else nullcontext() as memory:
                heard = self._hear(engine, call)
            if heard:
                self.seen[engine.name].append(heard)
            if memory:
                self.peak[engine.name] = round(memory.peak)

    def mixed(self, call: dict[str, Any]) -> None:
        """Let those that mix the channels do so, once."""
        for engine in self.engines:
            if not (engine.stereo or engine.beside) and engine.name in self.runners:
                progress(f"long call, channels mixed by the peer: {engine.name}")
                found = self._hear(engine, call, mixed=True)
                if found:
                    self.seen_mixed[engine.name] = found

    def _hear(
        self, engine: Engine, call: dict[str, Any], *, mixed: bool = False
    ) -> dict[str, Any] | None:
        """Return the answer; an engine that fails is noted and takes no further part."""
        whole = engine.stereo or mixed
        files = [AUDIO / file for file in ([call["file"]] if whole else call["channels"])]
        try:
            return self.runners[engine.name].transcribe(files, language=LANGUAGE)
        except KeyError:
            return None
        except Failed as error:
            self.bench.skip(f"{engine.title}: long call", error)
            del self.runners[engine.name]
            return None


def rotated(engines: list[Engine], number: int) -> list[Engine]:
    """Begin each round with another engine."""
    start = number % len(engines)
    return engines[start:] + engines[:start]


def _row(
    engine: Engine, seen: list[dict[str, Any]], peak: dict[str, float], call: dict[str, Any]
) -> dict[str, Any]:
    seconds = [one["seconds"] for one in seen]
    rates = [per_cent(word_errors(_pairs(engine, one, call))) for one in seen]
    last = "\n\n".join(seen[-1]["texts"])
    keep_text(f"long-{engine.name}", last)
    return {
        "title": engine.title,
        "settings": _told(engine, seen[-1]["facts"]),
        "facts": seen[-1]["facts"],
        "rounds": len(seen),
        "input": "two channels" if engine.stereo else "each channel by itself",
        "seconds": spread(seconds, 2),
        "rtf": round(spread(seconds)["median"] / call["seconds"], 4),
        "wer": spread(rates, 2),
        "segments": seen[-1]["segments"],
        "looped": looped(last),
        "peak_mib": peak.get(engine.name),
    }


def _told(engine: Engine, facts: dict[str, Any]) -> str:
    """Return the settings, and the encoder that came of them."""
    encoder = facts.get("encoder")
    return engine.told() + (f"; encoder {encoder}" if encoder else "")


def _pairs(engine: Engine, answer: dict[str, Any], call: dict[str, Any]) -> list[tuple[str, str]]:
    """Pair each channel's reference with its transcript."""
    heard = dict(zip(answer["channels"], answer["texts"], strict=True)) if engine.stereo else {}
    said = references(call)
    if not engine.stereo:
        heard = dict(enumerate(answer["texts"]))
    return [(text, heard.get(channel, "")) for channel, text in enumerate(said)]


def _ratios(rows: dict[str, Any], own: str) -> dict[str, Any]:
    """Tell how many times faster ``own`` is than each other row, round by round."""
    if own not in rows:
        return {}
    found = {}
    for name, row in rows.items():
        # Those that take part in fewer rounds are in the first ones.
        theirs = row["seconds"]["values"]
        if name != own:
            found[name] = ratios(theirs, rows[own]["seconds"]["values"][: len(theirs)])
    return found
