"""Damage recordings of known tones at random, and look for claims of more than was decoded.

For each container that FFmpeg can write here, ``--count`` damages (cut, overwrite, splice, shuffle,
spoil, drop) of a recording whose every second is a tone of its own. No model is needed: 40 ms
are heard where a tone is among the decoded samples. What is claimed is the decoder's share
of decoded sound, less the gaps that it filled with silence. ``over`` counts claims that are more
than 10 points above what is there.

    python benchmarks/sound_fuzz.py --count 200 --seconds 600
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stt_engine.errors import AudioRejected
from tests.support.tones import MP3_BARE, PACKED, PLAIN, RATE, Kind, decoded, hertz, write

TOLERATED = 0.10
SECONDS = 20
WINDOW = 640
"""Samples."""


def _range(chance: random.Random, size: int, most: float) -> tuple[int, int]:
    length = int(size * chance.uniform(0.005, most))
    start = chance.randrange(0, max(1, size - length))
    return start, start + length


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: int(len(data) * chance.uniform(0.3, 1.0))]


def overwrite(data: bytes, chance: random.Random) -> bytes:
    start, end = _range(chance, len(data), 0.5)
    new = chance.randbytes(end - start) if chance.random() < 0.5 else bytes(end - start)
    return data[:start] + new + data[end:]


def splice(data: bytes, chance: random.Random) -> bytes:
    start, end = _range(chance, len(data), 0.4)
    return data[:start] + data[end:]


def shuffle(data: bytes, chance: random.Random) -> bytes:
    start, end = _range(chance, len(data), 0.5)
    middle = (start + end) // 2
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


def spoil(data: bytes, chance: random.Random) -> bytes:
    new = bytearray(data)
    for _ in range(chance.randrange(1, max(2, len(data) // 50))):
        new[chance.randrange(len(new))] = chance.randrange(256)
    return bytes(new)


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": cut,
    "overwrite": overwrite,
    "splice": splice,
    "shuffle": shuffle,
    "spoil": spoil,
}


@dataclass
class Row:
    """What came of one container's damages."""

    kind: str
    tried: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    crashed: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    claims: list[float] = field(default_factory=list)
    truths: list[float] = field(default_factory=list)


def claimed(found: SimpleNamespace) -> float:
    """Return the share of the recording that the ledger calls heard; gaps are not."""
    total = max(found.duration, found.ledger["declared_sec"] or 0.0)
    share = found.ledger["heard_share"] or 0.0  # unknown is no claim
    return max(0.0, share * found.duration - found.ledger["gap_sec"]) / total


def present(found: SimpleNamespace) -> float:
    """Return the share of the length that the ledger knows of that holds a tone."""
    samples = np.fromfile(found.files[0], "<i2") / 32_768
    windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    power = np.abs(np.fft.rfft(windows * np.hanning(WINDOW))) ** 2
    peaks = power.argmax(1)
    rows, last = np.arange(len(peaks)), power.shape[1] - 1
    around = sum(power[rows, np.clip(peaks + n, 0, last)] for n in range(-3, 4))
    pitch = peaks * RATE / WINDOW
    tone = (around > 0.6 * power.sum(1)) & (pitch > hertz(-1)) & (pitch < hertz(SECONDS + 1))
    loud = np.sqrt((windows**2).mean(1)) > 0.05
    total = max(found.duration, found.ledger["declared_sec"] or 0.0)
    return float((tone & loud).sum() * WINDOW / RATE / total)


def one(row: Row, path: Path, name: str) -> None:
    row.tried += 1
    try:
        found = decoded(path)
    except AudioRejected as exc:
        row.refused[type(exc).__name__] += 1
        return
    except Exception as exc:  # noqa: BLE001 - what is looked for
        row.crashed.append(f"{name}: {exc!r}")
        return
    claim, truth = claimed(found), present(found)
    row.claims.append(claim)
    row.truths.append(truth)
    if claim > truth + TOLERATED:
        row.over.append(f"{name}: {claim:.2f} of {truth:.2f}, whole={found.ledger['whole']}")


def run(kind: Kind, count: int, deadline: float, folder: Path) -> Row:
    name = f"{kind}{'' if kind is not MP3_BARE else ' bare'}"
    row, chance = Row(name), random.Random(name)
    whole = write(folder / "whole", kind, list(range(SECONDS))).read_bytes()
    for number in range(count):
        damage = chance.choice([*DAMAGES, "drop"])
        path = folder / "damaged"
        if damage == "drop":
            write(path, kind, list(range(SECONDS)), drop=chance.uniform(0.05, 0.5), seed=number)
        else:
            path.write_bytes(DAMAGES[damage](whole, chance))
        one(row, path, f"{number} {damage}")
        if time.monotonic() > deadline:
            break
    return row


def table(rows: list[Row]) -> str:
    lines = ["| container | tried | refused | heard (mean) | claimed (mean) | over | crashed |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        means = [sum(one) / len(one) if one else 0.0 for one in (row.truths, row.claims)]
        refused = sum(row.refused.values())
        lines.append(
            f"| {row.kind} | {row.tried} | {refused} | {means[0]:.2f} | {means[1]:.2f} "
            f"| {len(row.over)} | {len(row.crashed)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="damages of each container")
    parser.add_argument("--seconds", type=float, default=300.0, help="stop after so long")
    parser.add_argument("--only", nargs="*", default=[], help="containers by name")
    parser.add_argument("--plain", action="store_true", help="containers of bare samples too")
    asked = parser.parse_args()
    kinds = [*PACKED, *(PLAIN if asked.plain else ())]
    kinds = [one for one in kinds if not asked.only or str(one) in asked.only]
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(kinds):
            share = began + asked.seconds * (number + 1) / len(kinds)
            rows.append(run(kind, asked.count, share, Path(folder)))
            for line in (*rows[-1].crashed, *rows[-1].over):
                print(f"{rows[-1].kind}: {line}", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
