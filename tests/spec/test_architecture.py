"""The picture of the rooms is that of the import contracts, and each room says what it is."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = sorted(path.parent for path in (ROOT / "src").rglob("__init__.py"))


def test_the_picture_is_drawn_from_the_contracts() -> None:
    drawing = runpy.run_path(str(ROOT / "docs/draw_rooms.py"))
    picture = (ROOT / "docs/architecture.svg").read_text(encoding="utf-8")
    assert picture == drawing["draw"](), "run `make docs`"


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT / "src")))
def test_each_room_says_what_lives_there(room: Path) -> None:
    module = ast.parse((room / "__init__.py").read_text(encoding="utf-8"))
    assert (ast.get_docstring(module) or "").strip()


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT / "src")))
def test_no_file_is_longer_than_a_newcomer_reads(room: Path) -> None:
    long = {
        file.name: lines
        for file in room.glob("*.py")
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}
