"""llama.cpp's own OpenAI-compatible server, through xllamacpp."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from pathlib import Path
from types import FrameType

import xllamacpp
from log_lines import LOG
from settings import Refused, Settings

GRACE_SEC = 5.0
"""How long requests in flight may take to end; docker kills after 10 seconds."""


def serve(settings: Settings, model: Path) -> int:
    """Load, answer until SIGTERM or SIGINT, and give the exit code."""
    events: queue.SimpleQueue[str | Exception] = queue.SimpleQueue()

    def stop(number: int, _frame: FrameType | None) -> None:
        events.put(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # Loading blocks its thread, and signals reach Python in the main one only.
    threading.Thread(target=_load, args=(settings, model, events), daemon=True).start()
    event = events.get()
    if event == "ready":
        LOG.info("ready: %s on port %d", settings.served_name, settings.port)
        event = events.get()
    if isinstance(event, Exception):
        raise Refused(f"llama.cpp cannot serve {model}: {event}")
    LOG.info("%s: stopping", event)
    _close()
    LOG.info("stopped")
    # Nothing is left to clean, and a thread that still loads would hold a normal exit back.
    os._exit(0)


_servers: list[xllamacpp.Server] = []


def _load(settings: Settings, model: Path, events: queue.SimpleQueue[str | Exception]) -> None:
    """Start the server in this thread and say how it went."""
    try:
        _servers.append(xllamacpp.Server(_parameters(settings, model)))
    except Exception as exc:  # noqa: BLE001 - told by the main thread
        events.put(exc)
    else:
        events.put("ready")


def _close() -> None:
    """End the server, which lets go of its port; never wait longer than the grace."""
    closing = threading.Thread(target=_servers.clear, daemon=True)
    begun = time.monotonic()
    closing.start()
    closing.join(GRACE_SEC)
    if closing.is_alive():
        LOG.warning("requests were cut off after %.0f s", time.monotonic() - begun)


def _parameters(settings: Settings, model: Path) -> xllamacpp.CommonParams:
    """Translate the settings to llama.cpp's."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {settings.served_name}
    params.hostnames = ["0.0.0.0"]  # noqa: S104 - the container's network is the boundary
    params.port = settings.port
    params.n_parallel = settings.max_num_seqs
    params.n_ctx = settings.max_model_len * settings.max_num_seqs
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.n_gpu_layers = 0
    params.n_batch = 512  # a long prompt must not hold short requests back for long
    params.endpoint_metrics = True
    params.offline = True
    if settings.api_key:
        params.api_keys = [settings.api_key]
    return params
