"""The results as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.speed.claims import claims

Results = dict[str, Any]
OVERHEAD = (
    "what", "upload MiB", "answer KiB", "engine's seconds", "seconds more at the client",
    "server process grown by MiB",
)  # fmt: skip
RATIOS = ("ratios", "ratios_beam1")
MARKS = {True: "kept", False: "NOT KEPT", None: "not run"}


def show(found: Results, console: Console) -> None:
    """Print everything that was measured, and what was not."""
    machine = found["machine"]
    console.print(
        f"\n{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"{' '.join(machine['features'])}; load before: {machine['load_before']}",
        highlight=False,
    )
    for part, draw in PARTS.items():
        if found.get(part):
            for table in draw(found[part]):
                console.print(table)
    judged = _table("What the product is held to", "claim", "wanted", "measured", "")
    for claim in claims(found):
        judged.add_row(claim.what, claim.wanted, claim.measured, MARKS[claim.kept])
    console.print(judged)
    missing = _table("Not run", "what", "why")
    for one in found["not_run"]:
        missing.add_row(one["what"], one["why"])
    console.print(missing)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def told(spread: Results, digits: int = 2) -> str:
    """Return a median with what it lies between."""
    middle, low, high = (f"{spread[key]:.{digits}f}" for key in ("median", "min", "max"))
    return middle if low == high else f"{middle} ({low} to {high})"


def _long(part: Results) -> list[Table]:
    title = f"Long call, {part['seconds']:.0f} s on two channels, {part['words']} words"
    table = _table(
        title, "engine", "settings", "n", "seconds", "real-time factor", "WER %", "peak MiB",
        "product is faster ×", "product, beam 1, is faster ×", "mixed to mono: s, WER %",
    )  # fmt: skip
    for name, row in part["rows"].items():
        mixed = row.get("mixed")
        table.add_row(
            row["title"], row["settings"], str(row["rounds"]),
            told(row["seconds"], 1), f"{row['rtf']:.4f}", told(row["wer"]), str(row["peak_mib"]),
            *(told(part[key][name]) if name in part[key] else "" for key in RATIOS),
            f"{mixed['seconds']:.1f}, {mixed['wer']:.2f}" if mixed else "",
        )  # fmt: skip
    return [table]


def _clips(part: Results) -> list[Table]:
    levels = [str(level) for level in part["levels"]]
    title = "Short clips over HTTP: seconds of audio a second; p50 / p95 in seconds"
    table = _table(title, "server", "settings", *(f"{level} clients" for level in levels), "WER %",
                   "/health p99 ms", "peak MiB")  # fmt: skip
    compared = _table(
        "The product beside each server: throughput, p50, p95 (above 1: the product is better)",
        "server", *(f"{level} clients" for level in levels),
    )  # fmt: skip
    for name, row in part["rows"].items():
        last = row["levels"][levels[-1]]
        health = [level["health_p99"] for level in row["levels"].values() if level["health_p99"]]
        table.add_row(
            row["title"],
            row["settings"],
            *(_level(row["levels"][level]) for level in levels),
            f"{last['wer']:.2f}",
            f"{1000 * max(health):.0f}" if health else "",
            str(row["peak_mib"]),
        )
        if name in part["ratios"]:
            compared.add_row(row["title"], *(_ratio(part["ratios"][name][lv]) for lv in levels))
    return [table, compared]


def _level(level: Results) -> str:
    wrong = level["mixed_up"] + len(level["errors"])
    quick = f"{level['throughput']['median']:.1f}; "
    quick += f"{level['p50']['median']:.2f} / {level['p95']['median']:.2f}"
    return quick + (f"; {wrong} WRONG" if wrong else "")


def _ratio(level: Results) -> str:
    return ", ".join(f"{level[what]['median']:.2f}" for what in ("throughput", "p50", "p95"))


def _traps(part: Results) -> list[Table]:
    table = _table("Traps: time as a share of real time; text", "sound", *(
        row["title"] for row in part["rows"].values()
    ))  # fmt: skip
    names = {name: None for row in part["rows"].values() for name in row["sounds"]}
    for name in names:
        table.add_row(name, *(_sound(row["sounds"][name]) for row in part["rows"].values()))
    return [table]


def _sound(one: Results) -> str:
    text = f'"{one["text"][:40]}"' if one["text"] else "no text"
    return f"{one['of_real_time']['max']:.3f}; {text}" + ("; LOOP" if one["looped"] else "")


def _korean(part: Results) -> list[Table]:
    title = f"Korean, {part['clips']} clips, {part['audio_sec']:.0f} s"
    many = f"CER %, with {part['renderings']} renderings"
    table = _table(title, "engine", "settings", "CER %", many, "seconds a clip")
    for row in part["rows"].values():
        table.add_row(
            row["title"],
            row["settings"],
            f"{row['cer']:.2f}",
            f"{row['cer_of_all']:.2f}",
            told(row["seconds_a_clip"]),
        )
    return [table]


def _ready(part: Results) -> list[Table]:
    table = _table("Server ready, warm", "from the start of the process, seconds")
    table.add_row(told(part["seconds"]))
    return [table]


def _overhead(part: Results) -> list[Table]:
    table = _table("What the product's server adds to the engine's time", *OVERHEAD)
    for name, row in part["rows"].items():
        table.add_row(
            name, str(row["upload_mib"]), str(row["answer_kib"]), told(row["engine_sec"], 3),
            told(row["added_sec"], 3), str(row["server_growth_mib"]),
        )  # fmt: skip
    return [table]


def _memory(part: Results) -> list[Table]:
    table = _table(f"The product's memory ({part['measured_as']})", "what", "MiB", "more")
    two = part.get("two_hours")
    if two:
        more = f"{two['audio_sec']:.0f} s of audio in {two['seconds']:.0f} s"
        table.add_row("two-hour call, peak", str(two["peak_mib"]), more)
    many = part.get("many_calls")
    if many:
        after = " ".join(f"{mib:.0f}" for mib in many["mib_after_each_hundred"])
        table.add_row("after each hundred of 1,000 calls", after, f"{many['errors']} errors")
    return [table] if table.rows else []


def _folder(part: Results) -> list[Table]:
    title = f"{part['clips']} clips: seconds of audio a second"
    table = _table(title, "16 clients", "a folder as one job", "as a share")
    table.add_row(
        *(told(part["throughput"][way]) for way in ("clients", "job")), told(part["ratio"])
    )
    return [table]


PARTS = {
    "long": _long,
    "clips": _clips,
    "folder": _folder,
    "traps": _traps,
    "korean": _korean,
    "ready": _ready,
    "memory": _memory,
    "overhead": _overhead,
}
