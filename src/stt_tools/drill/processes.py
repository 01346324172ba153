"""Process faults: find, signal and limit the processes of the server under test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stt_tools.drill.client import DrillError

LINUX = sys.platform == "linux"
_TICK_SEC = 0.02


def wait_until(what: str, condition: Callable[[], Any], bound_sec: float) -> float:
    """Return the seconds that it took until ``condition`` held."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > bound_sec:
            raise DrillError(f"waited {bound_sec:g} s in vain: {what}")
        time.sleep(_TICK_SEC)
    return time.monotonic() - began


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    return pid in _table()


def descendants(pid: int) -> list[int]:
    """Return all descendants of a process."""
    table = _table()
    found = [pid]
    for one in found:
        found += [child for child, parent in table.items() if parent == one]
    return found[1:]


def _table() -> dict[int, int]:
    """Return the parent of every process that is not a zombie."""
    if LINUX:
        return dict(_of_proc())
    command = ["ps", "-A", "-o", "pid=,ppid=,stat="]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - fixed
    rows = (row.split() for row in ran.stdout.splitlines())
    return {int(row[0]): int(row[1]) for row in rows if not row[2].startswith("Z")}


def _of_proc() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").glob("[1-9]*"):
        with suppress(OSError):
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state not in "ZX":
                yield int(entry.name), int(parent)


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Stop a process for a block (SIGSTOP), as if it hung."""
    send(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        send(pid, signal.SIGCONT)


@contextmanager
def limit_resource(pid: int, what: str, amount: int) -> Iterator[None]:
    """Lower a resource limit of a running process for a block (Linux)."""
    import resource  # noqa: PLC0415 - not everywhere

    number = getattr(resource, what)
    prlimit = resource.prlimit  # type: ignore[attr-defined,unused-ignore]
    before = prlimit(pid, number)
    prlimit(pid, number, (amount, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            prlimit(pid, number, before)
