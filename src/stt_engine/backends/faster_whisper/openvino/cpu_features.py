"""Whether OpenVINO can help on this machine: the units of its CPU, and the library.

Imports nothing heavy, so that the parent process may ask too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

LIBRARY = "openvino"
UNITS = ("amx_bf16", "avx512_vnni", "avx_vnni")
"""Flags of CPUs with units for products of matrices: tiles of bfloat16, or rows of 8-bit integers;
the fastest first."""

_CPUINFO = Path("/proc/cpuinfo")


def cpu_flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """List what the first CPU says it can do; empty where the system does not tell (macOS)."""
    if not cpuinfo.exists():
        return frozenset()
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    first = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(first.partition(":")[2].split())


def cpu_units() -> str | None:
    """Name the CPU's best units, one of :data:`UNITS`; ``None`` where it has none."""
    flags = cpu_flags()
    return next((unit for unit in UNITS if unit in flags), None)


def has_library() -> bool:
    """Whether OpenVINO is installed; it is not imported."""
    return importlib.util.find_spec(LIBRARY) is not None
