"""The real containers: compose commands on the project's own files, over a folder of copies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.support.models import smollm2, whisper_base
from tests.support.sounds import first_seconds

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "docker" / "docker-compose.local.yml"
PRODUCTION = ROOT / "docker" / "docker-compose.yml"
API, STT, LLM = "api-server-local", "stt-model", "vllm-local"
PORTS = {API: 8003, STT: 8001, LLM: 8000}
START_SEC = 300.0
CALL_SEC = 400.0
AGENT_URL = "http://vllm:8000/v1/chat/completions"
TOUR_RUBRIC = "/app/examples/tour_rubric.toml"
WHISPER = "Systran_faster-whisper-base"
SMOLLM2 = "smollm2-135m-instruct"
IMAGES = {
    "api-server": "stt-engine-api-local:latest",
    "stt-model": "stt-engine-local:latest",
    "vllm (llama)": "stt-engine-llm-local:llama",
    "vllm (wheel)": "stt-engine-llm-local:wheel",
}
SECONDS = 20
"""Length of the recording: enough to be broken in the middle."""
_NOBODY = 1000
_TICK_SEC = 0.2


def run(*command: str | Path, timeout: float = 600, **env: str) -> str:
    """Run a command in the checkout; give its stdout, or fail with all that it said."""
    ran = subprocess.run(
        [str(one) for one in command],
        cwd=ROOT,
        env={**os.environ, **env},
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert ran.returncode == 0, f"{command}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def docker(*arguments: str, timeout: float = 600) -> str:
    return run("docker", *arguments, timeout=timeout).strip()


def compose_command() -> list[str]:
    """``docker compose`` where that is installed, else ``docker-compose``."""
    found = subprocess.run(["docker", "compose", "version"], check=False, capture_output=True)
    return ["docker", "compose"] if found.returncode == 0 else ["docker-compose"]


def inspect(container: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("inspect", container))[0]
    return found


def health(container: str) -> str:
    return str(inspect(container)["State"].get("Health", {}).get("Status", "none"))


def logs(container: str) -> str:
    command = ["docker", "logs", container]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    return ran.stdout + ran.stderr


def awaited(fact: Callable[[], Any], what: str, seconds: float = START_SEC) -> float:
    """Wait until ``fact()`` is true (an answer that does not come is not); give the seconds."""
    began = time.monotonic()
    while True:
        try:
            if fact():
                return time.monotonic() - began
        except (httpx2.HTTPError, AssertionError):
            pass
        assert time.monotonic() - began < seconds, f"waited {seconds} s in vain: {what}"
        time.sleep(_TICK_SEC)


def get(container: str, path: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{PORTS[container]}{path}", timeout=20, trust_env=False)


def post(container: str, path: str, **form: str) -> httpx2.Response:
    url = f"http://127.0.0.1:{PORTS[container]}{path}"
    return httpx2.post(url, data=form, timeout=CALL_SEC, trust_env=False)


def transcribe(container: str = API, **form: str) -> dict[str, Any]:
    """Send the sample call by its path in the container."""
    given = {"file_path": "/app/audio/test.wav", "language": "en", **form}
    response = post(container, "/transcribe", **given)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


CHECK = {"incomplete_elements_check": "true", "agent_url": AGENT_URL, "timeout": "240"}


@dataclass
class Stack:
    """The services of one compose file, over copies of models, recordings and logs."""

    folder: Path
    file: Path = LOCAL
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("models", "audio", "logs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.put_models()
        call = first_seconds(ROOT / "audio" / "sample_call.wav", SECONDS)
        (self.folder / "audio" / "test.wav").write_bytes(call)
        self._give_away()

    def put_models(self) -> None:
        """Copy the real weights to where the containers look for them."""
        for source, name in ((whisper_base(), WHISPER), (smollm2().parent, SMOLLM2)):
            if not (self.folder / "models" / name).exists():
                shutil.copytree(source, self.folder / "models" / name)
        self._give_away()

    def _give_away(self) -> None:
        """Containers do not run as root, so what root has copied has to be theirs."""
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, _NOBODY, _NOBODY)

    @property
    def environment(self) -> dict[str, str]:
        owner = os.geteuid() or _NOBODY
        return {
            "MODELS_DIR": str(self.folder / "models"),
            "AUDIO_DIR": str(self.folder / "audio"),
            "LOGS_DIR": str(self.folder / "logs"),
            "STT_UID": str(owner),
            "STT_GID": str(os.getegid() if os.geteuid() else _NOBODY),
            "VLLM_TARGET": "llama",
            "RUBRIC_PATH": TOUR_RUBRIC,
            "COMPOSE_PROJECT_NAME": "stt-test",
            **self.settings,
        }

    def compose(self, *arguments: str, timeout: float = 900) -> str:
        command = [*compose_command(), "-f", self.file, *arguments]
        return run(*command, timeout=timeout, **self.environment)

    def up(self, *services: str) -> None:
        self.compose("up", "-d", "--no-build", *services)

    def down(self) -> None:
        self.compose("down", "--volumes", "--timeout", "10")


@contextmanager
def stack(folder: Path, *services: str, file: Path = LOCAL, **settings: str) -> Iterator[Stack]:
    """Run services for the length of a block; their logs are shown where it fails."""
    found = Stack(folder, file, settings)
    found.down()
    try:
        found.up(*services)
        yield found
    except BaseException:
        print(found.compose("logs", "--no-color", "--tail", "60"))  # noqa: T201
        raise
    finally:
        found.down()


def wait_healthy(*containers: str) -> None:
    """Wait until Docker itself says that they are healthy."""
    for container in containers:
        awaited(lambda name=container: health(name) == "healthy", f"{container} is healthy")
