"""One virtual environment for each peer, from a file with every version pinned."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.speed.places import ENVIRONMENTS, PEERS, Failed, progress

PRODUCT = "product"
"""The environment that this program itself runs in."""

PIP = ("pip", "--disable-pip-version-check")


def python_of(name: str) -> str:
    """Return the Python of an environment, which is made first where it is not there.

    The path of a Python is one, too.
    """
    if name == PRODUCT:
        return sys.executable
    if Path(name).is_absolute():
        return name
    folder = ENVIRONMENTS / name
    wanted = PEERS / f"{name}.txt"
    stamp = folder / ".installed"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    python = str(folder / "bin" / "python")
    if stamp.is_file() and stamp.read_text("utf-8") == digest:
        return python
    progress(f"installing {name} (once)")
    shutil.rmtree(folder, ignore_errors=True)
    _run(name, sys.executable, "-m", "venv", str(folder))
    # The listed packages are complete: no resolver, nothing beside them.
    _run(name, python, "-m", *PIP, "install", "-q", "--no-deps", "-r", str(wanted))
    stamp.write_text(digest, "utf-8")
    return python


def _run(name: str, *command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise Failed(f"{name} cannot be installed: {' '.join(errors) or done.stderr[-300:]}")
