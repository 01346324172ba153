"""Put the results of a run into the documents, in English and in Korean, with a plot for each.

``python -m benchmarks.speed.document RESULTS.json`` rewrites what is between the two marks in
``docs/benchmarks.md`` and ``docs/benchmarks.ko.md``; the rest of them is written by people.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.claims import claims
from benchmarks.speed.korean_words import KOREAN_WORDS
from benchmarks.speed.places import ROOT
from benchmarks.speed.plot import draw
from benchmarks.speed.report import OVERHEAD, RATIOS

BEGIN, END = "<!-- results -->", "<!-- /results -->"
KEPT = {True: "kept", False: "**not kept**", None: "not run"}

Results = dict[str, Any]
Say = Callable[[str], str]


def results(found: Results, language: str) -> str:
    """Return the tables in Markdown."""

    def say(text: str) -> str:
        return KOREAN_WORDS.get(text, text) if language == "ko" else text

    return "\n".join(_lines(found, say)).strip() + "\n"


def _lines(found: Results, say: Say) -> Iterator[str]:
    machine = found["machine"]
    yield f"{machine['processor']}, {say('cores')}: {machine['cores']}, "
    yield f"{machine['memory_gib']} GiB, `{' '.join(machine['features'])}`; n = {found['rounds']}."
    for part, draw_part in (
        ("long", _long),
        ("clips", _clips),
        ("traps", _traps),
        ("korean", _korean),
        ("overhead", _overhead),
    ):
        if found.get(part):
            yield from draw_part(found[part], say)
    yield from ("", f"### {say('What the product is held to')}", "")
    judged = ((say(one.what), one.wanted, one.measured, KEPT[one.kept]) for one in claims(found))
    rows = [(what, wanted, *map(say, (measured, kept))) for what, wanted, measured, kept in judged]
    yield from _table([say("claim"), say("wanted"), say("measured"), ""], rows)
    yield from ("", f"### {say('Not run')}", "")
    yield from (f"- {say(one['what'])}: {say(one['why'])}" for one in found["not_run"])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def _spread(spread: Results, digits: int = 2) -> str:
    middle, low, high = (f"{spread[key]:.{digits}f}" for key in ("median", "min", "max"))
    return middle if low == high else f"{middle} ({low}–{high})"


def _long(part: Results, say: Say) -> Iterator[str]:
    yield from ("", f"### {say('Long call')}", "")
    rows = []
    for name, row in part["rows"].items():
        mixed = row.get("mixed")
        rows.append(
            (
                say(row["title"]),
                say(row["settings"]),
                str(row["rounds"]),
                _spread(row["seconds"], 1),
                f"{row['rtf']:.4f}",
                _spread(row["wer"]),
                str(row["peak_mib"]),
                *(_spread(part[key][name]) if name in part[key] else "" for key in RATIOS),
                f"{mixed['seconds']:.1f}; {mixed['wer']:.2f}" if mixed else "",
            )
        )
    heads = ("engine", "settings", "n", "seconds", "real-time factor", "WER %", "peak MiB")
    more = ("product is faster ×", "product, beam 1, is faster ×", "mixed to mono: seconds; WER %")
    yield from _table([say(head) for head in heads + more], rows)


def _clips(part: Results, say: Say) -> Iterator[str]:
    yield from ("", f"### {say('Short clips')}", "")
    levels = [str(level) for level in part["levels"]]
    rows = []
    for row in part["rows"].values():
        last = row["levels"][levels[-1]]
        cells = (_level(row["levels"][level]) for level in levels)
        more = (f"{last['wer']:.2f}", str(row["peak_mib"]))
        rows.append((say(row["title"]), say(row["settings"]), *cells, *more))
    counted = [f"{level} {say('clients')}" for level in levels]
    heads = [say("server"), say("settings"), *counted, "WER %", say("peak MiB")]
    yield from _table(heads, rows)
    yield from ("", say("throughput, p50, p95 of the product against each server:"), "")
    compared = [
        (say(row["title"]), *(_ratio(part["ratios"][name][level]) for level in levels))
        for name, row in part["rows"].items()
        if name in part["ratios"]
    ]
    yield from _table([say("server"), *counted], compared)


def _level(level: Results) -> str:
    waits = f"{level['p50']['median']:.2f} / {level['p95']['median']:.2f}"
    return f"{level['throughput']['median']:.1f}; {waits}"


def _ratio(level: Results) -> str:
    return ", ".join(f"{level[what]['median']:.2f} ×" for what in ("throughput", "p50", "p95"))


def _traps(part: Results, say: Say) -> Iterator[str]:
    yield from ("", f"### {say('Trap set')}", "")
    names = list(next(iter(part["rows"].values()))["sounds"])
    rows = [
        (say(name), *(_sound(row["sounds"][name], say) for row in part["rows"].values()))
        for name in names
    ]
    heads = [say("sound"), *(say(row["title"]) for row in part["rows"].values())]
    yield from _table(heads, rows)


def _sound(one: Results, say: Say) -> str:
    words = len(one["text"].split())
    text = f"{words} {say('words')}" if words else say("no text")
    loop = f", **{say('loop')}**" if one["looped"] else ""
    return f"{one['of_real_time']['max']:.3f}; {text}{loop}"


def _korean(part: Results, say: Say) -> Iterator[str]:
    yield from ("", f"### {say('Korean clips')}", "")
    rows = [
        (
            say(row["title"]),
            say(row["settings"]),
            f"{row['cer']:.2f}",
            f"{row['cer_of_all']:.2f}",
            _spread(row["seconds_a_clip"]),
        )
        for row in part["rows"].values()
    ]
    heads = ("engine", "settings", "CER %", "CER %, with renderings", "seconds a clip")
    yield from _table([say(head) for head in heads], rows)


def _overhead(part: Results, say: Say) -> Iterator[str]:
    yield from ("", f"### {say('What the server adds')}", "")
    rows = [
        (
            say(name),
            f"{row['upload_mib']}",
            f"{row['answer_kib']}",
            _spread(row["engine_sec"], 3),
            _spread(row["added_sec"], 3),
            f"{row['server_growth_mib']}",
        )
        for name, row in part["rows"].items()
    ]
    yield from _table([say(head) for head in OVERHEAD], rows)


def main() -> None:
    """Rewrite the documents and the plots."""
    found = json.loads(Path(sys.argv[1]).read_bytes())
    for language, suffix in (("en", ""), ("ko", ".ko")):
        path = ROOT / "docs" / f"benchmarks{suffix}.md"
        text = path.read_text("utf-8")
        head, rest = text.split(BEGIN, 1)
        _, tail = rest.split(END, 1)
        told = f"{head}{BEGIN}\n\n{results(found, language)}\n{END}{tail}"
        path.write_text(told, "utf-8")
        path.with_suffix(".svg").write_text(draw(found, language), "utf-8")


if __name__ == "__main__":
    main()
