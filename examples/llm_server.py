"""Run one real LLM server (llama.cpp through xllamacpp) until the process is ended.

``python examples/llm_server.py MODEL.gguf PORT [CONTEXT_TOKENS]``: OpenAI-compatible, on loopback.
"""

from __future__ import annotations

import sys
import threading

import xllamacpp

SLOTS = 2
"""Requests at once; the context is divided among them."""


def main() -> None:
    """Load the model and serve."""
    model, port, *rest = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"smollm2"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = int(rest[0]) if rest else 8192
    params.n_parallel = SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.n_gpu_layers = 0
    params.endpoint_metrics = True
    server = xllamacpp.Server(params)  # returns once the model is loaded
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main()
