"""The documents of the project, read for the tests that hold them to the code."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def documents() -> list[str]:
    return sorted(
        str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
    )


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def without_code(document: str) -> str:
    """Return a document without its code blocks."""
    return FENCE.sub("", document)


def prose(name: str) -> str:
    return without_code(text(name))
