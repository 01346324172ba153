"""Draw ``docs/architecture.svg`` from the import contracts in ``pyproject.toml``.

What import-linter checks is what is drawn: a room that is not in a contract is not in the picture.
Run by ``make docs``; a test compares the file with what this draws.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/architecture.svg"

PACKAGES = ("stt_tools", "api_server", "stt_engine")
"""From the top: each may import those below it."""

WIDTH, ROW, GAP, BOX, MARGIN = 940, 46, 10, 32, 24
_STYLE = (
    "text{font:14px sans-serif;fill:#1d2733}.title{font-weight:bold;font-size:16px}"
    ".room{fill:#eef3f8;stroke:#7a8ca0}.package{fill:#fff;stroke:#44566a}"
    ".arrow{stroke:#44566a;stroke-width:2;fill:none;marker-end:url(#head)}.small{font-size:12px}"
    "@media(prefers-color-scheme:dark){text{fill:#e6ebf0}.package{fill:#10161d}"
    ".room{fill:#1e2a36}.arrow{stroke:#9db0c4}}"
)


def layers_of(package: str) -> list[list[str]]:
    """Return the rooms of ``package``, layer by layer from the top, as the contract has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in project["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers" and contract.get("containers") == [package]:
            return [[room.strip() for room in layer.split(":")] for layer in contract["layers"]]
    raise LookupError(f"no contract of layers for {package}")


def draw() -> str:
    """Return the picture as SVG."""
    parts: list[str] = []
    top = MARGIN
    for package in PACKAGES:
        layers = layers_of(package)
        height = 40 + len(layers) * ROW + GAP
        parts.extend(_package(package, layers, top, height))
        top += height + 2 * GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + MARGIN}">'
        f"<style>{_STYLE}</style><defs><marker id='head' viewBox='0 0 10 10' refX='9' refY='5' "
        "markerWidth='7' markerHeight='7' orient='auto'><path d='M0 0L10 5L0 10z'/></marker></defs>"
        + "".join(parts)
        + "</svg>\n"
    )


def _package(name: str, layers: list[list[str]], top: int, height: int) -> Iterator[str]:
    yield _box("package", MARGIN, top, WIDTH - 2 * MARGIN, height)
    yield f'<text class="title" x="{MARGIN + 14}" y="{top + 26}">{name}</text>'
    y = top + 40
    arrow = WIDTH - MARGIN - 26
    yield f'<path class="arrow" d="M{arrow} {y}V{top + height - 12}"/>'
    yield f'<text class="small" x="{arrow - 58}" y="{top + 26}">imports</text>'
    for layer in layers:
        yield from _layer(layer, y)
        y += ROW


def _layer(rooms: list[str], y: int) -> Iterator[str]:
    room = WIDTH - 2 * MARGIN - 90
    width = (room - GAP * (len(rooms) - 1)) / len(rooms)
    for number, name in enumerate(rooms):
        x = MARGIN + 14 + number * (width + GAP)
        yield _box("room", x, y, width, BOX)
        middle = f'x="{x + width / 2:g}" y="{y + 21}" text-anchor="middle"'
        yield f"<text {middle}>{escape(name)}</text>"


def _box(kind: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PICTURE.write_text(draw(), encoding="utf-8")
    else:
        sys.stdout.write(draw())
