"""Make the environment that the LLM image ships: the locked packages of one target, without CUDA.

``build_venv.py wheel|llama FOLDER``: run while the image is built, by a Python with the locked pip.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import json
import py_compile
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import fix_vllm

HERE = Path(__file__).parent
LOCKS = {"llama": "llm-llama.lock", "wheel": "llm-vllm.lock"}
TORCH = "torch==2.13.0"
"""Not in the lock: its builds for CPUs come from different places on different machines."""
CUDA = re.compile(r"^(nvidia|cuda|triton|cupy)\b|^pytorch.triton", re.IGNORECASE)
UNWANTED = ("torchvision", "torchaudio", "torchcodec")
"""They resolve to builds that fail at import, and text needs none of them."""


def main() -> int:
    """Build, check, and make small."""
    target, folder = sys.argv[1], Path(sys.argv[2])
    venv.create(folder, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    pip += ["--no-compile", "--no-deps", "-q"]
    if target == "wheel":
        _refuse_cuda_torch(pip)
        _say(f"installing {TORCH}")
        _run([*pip, TORCH])
    lock = HERE / LOCKS[target]
    _say(f"installing {lock.name}")
    _run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(lock)])
    site = next(folder.glob("lib/python3*/site-packages"))
    if target == "wheel":
        fix_vllm.add_metadata(site)
    _check(site)
    _prune(site)
    # The root file system is read-only later: without bytecode each start would compile again.
    compileall.compile_dir(
        site, quiet=2, workers=0, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    return 0


def _refuse_cuda_torch(pip: list[str]) -> None:
    """Ask pip what it would take, before it downloads gigabytes."""
    asked = _run([*pip, "--dry-run", "--report", "-", TORCH])
    needs = json.loads(asked)["install"][0]["metadata"].get("requires_dist", [])
    cuda = [need for need in needs if CUDA.match(need)]
    if cuda:
        raise SystemExit(
            f"the index offers a CUDA build of {TORCH} (it needs {cuda[0].split()[0]} and"
            f" {len(cuda) - 1} more): give PyTorch's index of CPU builds as the build argument"
            " PIP_EXTRA_INDEX_URL, or fill docker/wheelhouse/wheel (docker/make_wheelhouse.py)"
        )


def _check(site: Path) -> None:
    """Fail where anything of CUDA, or an unwanted package, came in."""
    names = {found.name for found in importlib.metadata.distributions(path=[str(site)])}
    bad = sorted(name for name in names if CUDA.match(name) or name in UNWANTED)
    if bad:
        raise SystemExit(f"not wanted in the image: {', '.join(bad)}")
    version = site / "torch" / "version.py"
    if version.exists() and "cuda: Optional[str] = None" not in version.read_text("utf-8"):
        raise SystemExit(f"torch is a CUDA build:\n{version.read_text('utf-8')}")


def _prune(site: Path) -> None:
    """Take away what only developers of these packages use."""
    for name in ("numba", "sympy", "networkx"):
        for tests in sorted((site / name).glob("**/tests"), reverse=True):
            shutil.rmtree(tests)
    for name in ("include", "share"):
        shutil.rmtree(site / "torch" / name, ignore_errors=True)


def _run(command: list[str]) -> str:
    """Run, and end the build with the program's own words where it fails."""
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{done.stdout}failed: {' '.join(command)}")
    return done.stdout


def _say(text: str) -> None:
    """Show progress at once."""
    sys.stdout.write(f"-- {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
