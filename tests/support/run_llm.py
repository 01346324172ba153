"""Run one real LLM server (llama.cpp through xllamacpp) until the process is ended.

``python tests/support/run_llm.py MODEL.gguf PORT [CONTEXT_TOKENS]``
"""

import sys
import threading

import xllamacpp


def main() -> None:
    model, port, *rest = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"smollm2"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = int(rest[0]) if rest else 8192
    params.n_parallel = 2  # the context is divided among them
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.n_gpu_layers = 0
    params.endpoint_metrics = True
    server = xllamacpp.Server(params)  # returns once the model is loaded
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main()
