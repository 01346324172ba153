"""Runners as child processes, and the memory of a process tree."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from benchmarks.speed.environments import python_of
from benchmarks.speed.places import LOGS, ROOT, Failed

MEMORY = "PSS" if psutil.LINUX else "RSS"
"""Proportional set size: a page shared by several processes counts once. Linux only."""

_MIB = 2**20


class Runner:
    """One engine in a process of its own, with its model loaded."""

    def __init__(self, name: str, environment: str, module: str, env: dict[str, str]) -> None:
        """Start it.

        Raises:
            Failed: its environment cannot be installed.
        """
        self.name = name
        self.log = LOGS / f"{name}.log"
        LOGS.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                [python_of(environment), "-m", module],
                cwd=ROOT,
                env=os.environ | _quiet(environment) | env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )

    def load(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Load the model, and give how long that took.

        Raises:
            Failed: it ended before it answered.
        """
        return self._ask(settings, 300)

    def transcribe(
        self, files: list[Path], *, timeout: float = 900, **job: object
    ) -> dict[str, Any]:
        """Return what the runner reports about the files.

        Raises:
            Failed: it ended, or took longer than ``timeout`` seconds.
        """
        return self._ask({"files": [str(file) for file in files], **job}, timeout)

    def _ask(self, line: dict[str, Any], timeout: float) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        watch = threading.Timer(timeout, self.process.kill)
        watch.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps(line) + "\n")
                self.process.stdin.flush()
            answer = self.process.stdout.readline()
        finally:
            watch.cancel()
        if not answer:
            self.process.wait(30)
            raise Failed(f"{self.name} ended ({self.process.returncode}): {last_line(self.log)}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        """End it, with its children."""
        end_tree(self.process)


def _quiet(environment: str) -> dict[str, str]:
    """Keep libraries from looking for a hub, and the peers from finding the product."""
    paths = str(ROOT / "src") if environment == "product" else ""
    return {"HF_HUB_OFFLINE": "1", "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}


def last_line(log: Path) -> str:
    """Return the last line of a process's output."""
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def end_tree(process: subprocess.Popen[Any]) -> None:
    """End a process that was started here, and its children."""
    tree: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        tree = [*parent.children(recursive=True), parent]
    for one in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.terminate()
    _, alive = psutil.wait_procs(tree, timeout=5)
    for one in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait(30)


def tree_mib(pid: int) -> float:
    """Return the memory of a process and its children."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for one in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                told = one.memory_full_info() if MEMORY == "PSS" else one.memory_info()
                total += (told.pss if MEMORY == "PSS" else told.rss) / _MIB
    return total


class Memory:
    """Looks at a process tree while a block runs; ``peak`` in MiB."""

    def __init__(self, pid: int, every_sec: float = 0.25) -> None:
        """Watch the tree below ``pid``."""
        self.peak = 0.0
        self.series: list[tuple[float, float]] = []
        self._pid = pid
        self._every = every_sec
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        began = time.monotonic()
        while True:
            now = tree_mib(self._pid)
            self.peak = max(self.peak, now)
            self.series.append((round(time.monotonic() - began, 1), round(now, 1)))
            if self._done.wait(self._every):
                return

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._done.set()
        self._thread.join()
