"""The servers under drill: the real program in a process and a folder of its own.

The settings are this deployment's; :data:`OVERRIDES` says what every drill replaces, and each
bench of :mod:`api_server.drill.bench` what its faults need besides.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from api_server.drill.asking import DrillError, Target
from api_server.drill.processes import awaited, descendants, is_alive, send
from api_server.settings import Settings

PROGRAM = (sys.executable, "-m", "api_server")
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
    "AGENT_ALLOWED_HOSTS": "127.0.0.1",
    # A proof of readiness in the middle of a fault would be a second call.
    "READY_INTERVAL_SEC": "3600",
    "READY_PROOF_SEC": "3600",
    "AGENT_PROOF_SEC": "0",
}
"""What no drill can leave as it is; folders, log file and LLM server besides."""

_BOUND = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
_WEIGHTS = ("model.bin", "*.safetensors", "*.pt", "*.bin")


class Sandbox:
    """A folder with everything that a server under drill reads and writes.

    The model folder is one of links to the real files: they are replaced and never written to.
    """

    def __init__(self, folder: Path, settings: Settings, llm_url: str) -> None:
        self.folder = folder
        self.settings = settings
        self.audio = folder / "audio"
        self.model = folder / "models" / settings.stt_model_path.name
        self._llm_url = llm_url
        for one in (self.audio, folder / "tmp", self.model.parent):
            one.mkdir()
        self.put_model(self.model)

    def put_model(self, target: Path) -> Path:
        """Put links to this deployment's model into a folder."""
        source = self.settings.stt_model_path.resolve()
        if not source.is_dir():
            raise DrillError(f"{self.settings.stt_model_path} is no model folder: fetch one first")
        shutil.copytree(source, target, copy_function=_linked)
        return target

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Give the environment of a server with ``settings`` replaced."""
        own = {
            "TMPDIR": self.folder / "tmp",
            "STT_MODEL_PATH": self.model,
            "AUDIO_ROOTS": self.audio,
            "LOG_FILE": self.folder / "api-server.log",
            "VLLM_API_URL": self._llm_url,
        }
        chosen = {**OVERRIDES, **own, **settings}
        return {**os.environ, **{name: str(value) for name, value in chosen.items()}}

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the program to its end."""
        return subprocess.run(  # noqa: S603 - our own program
            [*PROGRAM, *arguments],
            env=self.environment(settings),
            check=False,
            capture_output=True,
            encoding="utf-8",
            timeout=START_SEC,
        )


def _linked(source: str, target: str) -> str:
    real = Path(source).resolve()
    try:
        os.link(real, target)
    except OSError:  # another file system; the weights may be larger than what is free here
        Path(target).symlink_to(real)
    return target


def weights(folder: Path) -> list[Path]:
    """Give a model folder's files of weights."""
    return sorted({path for pattern in _WEIGHTS for path in folder.rglob(pattern)})


def replaced(path: Path, content: bytes) -> None:
    """Put another file in the place of one that may be a link to the real one."""
    path.unlink()
    path.write_bytes(content)


class Server(Target):
    """One running ``stt-engine serve``, with its log as it is written."""

    def __init__(self, sandbox: Sandbox, settings: Mapping[str, str]) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [*PROGRAM, "serve", "--port", "0"],
            env=sandbox.environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is the drill's to handle
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        keys = sandbox.settings.api_keys
        super().__init__("", keys[0].get_secret_value() if keys else None)

    def listen(self) -> None:
        """Wait until the server says where it listens."""
        self.base = self.line(_BOUND.search, START_SEC).group(1)

    def _read(self) -> None:
        if self.process.stdout is None:
            return
        with self.process.stdout as stream:
            for raw in stream:
                with self._more:
                    self.lines.append(raw.decode("utf-8", "replace").rstrip())
                    self._more.notify_all()

    def line(self, wanted: Any, bound_sec: float, since: int = 0) -> Any:  # noqa: ANN401
        """Wait for the first line of which ``wanted`` is true; give what it gave."""
        found: list[Any] = []

        def seen() -> bool:
            found[:] = [told for told in map(wanted, self.lines[since:]) if told]
            return bool(found) or not self.alive

        with self._more:
            self._more.wait_for(seen, bound_sec)
        if not found:
            said = "; ".join(self.lines[-3:])
            raise DrillError(f"the server did not say what was awaited; its last words: {said}")
        return found[0]

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self.process.poll() is None

    def wait_ready(self) -> None:
        """Wait until the server says that it can do its work."""
        ready = "the server is ready"
        awaited(ready, lambda: self.get("/health/ready").status in {0, 200}, START_SEC)
        if not self.alive:
            raise DrillError("the server ended: " + "; ".join(self.lines[-3:]))

    def component(self, name: str) -> dict[str, Any]:
        """Give what ``/health`` tells of a component."""
        found = self.get("/health").body.get("components", [])
        return next((one for one in found if one["name"] == name), {})

    def recogniser(self) -> dict[str, Any]:
        """Give the component that holds the model."""
        found = self.get("/health").body.get("components", [])
        loaded = [one for one in found if one.get("loaded") and one["name"] != "audio"]
        return loaded[0] if loaded else {}

    def records(self, since: int) -> list[dict[str, str]]:
        """Give the log's lines from number ``since`` on."""
        found = []
        for raw in self.lines[since:]:
            with suppress(ValueError):
                found.append(json.loads(raw))
        return [one for one in found if isinstance(one, dict)]

    def close(self) -> None:
        """End the server, and with it every process that it started."""
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
