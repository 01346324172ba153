"""Draw the results: ``python -m benchmarks.speed.plot RESULTS.json TARGET.svg [--korean]``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

WIDTH = 860
LEFT = 300
BAR = 16
GAP = 8
OURS, THEIRS, TEXT, FAINT = "#0b6e4f", "#9aa5b1", "#1f2933", "#e4e7eb"
BARS_END = WIDTH - 190

WORDS = {
    "en": {
        "long": "Long call, {seconds:.0f} s on two channels: seconds of audio a second",
        "clips": "Clips of 5 to 10 s, {clients} clients: seconds of audio a second",
        "wait": "Clips of 5 to 10 s, one client: seconds until the text is there (p50)",
        "off": "product without OpenVINO",
        "beam": "product, beam 1",
        "product": "product",
    },
    "ko": {
        "long": "긴 통화, 2채널 {seconds:.0f}초: 1초에 처리한 음성의 초",
        "clips": "5~10초 클립, 클라이언트 {clients}개: 1초에 처리한 음성의 초",
        "wait": "5~10초 클립, 클라이언트 1개: 텍스트가 나오기까지의 초 (p50)",
        "off": "이 제품, OpenVINO 없음",
        "beam": "이 제품, 빔 1",
        "product": "이 제품",
    },
}

Bars = Sequence[tuple[str, dict[str, Any]]]
"""Label and spread."""


def draw(found: dict[str, Any], language: str = "en") -> str:
    """Return the SVG of the parts that were measured."""
    parts, height = [], 20
    for title, bars in _panels(found, WORDS[language]):
        panel, height = _panel(title, bars, height)
        parts.append(panel)
    machine = found["machine"]
    note = f"{machine['processor']}, {machine['cores']} cores, {' '.join(machine['features'])}"
    parts.append(_text(20, height + 12, f"{note}; n = {found['rounds']}", size=11))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + 28}" '
        f'font-family="system-ui, sans-serif" role="img">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panels(found: dict[str, Any], told: dict[str, str]) -> list[tuple[str, Bars]]:
    panels: list[tuple[str, Bars]] = []
    long = found.get("long")
    if long:
        speed = [
            (_label(name, row, told), _speed(row["seconds"], long["seconds"]))
            for name, row in long["rows"].items()
        ]
        panels.append((told["long"].format(**long), sorted(speed, key=_median, reverse=True)))
    clips = found.get("clips")
    if clips:
        many = str(clips["levels"][-1])
        for key, level, what in (("clips", many, "throughput"), ("wait", "1", "p50")):
            bars = [
                (_label(name, row, told), row["levels"][level][what])
                for name, row in clips["rows"].items()
            ]
            bars.sort(key=_median, reverse=what == "throughput")
            panels.append((told[key].format(clients=many), bars))
    return panels


def _label(name: str, row: dict[str, Any], told: dict[str, str]) -> str:
    own = {"product": told["product"], "product-ct2": told["off"], "product-beam1": told["beam"]}
    return own.get(name, row["title"])


def _speed(seconds: dict[str, Any], audio: float) -> dict[str, Any]:
    return {
        "median": audio / seconds["median"],
        "min": audio / seconds["max"],
        "max": audio / seconds["min"],
    }


def _median(bar: tuple[str, dict[str, Any]]) -> float:
    return float(bar[1]["median"])


def _panel(title: str, bars: Bars, top: float) -> tuple[str, float]:
    most = max(spread["max"] for _, spread in bars)
    parts = [_text(20, top + 14, title, size=14, bold=True)]
    y = top + 28
    for label, spread in bars:
        long, low, high = (
            (BARS_END - LEFT) * spread[key] / most for key in ("median", "min", "max")
        )
        colour = OURS if label in _OWN else THEIRS
        parts += [
            _text(LEFT - 8, y + 12, label, anchor="end"),
            f'<rect x="{LEFT}" y="{y}" width="{long:.1f}" height="{BAR}" fill="{colour}"/>',
            _line(LEFT + low, LEFT + high, y + BAR / 2),
            _text(LEFT + max(long, high) + 6, y + 12, _told(spread)),
        ]
        y += BAR + GAP
    parts.append(f'<line x1="{LEFT}" x2="{LEFT}" y1="{top + 24}" y2="{y}" stroke="{FAINT}"/>')
    return "\n".join(parts), y + 18


_OWN = {words[key] for words in WORDS.values() for key in ("product", "off", "beam")}


def _line(start: float, end: float, y: float) -> str:
    """Return the line from the least to the most."""
    places = f'x1="{start:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}"'
    return f'<line {places} stroke="{TEXT}" stroke-width="1.5"/>'


def _told(spread: dict[str, Any]) -> str:
    digits = 1 if spread["median"] >= 10 else 2
    middle, low, high = (f"{spread[key]:.{digits}f}" for key in ("median", "min", "max"))
    return middle if low == high else f"{middle} ({low}–{high})"


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{TEXT}"{weight}>{escape(text)}</text>'
    )


def main() -> None:
    """Read and write."""
    found = json.loads(Path(sys.argv[1]).read_bytes())
    language = "ko" if "--korean" in sys.argv else "en"
    Path(sys.argv[2]).write_text(draw(found, language), "utf-8")


if __name__ == "__main__":
    main()
