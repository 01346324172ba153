"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

FLAGS = (
    "avx2 avx_vnni avx512f avx512_vnni avx512_bf16 avx512_fp16 amx_tile amx_int8 amx_bf16"
).split()
"""The processor features that matrix products use."""


@cache
def _processor() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    first = path.read_text("utf-8").split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def flags() -> list[str]:
    """Return the features that this processor has, of those that matter here."""
    own = _processor().get("flags", "").split()
    return [flag for flag in FLAGS if flag in own]


def has_bf16() -> bool:
    """Return whether the processor multiplies bfloat16."""
    return bool({"avx512_bf16", "amx_bf16"} & set(flags()))


def facts() -> dict[str, Any]:
    """Return everything that a reader needs to interpret the numbers."""
    return {
        "processor": _processor().get("model name", platform.processor() or platform.machine()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "features": flags(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("ctranslate2", "faster-whisper", "numpy")},
        "load_before": round(os.getloadavg()[0], 2),
    }
