"""Whether OpenVINO can help on this machine: the units of its CPU, and the library.

Imports nothing heavy, so that the parent process may ask too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

LIBRARY = "openvino"
BF16_UNITS = ("amx_bf16", "avx512_bf16")
"""Flags of CPUs that multiply bfloat16 themselves, the fastest first. Others emulate it slowly."""

INT8_UNITS = ("avx512_vnni", "avx_vnni")
"""Flags of CPUs that multiply and add 8-bit integers in one go."""

_CPUINFO = Path("/proc/cpuinfo")


def cpu_flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """List what the first CPU says it can do; empty where the system does not tell (macOS)."""
    if not cpuinfo.exists():
        return frozenset()
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    first = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(first.partition(":")[2].split())


def cpu_units() -> str | None:
    """Name the CPU's best bfloat16 units, one of :data:`BF16_UNITS`; ``None`` where it has none."""
    flags = cpu_flags()
    return next((unit for unit in BF16_UNITS if unit in flags), None)


def int8_units() -> str | None:
    """Name the CPU's units for 8-bit integers, one of :data:`INT8_UNITS`."""
    flags = cpu_flags()
    return next((unit for unit in INT8_UNITS if unit in flags), None)


def has_library() -> bool:
    """Whether OpenVINO is installed; it is not imported."""
    return importlib.util.find_spec(LIBRARY) is not None
