"""What is put in a recording's place meanwhile (a link to something else) reaches nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from api_server.http import paths
from api_server.http.problems import Problem
from api_server.pipeline.storage import Storage
from stt_engine.errors import AudioUnreadable
from stt_engine.system import below

pytestmark = pytest.mark.skipif(not below.CAN_SHARE, reason="descriptors cannot be handed over")

SECRET, CALL = "nobody may read this", "a call"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a recording two folders below the root, beside which lies what nobody may read."""
    file = tmp_path / "root/day/agent/call.wav"
    file.parent.mkdir(parents=True)
    file.write_text(CALL)
    secret = tmp_path / "outside/agent/call.wav"
    secret.parent.mkdir(parents=True)
    secret.write_text(SECRET)
    return tmp_path


def swap_file(tree: Path) -> None:
    (tree / "root/day/agent/call.wav").unlink()
    (tree / "root/day/agent/call.wav").symlink_to(tree / "outside/agent/call.wav")


def swap_folder(tree: Path) -> None:
    (tree / "root/day/agent").rename(tree / "root/day/before")
    (tree / "root/day/agent").symlink_to(tree / "outside/agent")


def swap_upper_folder(tree: Path) -> None:
    (tree / "root/day").rename(tree / "root/before")
    (tree / "root/day").symlink_to(tree / "outside")


SWAPS = pytest.mark.parametrize("swap", [swap_file, swap_folder, swap_upper_folder])
Swap = Callable[[Path], None]


@SWAPS
async def test_swapped_while_the_call_waits(swap: Swap, tree: Path) -> None:
    storage = Storage([tree / "root"], 10)
    async with paths.opened(str(tree / "root/day/agent/call.wav"), "call.wav", storage) as path:
        swap(tree)
        assert path.read_text() == CALL


@SWAPS
def test_swapped_between_the_look_and_the_hold(
    swap: Swap, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(root: Path, path: Path) -> int:
        swap(tree)
        return hold(root, path)

    hold = below.hold_below
    monkeypatch.setattr(below, "hold_below", swapped)
    with pytest.raises(AudioUnreadable, match=r"Not a directory|not a regular file"):
        paths.open_inside(str(tree / "root/day/agent/call.wav"), [tree / "root"])


async def test_what_was_there_is_gone_meanwhile(tree: Path) -> None:
    file = tree / "root/day/agent/call.wav"
    async with paths.opened(str(file), "call.wav", Storage([tree / "root"], 10)) as path:
        file.unlink()
        assert path.read_text() == CALL
    with pytest.raises(Problem) as told:
        async with paths.opened(str(file), "call.wav", Storage([tree / "root"], 10)):
            pass
    assert told.value.status == 404


async def test_nothing_is_held_afterwards(tree: Path) -> None:
    storage = Storage([tree / "root"], 10)
    async with paths.opened(str(tree / "root/day/agent/call.wav"), "call.wav", storage) as path:
        pass
    assert not path.exists()
