"""The entry point of the LLM container: vLLM, or llama.cpp, behind one set of variables.

``serve.py --help`` lists them.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

import settings as settings_module
from log_lines import LOG, to_stdout
from settings import Refused, Settings

CONVERTED = Path("/cache/models")
SHARED_MEMORY_MIB = 500
"""vLLM's processes make buffers of 400 MiB there, and docker's default is 64."""
OWN_VARIABLES = (
    "VLLM_MODEL",
    "VLLM_SERVED_NAME",
    "VLLM_MAX_MODEL_LEN",
    "VLLM_MAX_NUM_SEQS",
    "VLLM_EXTRA_ARGS",
    "VLLM_TARGET",
    "VLLM_PORT",
)
"""vLLM warns of names it does not know, and takes VLLM_PORT for its processes' own talk."""


def main() -> int:
    """Serve until a signal ends it; without a usable model, say why and give 1."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        default = os.environ.get("DEFAULT_MODEL", "none")
        sys.stdout.write(settings_module.USAGE.format(default=default))
        return 0
    to_stdout()
    # As process 1 a program ends by SIGTERM only where it says so.
    signal.signal(signal.SIGTERM, _end)
    _tidy_environment()
    try:
        settings = settings_module.read(os.environ)
        model = settings_module.local_model(settings)
        return _serve(settings, model)
    except Refused as exc:
        for line in str(exc).splitlines():
            LOG.error("%s", line)
        return 1


def _tidy_environment() -> None:
    """Let an empty variable count as not set, and stay off the hub where that is not said."""
    for name, value in tuple(os.environ.items()):
        if name.startswith(("HF_", "VLLM_")) and not value:
            del os.environ[name]
    # Not by ENV of the image: compose unsets what it passes on and does not have.
    if os.environ.get("LLM_TARGET") != "official":
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _serve(settings: Settings, model: Path | None) -> int:
    """Hand over to the server of this image."""
    LOG.info(
        "%s: %s as %s, %d tokens of context, %d requests at once, %d threads",
        settings.target,
        model or settings.model,
        settings.served_name,
        settings.max_model_len,
        settings.max_num_seqs,
        settings.threads,
    )
    if settings.target == "llama":
        from llama_server import serve  # noqa: PLC0415 - its package is in one image only

        if model is None or (gguf := settings_module.gguf_file(model)) is None:
            raise Refused(f"llama.cpp reads GGUF files only, not {settings.model}")
        return serve(settings, gguf)
    shared = shutil.disk_usage("/dev/shm").free >> 20  # noqa: S108 - not a temporary file
    if shared < SHARED_MEMORY_MIB:
        raise Refused(
            f"vLLM needs {SHARED_MEMORY_MIB} MiB of shared memory, and /dev/shm has {shared}:"
            " give docker run --shm-size 1g, or in compose shm_size: 1gb"
        )
    if model is not None and (gguf := settings_module.gguf_file(model)) is not None:
        from convert_gguf import converted  # noqa: PLC0415 - rarely needed

        model = converted(gguf, CONVERTED)
    return _become_vllm(settings, str(model or settings.model))


def _become_vllm(settings: Settings, model: str) -> int:
    """Replace this process with ``vllm serve``."""
    env = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    env["VLLM_CPU_KVCACHE_SPACE"] = str(settings.kv_cache_gib)
    # Bound to cores, two containers would share the first ones and leave the others idle.
    env.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    env.setdefault("OMP_NUM_THREADS", str(settings.threads))
    command = [
        *("vllm", "serve", model),
        *("--served-model-name", settings.served_name),
        *("--host", "0.0.0.0", "--port", str(settings.port)),  # noqa: S104 - see llama_server
        *("--max-model-len", str(settings.max_model_len)),
        *("--max-num-seqs", str(settings.max_num_seqs)),
        "--enforce-eager",  # compiling needs a C++ compiler, and takes minutes
        *settings.extra_args,
    ]
    LOG.info("%s", " ".join(command))
    sys.stdout.flush()
    os.execvpe(command[0], command, env)  # noqa: S606 - no shell is meant


def _end(number: int, _frame: FrameType | None) -> None:
    """Leave at once, with what a shell would report."""
    LOG.info("%s: stopping", signal.Signals(number).name)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
