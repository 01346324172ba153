"""Run a fast part of the tests on every Python that the package says it works on.

``python requirements/pythons.py [VERSION...]``: a virtual environment a version below ``.venvs``,
with the pinned dependencies; a version that is not on this machine is skipped, and said so.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venvs"
TESTS = (
    "tests/spec/test_stt_contract.py",
    "tests/unit/test_sound_opening.py",
    "tests/unit/test_cli_ending.py",
    "tests/api/test_docs_pages.py",
    "tests/api/test_health.py",
    "tests/e2e/test_cli.py::test_transcribe_json",
    "tests/e2e/test_cli.py::test_serve_ends_cleanly",
)
"""The library hears the sample call, the command line ends well, the server answers."""

_PREFIX = "Programming Language :: Python :: 3."


def versions() -> list[str]:
    """Return the versions that the package's classifiers name: those that are to be tried."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [f"3.{one.removeprefix(_PREFIX)}" for one in project["classifiers"] if _PREFIX in one]


def interpreter(version: str) -> str | None:
    """Return the program of a version: on the path, or one of pyenv's."""
    installed = (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python")
    for found in (*sorted(map(str, installed), reverse=True), shutil.which(f"python{version}")):
        if found and _run([found, "-c", "import ensurepip"], quiet=True):
            return found
    return None


def tried(version: str, python: str) -> bool:
    """Return whether the tests pass on one Python."""
    folder = FOLDER / version
    pip = [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
    steps = (
        [python, "-m", "venv", str(folder)],
        [*pip, "--require-hashes", "-r", "requirements/bootstrap.lock"],
        [*pip, "--require-hashes", "-r", "requirements/dev.lock"],
        [*pip, "--no-deps", "--no-build-isolation", "-e", "."],
        [str(folder / "bin" / "python"), "-m", "pytest", "-p", "no:cacheprovider", *TESTS],
    )
    return all(_run(step) for step in steps)


def _run(command: list[str], *, quiet: bool = False) -> bool:
    output = subprocess.DEVNULL if quiet else None
    ran = subprocess.run(  # noqa: S603 - our own words
        command, cwd=ROOT, check=False, stdout=output, stderr=output
    )
    return ran.returncode == 0


def main() -> int:
    """Try each version; return 0 where none failed."""
    passed, failed, skipped = [], [], []
    for version in sys.argv[1:] or versions():
        python = interpreter(version)
        if python is None:
            skipped.append(version)
            continue
        print(f"-- Python {version}: {python}", flush=True)  # noqa: T201
        (passed if tried(version, python) else failed).append(version)
    told = {"passed": passed, "failed": failed, "not on this machine": skipped}
    print("; ".join(f"{what}: {', '.join(which) or 'none'}" for what, which in told.items()))  # noqa: T201
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
