"""Run the tests of the torch backends in an environment of their own, where that is reasonable.

On a plain x86-64 index ``torch`` is several gigabytes of CUDA. This asks pip what it would take,
downloads nothing for it, and where the answer is such a build it reports the tests as skipped,
with the command that would run them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

TORCH = "torch==2.13.0"
HERE = Path(__file__).parent
SKIPPED = f"""\
SKIPPED: the tests of the transformers and openai-whisper backends.
  pip would take a multi-gigabyte CUDA build of {TORCH} here. With PyTorch's own index of CPU
  builds (see "Get started" on pytorch.org for its address) they run:
    PIP_INDEX_URL=<that address> make test-torch
0 passed, 0 failed, 1 skipped"""


def main() -> int:
    """Return the exit code of pytest, or 0 where the tests were skipped."""
    plain, own = Path(sys.argv[1]), Path(sys.argv[2])
    stamp = own / ".installed"
    if not stamp.exists():
        if not _is_cpu_build(plain / "pip"):
            sys.stdout.write(f"{SKIPPED}\n")
            return 0
        _install(own)
        stamp.touch()
    command = [own / "bin" / "pytest", "-m", "torch", "tests/torch"]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own environment


def _is_cpu_build(pip: Path) -> bool:
    """Ask pip what it would install; CUDA builds require nvidia's packages."""
    asked = subprocess.run(  # noqa: S603
        [
            pip,
            "install",
            "--dry-run",
            "--ignore-installed",
            "--no-deps",
            "-q",
            "--report",
            "-",
            TORCH,
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if asked.returncode:
        raise SystemExit(f"pip cannot say what {TORCH} is here:\n{asked.stderr}")
    report = json.loads(asked.stdout[asked.stdout.index("{") :])
    needs = report["install"][0]["metadata"].get("requires_dist", [])
    return not any(need.startswith(("nvidia", "cuda")) for need in needs)


def _install(own: Path) -> None:
    """Make the environment: the locked one, the locked extras, then torch."""
    pip = [own / "bin" / "pip", "install", "-q"]
    locked = [*pip, "--require-hashes"]
    steps: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", own],
        [*locked, "-r", HERE / "bootstrap.lock"],
        [*locked, "-r", HERE / "dev.lock"],
        [*pip, "--no-deps", TORCH],
        [*locked, "--no-deps", "--no-build-isolation", "-r", HERE / "torch-backends.lock"],
        [*pip, "--no-deps", "--no-build-isolation", "-e", "."],
    ]
    for step in steps:
        sys.stdout.write(f"-- {' '.join(map(str, step))}\n")
        sys.stdout.flush()
        subprocess.run(step, check=True, env=os.environ)  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
