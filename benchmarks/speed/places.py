"""Paths, time-outs and progress output."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"
ENVIRONMENTS = ROOT / ".venv-bench"
CACHE = ROOT / ".cache" / "bench"
AUDIO = CACHE / "audio"
WEIGHTS = CACHE / "weights"
LOGS = CACHE / "logs"
TEXTS = CACHE / "texts"
KOREAN = ROOT.parent / "shared" / "audio"

_BEGAN = time.monotonic()


class Failed(Exception):
    """Something of a run did not work; the table says so, with this reason."""


def progress(text: str) -> None:
    """Tell on stderr what is being done."""
    sys.stderr.write(f"[{time.monotonic() - _BEGAN:7.1f} s] {text}\n")
    sys.stderr.flush()


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a step of the preparation in the project's folder.

    Raises:
        Failed: with the last line of its output.
    """
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise Failed(f"{Path(command[0]).name} {command[2]}: {said[-1] if said else 'no reason'}")
