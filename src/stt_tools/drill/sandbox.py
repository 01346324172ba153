"""The server under test: the real program in a process and a temporary folder of its own.

Its settings are this deployment's, changed by :data:`OVERRIDES` and by the server profile
(:mod:`stt_tools.drill.scenario`) that the injected faults need.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from api_server.settings import Settings
from stt_tools.drill.client import DrillError, Target
from stt_tools.drill.processes import descendants, is_alive, send, wait_until
from stt_tools.drill.surroundings import PROGRAM

START_SEC = 120.0
END_SEC = 30.0

OVERRIDES: Mapping[str, str] = {
    "API_HOST": "127.0.0.1",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "INFO",
    "LOG_TRANSCRIPTS": "false",
    "STRICT": "false",
    "STT_REMOTE_URL": "",
    "AGENT_MODEL": "",
    "AGENT_API_KEY": "",
    "AGENT_ALLOWED_HOSTS": "127.0.0.1:*",
    # A readiness probe in the middle of a fault would be a second call.
    "READY_INTERVAL_SEC": "3600",
    "READY_PROOF_SEC": "3600",
    "AGENT_PROOF_SEC": "0",
    # Records of the deployment are nothing to try things on, and its folders nothing to take from.
    "RECORDINGS_URL": "",
    "RECORDINGS_DIR": "",
    "RECORDINGS_KEY_FILE": "",
    "RECORDINGS_RESERVE_BYTES": "0",
    "WATCH_FOLDERS": "",
    "AUDIT_KEY_FILE": "",
    "AUDIT_CHECKPOINTS_FILE": "",
    "AUDIT_CHECKPOINTS_URL": "",
    "WEBHOOK_ALLOWED_URLS": "",
    "WEBHOOK_SECRETS": "",
    "JOBS_AT_ONCE": "4",
    "REPAIR_AT_ONCE": "2",
}
"""Settings that every scenario replaces, besides folders, log file and LLM server."""

_BOUND = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
_WEIGHTS = ("model.bin", "*.safetensors", "*.pt", "*.bin")


class Sandbox:
    """A folder with everything that the server under test reads and writes.

    The model folder holds links to the real files: a scenario replaces them, never writes to them.
    """

    def __init__(self, folder: Path, settings: Settings, llm_url: str) -> None:
        self.folder = folder
        self.settings = settings
        self.audio = folder / "audio"
        self.model = folder / "models" / settings.stt_model_path.name
        self._llm_url = llm_url
        for one in (self.audio, folder / "tmp", self.model.parent):
            one.mkdir()
        self.copy_model(self.model)

    def copy_model(self, target: Path) -> Path:
        """Fill a folder with links to this deployment's model."""
        source = self.settings.stt_model_path.resolve()
        if not source.is_dir():
            raise DrillError(f"{self.settings.stt_model_path} is no model folder: fetch one first")
        shutil.copytree(source, target, copy_function=_link)
        return target

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a server with ``settings`` replaced."""
        paths = {
            "TMPDIR": self.folder / "tmp",
            "STT_MODEL_PATH": self.model,
            "AUDIO_ROOTS": self.audio,
            "LOG_FILE": self.folder / "api-server.log",
            "DATABASE_URL": f"sqlite:///{self.folder / 'cases.db'}",
            "VLLM_API_URL": self._llm_url,
        }
        replaced = {**OVERRIDES, **paths, **settings}
        return {**os.environ, **{name: str(value) for name, value in replaced.items()}}

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the program until it ends."""
        return subprocess.run(  # noqa: S603 - our own program
            [*PROGRAM, *arguments],
            env=self.environment(settings),
            check=False,
            capture_output=True,
            encoding="utf-8",
            timeout=START_SEC,
        )


def _link(source: str, target: str) -> str:
    real = Path(source).resolve()
    try:
        os.link(real, target)
    except OSError:  # another file system, which may lack the space for a copy
        Path(target).symlink_to(real)
    return target


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files of a model folder."""
    return sorted({path for pattern in _WEIGHTS for path in folder.rglob(pattern)})


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file that may be a link, and leave its target as it is."""
    path.unlink()
    path.write_bytes(content)


class Server(Target):
    """A running ``stt-engine serve`` and its log lines; ``program`` is what it begins with."""

    def __init__(
        self, sandbox: Sandbox, settings: Mapping[str, str], program: Sequence[str] = PROGRAM
    ) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [*program, "serve", "--port", "0"],
            env=sandbox.environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the drill handles Ctrl-C itself
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        keys = sandbox.settings.api_keys
        super().__init__("", keys[0].get_secret_value() if keys else None)

    def listen(self) -> None:
        """Wait until the server logs its address."""
        self.base = self.wait_for_line(_BOUND.search, START_SEC).group(1)

    def _read(self) -> None:
        if self.process.stdout is None:
            return
        with self.process.stdout as stream:
            for raw in stream:
                with self._more:
                    self.lines.append(raw.decode("utf-8", "replace").rstrip())
                    self._more.notify_all()
        self.process.wait()
        with self._more:
            self._more.notify_all()  # there will be no other line

    def wait_for_line(self, match: Any, bound_sec: float, since: int = 0) -> Any:  # noqa: ANN401
        """Wait for the first line for which ``match`` returns something true, and return that."""
        found: list[Any] = []

        def seen() -> bool:
            found[:] = [result for result in map(match, self.lines[since:]) if result]
            return bool(found) or not self.alive

        with self._more:
            self._more.wait_for(seen, bound_sec)
        if not found:
            last = "; ".join(self.lines[-3:])
            raise DrillError(f"the server did not say what was awaited; its last words: {last}")
        return found[0]

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self.process.poll() is None

    def wait_ready(self) -> None:
        """Wait until the server reports that it is ready."""
        ready = "the server is ready"
        wait_until(ready, lambda: self.get("/health/ready").status in {0, 200}, START_SEC)
        if not self.alive:
            raise DrillError("the server ended: " + "; ".join(self.lines[-3:]))

    def component(self, name: str) -> dict[str, Any]:
        """Return what ``/health`` reports of a component."""
        found = self.get("/health").body.get("components", [])
        return next((one for one in found if one["name"] == name), {})

    def recogniser(self) -> dict[str, Any]:
        """Return the component that holds the model."""
        found = self.get("/health").body.get("components", [])
        loaded = [one for one in found if one.get("loaded") and one["name"] != "audio"]
        return loaded[0] if loaded else {}

    def records(self, since: int) -> list[dict[str, str]]:
        """Return the JSON log records from line ``since`` on."""
        found = []
        for raw in self.lines[since:]:
            with suppress(ValueError):
                found.append(json.loads(raw))
        return [one for one in found if isinstance(one, dict)]

    def close(self) -> None:
        """End the server and every process that it started."""
        pids = [self.process.pid, *descendants(self.process.pid)]
        if self.alive:
            for pid in pids[1:]:
                send(pid, signal.SIGCONT)
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(END_SEC)
        for pid in pids:
            if is_alive(pid):
                send(pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(END_SEC)
