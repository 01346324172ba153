"""The real server (or any command of the CLI) in a process of its own, to be asked and killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

from api_server.settings import Settings
from tests.support.models import whisper_base

ROOT = Path(__file__).parents[2]
CLI = (sys.executable, "-m", "stt_tools")
DEADLINE_SEC = 90.0
"""How long anything here is awaited: generous, the machine may be busy."""

LINE = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] [A-Z]+ - \[[\w.]+\] \S.*")
_TICK_SEC = 0.02
_BOUND = re.compile(r"running on https?://127\.0\.0\.1:(\d+)")


def awaited(fact: Callable[[], Any], what: str, seconds: float = DEADLINE_SEC) -> Any:
    """Wait until ``fact()`` is true and give what it gave; fail after ``seconds``."""
    until = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < until, f"waited {seconds} s in vain: {what}"
        time.sleep(_TICK_SEC)
    return found


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """Return the environment of a server: this machine's, without its settings, plus ``settings``.

    Temporary files and the log go below ``folder``; the weights are the real ones.
    """
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    ours = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    defaults = {
        "PYTHONPATH": str(ROOT / "src"),
        "TMPDIR": str(temporary),
        "STT_MODEL_PATH": whisper_base() if "stt_model_path" not in settings else "",
        "LOG_FILE": folder / "api-server.log",
        "DATABASE_URL": f"sqlite:///{folder / 'cases.db'}",
        "AGENT_ALLOWED_HOSTS": "127.0.0.1:*",
        "READY_INTERVAL_SEC": 0.2,
        "AGENT_PROOF_SEC": 0,
        "COLUMNS": 200,
        "NO_COLOR": 1,
        "TERM": "dumb",
    }
    given = {name.upper(): value for name, value in settings.items()}
    return inherited | {name: str(value) for name, value in (defaults | given).items()}


def without_overrides() -> None:
    """Take root's right to read everything, so that file permissions mean what they say."""
    if os.geteuid() == 0 and sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - in the child, just before it becomes the server

        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


class ApiServer:
    """One running ``stt-engine serve`` on a free port; ``folder`` gets its log and its TMPDIR."""

    def __init__(
        self, folder: Path, *options: str, command: Sequence[str] = CLI, **settings: object
    ) -> None:
        self.folder = folder
        self.log = folder / "stdout.log"
        self.temporary = folder / "tmp"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, "serve", "--port", "0", *options],
                env=environment(folder, **settings),
                cwd=folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=without_overrides,  # noqa: PLW1509 - two system calls, no lock
            )
        self._port: int | None = None

    @property
    def lines(self) -> list[str]:
        return self.log.read_text("utf-8").splitlines()

    @property
    def port(self) -> int:
        """The port that the system gave, as the log tells it."""
        if self._port is None:
            found = awaited(lambda: _BOUND.search(self._text_alive()), "the server listens")
            self._port = int(found[1])
        return self._port

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _text_alive(self) -> str:
        text = self.log.read_text("utf-8")
        assert self.process.poll() is None, f"the server ended: {text}"
        return text

    def get(self, path: str) -> httpx2.Response:
        with httpx2.Client(base_url=self.base, trust_env=False, timeout=DEADLINE_SEC) as client:
            return client.get(path)

    def wait_ready(self) -> None:
        with httpx2.Client(base_url=self.base, trust_env=False, timeout=DEADLINE_SEC) as client:
            awaited(
                lambda: self._text_alive() and client.get("/health/ready").status_code == 200,
                "the server is ready",
            )

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.base, trust_env=False, timeout=DEADLINE_SEC)

    def metric(self, name: str, **labels: str) -> float:
        """Add up the samples of a metric whose labels hold ``labels``."""
        return metric(self.get("/metrics").text, name, **labels)

    def component(self, name: str) -> dict[str, Any]:
        found = self.get("/health").json()["components"]
        return next(one for one in found if one["name"] == name)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def leftovers(self) -> list[Path]:
        """Return the temporary files that are there, but for onnxruntime's own session file."""
        return [
            path for path in self.temporary.iterdir() if not path.name.startswith("stt-engine-")
        ]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server alone: its own process id, not its group."""
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the server as an operator does; nothing of it may be left. Gives the exit code."""
        children = self.children()
        self.send(number)
        code = self.process.wait(DEADLINE_SEC)
        assert_gone(children)
        text = self.log.read_text("utf-8")
        assert "Finished server process" in text, text[-2000:]
        assert "Traceback" not in text, text[-4000:]
        return code

    def kill(self) -> None:
        """End it whatever it takes: for the end of a test that failed."""
        if self.process.poll() is None:
            for one in [*self.children(), psutil.Process(self.process.pid)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
        self.process.wait(DEADLINE_SEC)


def metric(exposition: str, name: str, **labels: str) -> float:
    """Add up the samples of ``name`` in a Prometheus text whose labels hold ``labels``."""
    sample = re.compile(rf"^{name}(?:\{{(.*)\}})? (\S+)$", re.MULTILINE)
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(
        float(value)
        for told, value in sample.findall(exposition)
        if all(one in told for one in wanted)
    )


def assert_gone(processes: list[psutil.Process]) -> None:
    """Wait until every process has ended."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive, f"orphans: {alive}"


CLEAN_EXITS = {0, -signal.SIGTERM}
"""uvicorn stops in order and then gives SIGTERM its usual meaning."""


@contextmanager
def api_server(
    folder: Path, *options: str, ready: bool = True, **settings: object
) -> Iterator[ApiServer]:
    """Run a server for the length of a block; it has to end cleanly and leave nothing behind."""
    server = ApiServer(folder, *options, **settings)
    try:
        if ready:
            server.wait_ready()
        yield server
        assert server.stop() in CLEAN_EXITS
        assert not server.leftovers(), "temporary files are left behind"
    finally:
        server.kill()
