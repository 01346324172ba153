"""``python -m stt_tools.drill.moved_clock FILE COMMAND...``: ``stt-engine`` on a clock that jumps.

No machine's clock is set: this process alone gets another time of day, the machine's and as many
seconds as stand in the file (a double). Its clock that only counts (``time.monotonic``) goes on, as
it does where a real one is set.
"""

from __future__ import annotations

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path

_SECONDS = struct.Struct("<d")
_NS = 1_000_000_000


def set_clock(file: Path, seconds: float) -> None:
    """Move the clock of the processes that were started with ``file``."""
    with file.open("r+b") as opened:
        opened.write(_SECONDS.pack(seconds))


def make_clock(file: Path) -> Path:
    """Make the file of a clock that is right."""
    file.write_bytes(_SECONDS.pack(0.0))
    return file


def move(file: Path) -> None:
    """Have this process read the time with the seconds in ``file`` added."""
    with file.open("rb") as opened:
        moved = mmap.mmap(opened.fileno(), _SECONDS.size, access=mmap.ACCESS_READ)
    really, really_ns = time.time, time.time_ns

    def shift() -> float:
        seconds: float = _SECONDS.unpack_from(moved)[0]
        return seconds

    time.time = lambda: really() + shift()
    time.time_ns = lambda: really_ns() + int(shift() * _NS)


if __name__ == "__main__":
    move(Path(sys.argv.pop(1)))
    runpy.run_module("stt_tools", run_name="__main__")
