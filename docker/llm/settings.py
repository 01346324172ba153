"""What the environment asks of the LLM container, and where the model is."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

MODELS = Path("/app/models")
HUB_CACHE = Path("/cache/huggingface/hub")
TARGETS = ("llama", "wheel", "official")
FETCH = """\
Fetch the small default model on the host, into the folder that is mounted at /app/models:
  stt-engine model fetch smollm2-135m-instruct      (or: make models)
or set VLLM_MODEL to a folder or a GGUF file below /app/models."""
USAGE = f"""\
Serve one language model, OpenAI-compatible. Everything is set by the environment:

VLLM_MODEL              a folder or a GGUF file, absolute or below {MODELS}; a hub name where the
                        container may download (HF_HUB_OFFLINE=0). Default here:
                        {{default}}
VLLM_SERVED_NAME        the name that clients ask for (default: from the model's)
VLLM_MAX_MODEL_LEN      tokens of context of one request (8192)
VLLM_MAX_NUM_SEQS       requests at once (4)
VLLM_CPU_KVCACHE_SPACE  GiB for the context of all requests (1); not used by llama.cpp
VLLM_EXTRA_ARGS         more arguments of `vllm serve`; not used by llama.cpp
VLLM_API_KEY            clients must send it as a bearer token (default: no key)
VLLM_PORT               the port in the container (8000)
LLM_THREADS             threads that compute (default: the cores this container may use)
"""


class Refused(Exception):
    """The server cannot start as it was set; the message says what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Everything the servers need to know."""

    target: str
    model: str
    served_name: str
    max_model_len: int
    max_num_seqs: int
    kv_cache_gib: int
    extra_args: tuple[str, ...]
    api_key: str
    port: int
    threads: int


def read(env: Mapping[str, str]) -> Settings:
    """Take the settings from the environment; an empty value counts as not set."""
    target = env.get("LLM_TARGET", "")
    if target not in TARGETS:
        raise Refused(f"LLM_TARGET is {target!r}, but should be one of {', '.join(TARGETS)}")
    model = env.get("VLLM_MODEL") or env.get("DEFAULT_MODEL", "")
    port = env.get("VLLM_PORT", "")
    return Settings(
        target=target,
        model=model,
        served_name=env.get("VLLM_SERVED_NAME") or _name(model),
        max_model_len=_positive(env, "VLLM_MAX_MODEL_LEN", 8192),
        max_num_seqs=_positive(env, "VLLM_MAX_NUM_SEQS", 4),
        kv_cache_gib=_positive(env, "VLLM_CPU_KVCACHE_SPACE", 1),
        extra_args=tuple(shlex.split(env.get("VLLM_EXTRA_ARGS", ""))),
        api_key=env.get("VLLM_API_KEY", ""),
        # Kubernetes sets VLLM_PORT=tcp://... for a service called vllm; that is not meant here.
        port=8000 if "://" in port else _positive(env, "VLLM_PORT", 8000),
        threads=_positive(env, "LLM_THREADS", usable_cores()),
    )


def usable_cores() -> int:
    """Count the cores this container may use: its CPU set, and its quota, which that hides."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup v2 here, or no limit ("max")
        return cores


def local_model(settings: Settings) -> Path | None:
    """Find the model on disk; ``None`` is a hub name that the server may look up itself."""
    name = settings.model
    # `stt-engine model fetch ORG/NAME` makes a folder ORG_NAME.
    for path in (Path(name), MODELS / name, MODELS / name.replace("/", "_")):
        if name and path.is_absolute() and path.exists():
            return path
    is_hub_name = name.count("/") == 1 and not name.startswith(("/", "."))
    if settings.target == "llama" or not is_hub_name:
        raise Refused(f"no model at {MODELS / name}\n{FETCH}")
    cached = HUB_CACHE / f"models--{name.replace('/', '--')}"
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    if offline and not cached.exists():
        raise Refused(f"{name} is not on disk, and HF_HUB_OFFLINE forbids a download\n{FETCH}")
    return None


def gguf_file(path: Path) -> Path | None:
    """Return the GGUF file that ``path`` is or holds; ``None`` where there are other weights."""
    if path.is_file():
        return path
    if any(path.glob("*.safetensors")) or any(path.glob("*.bin")):
        return None
    files = sorted(path.glob("*.gguf"))
    if not files:
        raise Refused(f"{path} holds no weights (*.gguf, *.safetensors)\n{FETCH}")
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise Refused(f"{path} holds several models ({names}): set VLLM_MODEL to one of the files")
    return files[0]


def _name(model: str) -> str:
    """Name the model as its folder, its file without suffix, or its hub name."""
    if model.startswith(("/", ".")) or model.endswith(".gguf"):
        return Path(model).name.removesuffix(".gguf")
    return model


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    """Read a whole number above zero."""
    text = env.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise Refused(f"{name} is {text!r}, but should be a whole number above zero")
    return int(text)
