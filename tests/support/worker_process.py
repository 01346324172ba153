"""The real worker (``stt-engine work``) in a process of its own, to be stopped and killed."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import psutil

from tests.support.server import CLI, DEADLINE_SEC, assert_gone, awaited, environment


class WorkerProcess:
    """One running worker; ``folder`` gets its log and its TMPDIR."""

    def __init__(self, folder: Path, **settings: object) -> None:
        folder.mkdir(exist_ok=True)
        self.log = folder / "stdout.log"
        self.alive = folder / "alive"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [*CLI, "work", "--alive", str(self.alive)],
                env=environment(folder, **settings),
                cwd=folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.log.read_text("utf-8")

    def wait_begun(self) -> None:
        """Wait until it works."""
        awaited(lambda: self._living() and self.alive.exists(), "the worker has begun")

    def _living(self) -> bool:
        assert self.process.poll() is None, f"the worker ended: {self.text}"
        return True

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals) -> int:
        """Send a signal that ends it; nothing of it may be left. Gives the exit code."""
        children = self.children()
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_SEC)
        assert_gone(children)
        return code

    def close(self) -> None:
        """End it whatever it takes."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.end(signal.SIGKILL)
