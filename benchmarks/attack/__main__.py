"""Attack a server of its own, and say what it held, what it refused and where it fell.

make attack                            everything (about five minutes on two cores)
make attack ATTACK="--only texts,llm"  a part: texts, requests, files, callers, llm, settings

It starts the real server with the real model on loopback. While an attack goes on, another process
asks ``/health/live`` twenty times a second; after each part a call has to be transcribed as before.
Exit code 1 where the server fell.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import anyio
import httpx2
from rich.console import Console
from rich.table import Table

from benchmarks.attack.callers import callers
from benchmarks.attack.files import files
from benchmarks.attack.health import watched
from benchmarks.attack.llm import llm
from benchmarks.attack.requests import requests
from benchmarks.attack.settings import settings
from benchmarks.attack.texts import texts
from benchmarks.attack.trial import Attack, Target, Trial, fell, held
from tests.support.server import DEADLINE_SEC, api_server

PARTS: Mapping[str, Attack] = {
    "texts": texts,
    "requests": requests,
    "files": files,
    "callers": callers,
    "llm": llm,
    "settings": settings,
}
CLIP = Path(__file__).resolve().parents[2] / "audio" / "sample_call.wav"
WORD = "Union Bank"
_HEALTH_SEC = 1.0
"""Longest answer of ``/health/live`` during an attack, on a machine that others use too."""

_OK = 200


async def _part(name: str, attack: Attack, target: Target, console: Console) -> list[Trial]:
    found: list[Trial] = []
    with watched(target.server.base) as longest:
        async for trial in attack(target):
            found.append(trial)
            console.print(f"{name}: {trial.name}: {trial.outcome} {trial.why}", highlight=False)
    took = f"{longest[0]:.2f} s"
    console.print(f"{name}: longest answer of /health/live: {took}", highlight=False)
    slow = took if longest[0] > _HEALTH_SEC else ""
    found.append(held("/health/live meanwhile", slow))
    found.append(await _as_before(target))
    return found


async def _as_before(target: Target) -> Trial:
    """Have a call transcribed."""
    name = "a call after it"
    try:
        answer = await target.client.post(
            "/transcribe", files={"file": ("call.wav", target.clip)}, data={"language": "en"}
        )
    except httpx2.TransportError as exc:
        return fell(name, f"{type(exc).__name__}: {exc}")
    heard = answer.status_code == _OK and WORD in answer.json()["text"]
    return held(name, "" if heard else f"HTTP {answer.status_code}: {answer.text[:300]}")


def _shown(found: Mapping[str, list[Trial]], console: Console) -> None:
    table = Table(title="What was tried, and what became of it", title_justify="left")
    for column in ("part", "tried", "held", "refused", "fell"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for name, trials in found.items():
        count = Counter(one.outcome for one in trials)
        row = (len(trials), count["held"], count["refused"], count["fell"])
        table.add_row(name, *map(str, row))
    console.print(table)
    for name, trials in found.items():
        for one in trials:
            if one.outcome == "fell":
                console.print(f"FELL  {name}: {one.name}: {one.why}", highlight=False)


async def _run(asked: list[str], folder: Path, console: Console) -> dict[str, list[Trial]]:
    recordings = folder / "recordings"
    recordings.mkdir()
    given = {"audio_roots": recordings, "agent_connect_timeout_sec": 1}
    with api_server(folder, **given) as server:
        limits = httpx2.Limits(max_connections=100)
        async with httpx2.AsyncClient(
            base_url=server.base, timeout=DEADLINE_SEC, limits=limits, trust_env=False
        ) as client:
            target = Target(server, client, recordings, CLIP.read_bytes())
            return {name: await _part(name, PARTS[name], target, console) for name in asked}


def main() -> int:
    """Run the parts; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="make attack", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,PART")
    asked = parser.parse_args().only.split(",")
    if unknown := set(asked) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    console = Console(width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        found = anyio.run(_run, asked, Path(folder), console)
    _shown(found, console)
    return int(any(one.outcome == "fell" for trials in found.values() for one in trials))


if __name__ == "__main__":
    raise SystemExit(main())
