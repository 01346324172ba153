"""Servers that take short clips: the product's, and what people run instead."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from benchmarks.speed import weights
from benchmarks.speed.bench import Bench
from benchmarks.speed.engines import Engine, cores, environment_told
from benchmarks.speed.environments import python_of
from benchmarks.speed.machine import has_bf16
from benchmarks.speed.places import CACHE, LOGS, ROOT, Failed
from benchmarks.speed.processes import end_tree, last_line
from tests.support.server import ApiServer

READY_TIMEOUT_SEC = 120.0


@dataclass
class Server:
    """A running server: its address, its settings, and how it is ended."""

    name: str
    title: str
    settings: str
    base: str
    path: str
    pid: int
    ready_sec: float
    end: Callable[[], None]
    form: dict[str, str] = field(default_factory=dict)


def product(bench: Bench, engine: Engine) -> Server:
    """Start ``stt-engine serve`` with its defaults and the engine's environment.

    Raises:
        Failed: it did not become ready.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        settings = {"stt_model_path": bench.options.model, "ready_interval_sec": 10.0}
        began = time.perf_counter()
        command = Path(python_of(engine.environment)).with_name("stt-engine")
        server = ApiServer(folder, command=(str(command),), **settings | engine.env)
        stack.callback(server.kill)
        try:
            server.wait_ready()
        except AssertionError as error:
            raise Failed(f"{engine.name} did not become ready: {str(error)[-300:]}") from error
        ready = time.perf_counter() - began
        told = ", ".join(environment_told(engine.env)) or "defaults"
        end = stack.pop_all().close
    return Server(
        engine.name, engine.title, told, server.base, "/transcribe", server.process.pid, ready, end
    )


Command = Callable[[Bench, int], list[str]]


@dataclass(frozen=True)
class PeerServer:
    """How a peer's server is started."""

    name: str
    title: str
    environment: str
    command: Command
    settings: Callable[[Bench], str]


def start(bench: Bench, peer: PeerServer) -> Server:
    """Start a peer's server and wait until it answers.

    Raises:
        Failed: it cannot be installed, or ended, or took too long.
    """
    port = _free_port()
    python = python_of(peer.environment)
    command = peer.command(bench, port)
    log = LOGS / f"server-{peer.name}.log"
    LOGS.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [python, *command],
            cwd=ROOT,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": ""},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    base = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.callback(end_tree, process)
        while not _answers(base):
            if process.poll() is not None or time.perf_counter() - began > READY_TIMEOUT_SEC:
                raise Failed(f"{peer.name}: {last_line(log)}")
            time.sleep(0.02)
        ready = time.perf_counter() - began
        end = stack.pop_all().close
    title, told = peer.title, peer.settings(bench)
    path = "/v1/audio/transcriptions"
    return Server(peer.name, title, told, base, path, process.pid, ready, end)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(base: str) -> bool:
    try:
        return httpx2.get(f"{base}/health", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def _minimal(module: str, model: Callable[[Path], Path], **how: object) -> Command:
    """Return the command of the minimal server around a library."""

    def command(bench: Bench, port: int) -> list[str]:
        settings = {
            "module": f"benchmarks.speed.{module}",
            "model": str(model(bench.options.model)),
            "beam": bench.beam,
            "timestamps": True,
            "one_at_a_time": False,
            **how,
        }
        return ["-m", "benchmarks.speed.peer_server", str(port), json.dumps(settings)]

    return command


def _packaged(bench: Bench, port: int) -> list[str]:
    """Return the command of the server from the package index, with the product's beam."""
    config = CACHE / "faster-whisper-server.yaml"
    # JSON is YAML too.
    model = {
        "name": "whisper-1",
        "path": str(bench.options.model),
        "model_options": {"device": "cpu", "compute_type": "int8", "cpu_threads": cores()},
        "transcribe_options": {"beam_size": bench.beam},
    }
    config.write_text(json.dumps({"models": [model]}), "utf-8")
    options = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    return ["-m", "faster_whisper_server", *options]


def peer_servers() -> list[PeerServer]:
    """Return the servers that the product is compared with, all with the product's beam."""
    threads = cores()
    precision = "bf16" if has_bf16() else "f32"
    fw, int8 = "faster-whisper", {"compute_type": "int8"}
    return [
        PeerServer(
            "fw-pool",
            "faster-whisper, minimal server, thread pool",
            fw,
            _minimal("run_faster_whisper", weights.ctranslate2, threads=1, workers=threads, **int8),
            lambda bench: f"int8, beam {bench.beam}, {threads} workers of 1 thread",
        ),
        PeerServer(
            "fw-batched",
            "faster-whisper, minimal server, batched pipeline",
            fw,
            _minimal("run_faster_whisper", weights.ctranslate2, threads=threads, batch=8, **int8),
            lambda bench: f"int8, beam {bench.beam}, batch 8, {threads} threads",
        ),
        PeerServer(
            "faster-whisper-server",
            "faster-whisper-server 0.0.3 (PyPI)",
            "faster-whisper-server",
            _packaged,
            lambda bench: f"int8, beam {bench.beam}, {threads} threads",
        ),
        PeerServer(
            "openvino-genai",
            "openvino-genai, minimal server, one at a time",
            "openvino-genai",
            _minimal(
                "run_openvino_genai",
                weights.openvino,
                threads=threads,
                precision=precision,
                one_at_a_time=True,
            ),
            lambda bench: f"{precision}, beam {bench.beam}, {threads} threads",
        ),
    ]
