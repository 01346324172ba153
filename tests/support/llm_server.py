"""A real LLM server in a process of its own, to be asked, stopped and killed."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[2]
MODEL_NAME = "smollm2-135m-instruct"
READY_SEC = 90.0
_POLL_SEC = 0.02


def model_file() -> Path:
    """Return the GGUF file, fetched where the project can; never a reason to skip."""
    if importlib.util.find_spec("stt_engine.model_store.store") is not None:
        from stt_engine.model_store.store import ensure_model_exists  # noqa: PLC0415

        ensure_model_exists(MODEL_NAME, ROOT / "models")
    found = ROOT / "models" / MODEL_NAME / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert found.is_file(), f"{found} is missing: fetch the model {MODEL_NAME} first"
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LlmServer:
    """One llama.cpp server; ends with its process group."""

    def __init__(self, log: Path, context: int = 4096, port: int | None = None) -> None:
        self.port = port or free_port()
        self._log = log
        command = [
            sys.executable,
            str(ROOT / "examples" / "llm_server.py"),
            str(model_file()),
            str(self.port),
            str(context),
        ]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.base}/v1/chat/completions"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait(timeout=30)

    def wait_ready(self) -> None:
        """Wait until the model is loaded."""
        self._wait_for("/health", "")

    def wait_busy(self) -> None:
        """Wait until it is working on a request."""
        self._wait_for("/metrics", "llamacpp:requests_processing 1")

    def _wait_for(self, path: str, words: str) -> None:
        until = time.monotonic() + READY_SEC
        with httpx2.Client(base_url=self.base, trust_env=False, timeout=5) as client:
            while time.monotonic() < until:
                code = self.process.poll()
                assert code is None, f"LLM server ended with {code}: {self._log.read_text()}"
                if self._says(client, path, words):
                    return
                time.sleep(_POLL_SEC)
        raise AssertionError(f"no {words!r} on {path} in {READY_SEC}s: {self._log.read_text()}")

    def _says(self, client: httpx2.Client, path: str, words: str) -> bool:
        try:
            found = client.get(path)
        except httpx2.TransportError:
            return False
        return found.status_code == httpx2.codes.OK and words in found.text


@contextmanager
def llm_server(folder: Path, context: int = 4096, *, ready: bool = True) -> Iterator[LlmServer]:
    """Run a server for the length of a block, with its log in ``folder``."""
    server = LlmServer(folder / "llm.log", context)
    try:
        if ready:
            server.wait_ready()
        yield server
    finally:
        server.kill()
