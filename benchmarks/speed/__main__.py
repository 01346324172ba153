"""Measure the product beside its peers, in the same run, by turns.

make bench                        everything: every peer, five rounds (three quarters of an hour)
make bench BENCH="--quick"        one round of a short call, faster-whisper as the only peer
make bench BENCH="--only long"    a part: long, clips, folder, traps, korean, ready,
                                   memory, overhead, stream

The peers get virtual environments of their own under .venv-bench/, the audio and the converted
weights are made once into .cache/bench/. What cannot be run is listed with its reason.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.speed import machine
from benchmarks.speed.bench import Bench, Options
from benchmarks.speed.part_clips import clips
from benchmarks.speed.part_folder import folder_job
from benchmarks.speed.part_korean import korean_clips
from benchmarks.speed.part_long import long_call
from benchmarks.speed.part_memory import memory
from benchmarks.speed.part_overhead import overhead
from benchmarks.speed.part_ready import ready
from benchmarks.speed.part_stream import stream
from benchmarks.speed.part_traps import traps
from benchmarks.speed.places import CACHE, ROOT, Failed, progress
from benchmarks.speed.report import show

PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "long": long_call,
    "clips": clips,
    "folder": folder_job,
    "traps": traps,
    "korean": korean_clips,
    "ready": ready,
    "memory": memory,
    "overhead": overhead,
    "stream": stream,
}
QUICK_PEERS = ("fw-batched", "fw-sequential")
QUICK_ROUNDS = 1
ROUNDS = 5


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--only", type=_listed, default=tuple(PARTS), metavar="PART,PART", help="these parts")
    add(
        "--peers",
        type=_listed,
        default=(),
        metavar="PEER,PEER",
        help="these peers; a name stands for all that begin with it\n"
        "(fw-batched, fw-sequential, openvino-genai, openai-whisper, whisper.cpp;\n"
        "servers: fw-pool, fw-batched, faster-whisper-server, openvino-genai)",
    )
    add("--rounds", type=int, help=f"how often each is measured (default: {ROUNDS})")
    add(
        "--even",
        action="store_true",
        help="those that no claim is about in every round, too, not in three (50 minutes)",
    )
    add("--quick", action="store_true", help="a small run: one round, a one-minute call")
    add("--long", action="store_true", help="a thousand calls in a row, too")
    add("--json", type=Path, metavar="FILE", help="write the results there")
    add("--model", type=Path, default=ROOT / "models" / "Systran_faster-whisper-base")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an environment variable of the product; again for more",
    )
    add(
        "--source",
        type=Path,
        metavar="FOLDER",
        help="the src folder of another version of the product",
    )
    add(
        "--beside",
        type=Path,
        metavar="FOLDER",
        help="another version of the product, by turns: a checkout where `make setup` was run",
    )
    add("--arguments", type=json.loads, default={}, metavar="JSON", help="of WhisperSTT()")
    return parser


def _environment(pairs: list[str], source: Path | None) -> dict[str, str]:
    other = {"PYTHONPATH": str(source.resolve())} if source else {}
    return other | dict(pair.split("=", 1) for pair in pairs)


def main() -> int:
    """Run the parts, print the tables."""
    asked = _parser().parse_args()
    unknown = set(asked.only) - set(PARTS)
    if unknown:
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}")
    options = Options(
        model=asked.model,
        rounds=asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS),
        even=asked.even,
        quick=asked.quick,
        long=asked.long,
        peers=asked.peers or (QUICK_PEERS if asked.quick else ()),
        product_env=_environment(asked.set, asked.source),
        product_arguments=asked.arguments,
        other=asked.beside and asked.beside.resolve(),
    )
    CACHE.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bench = Bench(options)
    found: dict[str, Any] = {
        "machine": machine.facts(),
        "rounds": options.rounds,
        "quick": options.quick,
        "not_run": bench.not_run,
    }
    try:
        bench.audio.prepare()
        for name, part in PARTS.items():
            if name in asked.only:
                found[name] = _measured(name, part, bench)
                _write(asked.json or CACHE / "last.json", found)
            else:
                bench.skip(name, "not asked for")
    except KeyboardInterrupt:
        progress("stopped; the processes that were started here are ended")
        return 130
    show(found, Console(width=None if sys.stdout.isatty() else 160))
    progress(f"as JSON: {asked.json or CACHE / 'last.json'}")
    return 0


def _measured(
    name: str, part: Callable[[Bench], dict[str, Any]], bench: Bench
) -> dict[str, Any] | None:
    try:
        return part(bench)
    except Failed as error:
        bench.skip(name, error)
        return None


def _write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
