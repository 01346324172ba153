"""The product's performance claims, and whether a run's numbers meet them: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.speed.score import ratios, worse_by

Results = dict[str, Any]

WORDLESS_TEXT = "no text on noise, music, silence, ringing"
FOLDER = "a folder as one job: throughput beside that of 16 clients"
BF16 = "amx_bf16"
"""The only CPU unit on which the product computes in bfloat16."""
NAMED = ("fw-batched", "fw-batched-plain", "fw-sequential", "openvino-genai")
"""The peers whose words the product may not fall behind."""


@dataclass(frozen=True)
class Claim:
    """``kept`` is None where it was not measured."""

    what: str
    wanted: str
    measured: str = "not run"
    kept: bool | None = None


def claims(found: Results) -> list[Claim]:
    """Judge everything that was measured."""
    return [
        *_long(found.get("long") or {}),
        *_clips(found.get("clips") or {}, (found.get("machine") or {}).get("features") or ()),
        *_traps(found.get("traps") or {}),
        *_others(found),
    ]


def at_least(what: str, wanted: float, spread: Results | None, note: str = "") -> Claim:
    """Claim that a ratio's median is at least that."""
    goal = f"≥ {wanted:g} ×"
    if not spread:
        return Claim(what, goal)
    told = f"{spread['median']:.2f} × ({spread['min']:.2f} to {spread['max']:.2f}){note}"
    return Claim(what, goal, told, spread["median"] >= wanted)


def at_most(what: str, wanted: float, value: float | None, unit: str) -> Claim:
    """Claim that a value is at most that."""
    goal = f"≤ {wanted:g} {unit}"
    if value is None:
        return Claim(what, goal)
    return Claim(what, goal, f"{value:g} {unit}", value <= wanted)


def _long(part: Results) -> Iterator[Claim]:
    default, equal, rows = (part.get(key, {}) for key in ("ratios", "ratios_beam1", "rows"))
    yield at_least(
        "long call: faster-whisper batched, b8, both with timestamps, both beam 1",
        2.5,
        equal.get("fw-batched"),
    )
    yield at_least(
        "long call: faster-whisper's defaults (sequential, beam 5); the product as it is",
        8,
        default.get("fw-sequential"),
    )
    yield at_least(
        "long call: faster-whisper's defaults (sequential, beam 5); the product with beam 1",
        8,
        equal.get("fw-sequential"),
    )
    yield at_least("long call: openvino-genai, both beam 1", 2, equal.get("openvino-genai"))
    yield at_least(
        "long call: faster-whisper batched, b8, beam 1; the product without OpenVINO, as it is",
        1.4,
        _over(rows.get("fw-batched"), without_openvino(rows), "seconds"),
    )
    for name, told in (("product", "as it is"), ("product-beam1", "beam 1")):
        yield _worse(rows, name, f"long call: WER above the best peer's, {told}")
    ours = rows.get("product")
    loops = {True: ("some", False), False: ("none", True)}
    yield Claim(
        "long call: loops in the product's text", "none", *(loops[ours["looped"]] if ours else ())
    )


def without_openvino(rows: Results) -> Results | None:
    """Return the row of the product as it is where OpenVINO is not installed."""
    return rows.get("product-ct2") or rows.get("product")


def _over(theirs: Results | None, ours: Results | None, what: str) -> Results | None:
    """Return how much less the product takes, in the rounds that both were in."""
    if not theirs or not ours:
        return None
    return ratios(
        *zip(*zip(theirs[what]["values"], ours[what]["values"], strict=False), strict=True)
    )


def _worse(rows: Results, name: str, what: str) -> Claim:
    """Hold the product's error rate to that of the best of the three peers that are named."""
    named = [rows[peer] for peer in NAMED if peer in rows]
    points = None
    if named and name in rows:
        best = min(row["wer"]["median"] for row in named)
        points = round(rows[name]["wer"]["median"] - best, 2)
    return at_most(what, 0.2, points, "points")


def _clips(part: Results, features: Collection[str]) -> Iterator[Claim]:
    rows, compared = part.get("rows", {}), part.get("ratios", {})
    peers = {name: row for name, row in rows.items() if not name.startswith("product")}
    many = _best(peers, "16", "throughput", most=True)
    late = _best(peers, "16", "p95", most=False)
    one = _best(peers, "1", "p50", most=False)
    yield _against("16 clients: throughput", 5, compared, many, "16", "throughput")
    yield _against("16 clients: p95 shorter", 5, compared, late, "16", "p95")
    yield _against("1 client: p50 shorter", 4, compared, one, "1", "p50")
    off = without_openvino(rows)
    plain = rows.get("product") if BF16 not in features else off
    for told, ours in (("bfloat16", plain), ("OpenVINO", off)):
        yield at_least(
            f"1 client: p50 shorter; the product without {told}",
            3,
            _over(rows[one]["levels"]["1"], ours and ours["levels"]["1"], "p50") if one else None,
            f", the best peer: {one}",
        )
    levels = (rows.get("product") or {}).get("levels", {})
    health = levels.get("16", {}).get("health_p99")
    yield at_most("16 clients: /health p99", 100, health and round(1000 * health, 1), "ms")
    peak = (rows.get("product") or {}).get("peak_mib") if "16" in levels else None
    yield at_most("16 clients: peak memory", 1024, peak, "MiB")
    mixed = [level["mixed_up"] + len(level["errors"]) for level in levels.values()]
    yield at_most("clips with wrong or no text", 0, sum(mixed) if mixed else None, "clips")


def _best(peers: Results, level: str, what: str, *, most: bool) -> str | None:
    known = {
        name: row["levels"][level][what]["median"]
        for name, row in peers.items()
        if level in row["levels"]
    }
    if not known:
        return None
    return max(known, key=known.__getitem__) if most else min(known, key=known.__getitem__)


def _against(
    what: str, wanted: float, compared: Results, peer: str | None, level: str, key: str
) -> Claim:
    spread = compared.get(peer, {}).get(level, {}).get(key) if peer else None
    note = f", the best peer: {peer}" if peer else ""
    return at_least(what, wanted, spread, note)


def _traps(part: Results) -> Iterator[Claim]:
    sounds = part.get("rows", {}).get("product", {}).get("sounds", {})
    slowest = max((one["of_real_time"]["max"] for one in sounds.values()), default=None)
    yield at_most("traps: the slowest", 0.25, slowest, "of real time")
    for what, wrong in (
        (
            WORDLESS_TEXT,
            [name for name, one in sounds.items() if one["text"] and not one["speech"]],
        ),
        ("traps: loops", [name for name, one in sounds.items() if one["looped"]]),
    ):
        told = (", ".join(wrong) or "none", not wrong) if sounds else ()
        yield Claim(what, "none", *told)


def _korean(part: Results) -> Iterator[Claim]:
    """Claim no worse rate on the clips as they are, and on all renderings within chance."""
    rows, what = part.get("rows", {}), "CER above faster-whisper's, beam 5"
    alone = f"Korean clips as they are: {what}"
    many = Claim(f"Korean clips and renderings: {what}", "≤ 0 ± standard error")
    if not {"product", "fw-sequential"} <= set(rows):
        yield from (at_most(alone, 0, None, "points"), many)
        return
    ours, theirs = rows["product"], rows["fw-sequential"]
    yield at_most(alone, 0, round(ours["cer"] - theirs["cer"], 2), "points")
    if part["renderings"]:
        worse, chance = worse_by(ours["errors"], theirs["errors"], ours["letters"])
        many = replace(many, measured=f"{worse:g} ± {chance:g} points", kept=worse <= chance)
    yield many


def _others(found: Results) -> Iterator[Claim]:
    yield at_least(FOLDER, 0.9, (found.get("folder") or {}).get("ratio"))
    yield from _korean(found.get("korean") or {})
    ready = (found.get("ready") or {}).get("seconds", {}).get("median")
    yield at_most("ready with the model loaded, warm", 2, ready, "s")
    memory = found.get("memory") or {}
    peak = (memory.get("two_hours") or {}).get("peak_mib")
    yield at_most("two-hour call: peak memory", 1024, peak, "MiB")
    many = memory.get("many_calls") or {}
    grown = many.get("growth_after_first_hundred_mib")
    yield at_most("1,000 calls: growth after the first hundred", 20, grown, "MiB")
    stream = found.get("stream") or {}
    cost = round(100 * stream["cost"], 1) if stream else None
    yield at_most("stream: CPU time above that of an answer at once", 3, cost, "%")
    first = stream.get("first_words_of_long_sec")
    yield at_most("stream: first words of an hour", 3, first, "s")
