"""Download what an image is built from, so that it can be built without any network.

``python docker/make_wheelhouse.py server|llama|wheel ... [--into FOLDER] [--arch x86_64|aarch64]``

For each image, ``FOLDER/<image>/`` gets the wheels of its locks for Linux, the image's Python and
the architecture, each verified by its hash in the lock; an image's build asks no index once wheels
are there. The two LLM images also get two Debian packages, by a container of the base image.
pip's own configuration says where the index is, as always. What is there already is kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pip._vendor.packaging.markers import Marker

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE.parent / "requirements"
LOCKS = {
    "server": ("bootstrap.lock", "runtime.lock"),
    "llama": ("bootstrap.lock", "llm-llama.lock"),
    "wheel": ("bootstrap.lock", "llm-vllm.lock"),
}
TORCH = "torch==2.13.0"
"""Only in the image `wheel`, and in no lock: its CPU builds come from different places."""
DEBS = ("libgomp1", "libnuma1")
"""What the LLM images' binaries need beside the base image."""
BASE_IMAGE = os.environ.get("BASE_IMAGE") or "python:3.11-slim-bookworm"
PYTHON = "3.11"
GLIBC_MINOR = 36
"""Debian 12's; wheels for older ones run there too."""
DOCKER_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
CUDA = re.compile(r"^(nvidia|cuda|triton)", re.IGNORECASE)
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+) *(?:; *(?P<marker>.*))?$")
CHUNK = 1 << 20


class Failed(Exception):
    """It cannot go on; the message says why, and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock."""

    name: str
    version: str
    hashes: frozenset[str]

    def line(self) -> str:
        """Return the line of a requirements file."""
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in sorted(self.hashes))
        return f"{self.name}=={self.version} {hashes}\n"


def main() -> int:
    """Fill the folders that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="+", choices=tuple(LOCKS), metavar="server|llama|wheel")
    parser.add_argument("--into", type=Path, default=HERE / "wheelhouse", metavar="FOLDER")
    parser.add_argument("--arch", choices=tuple(DOCKER_ARCH), default=_this_arch())
    wanted = parser.parse_args()
    for image in wanted.images:
        try:
            _fill(image, wanted.into / image, wanted.arch)
        except Failed as exc:
            sys.stderr.write(f"{image}: {exc}\n")
            return 1
    return 0


def _this_arch() -> str:
    """Name this machine's architecture as Linux does."""
    machine = platform.machine().lower()
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)


def _fill(image: str, folder: Path, arch: str) -> None:
    """Bring one folder to exactly what its image needs."""
    folder.mkdir(parents=True, exist_ok=True)
    locks = [tuple(_read_lock(REQUIREMENTS / lock, arch)) for lock in LOCKS[image]]
    pins = [pin for lock in locks for pin in lock]
    missing, stale = _compare(pins, folder, arch)
    torch = _torch_wheel(folder, arch) if image == "wheel" else None
    for file in stale:
        if file != torch:
            _say(f"{image}: removing {file.name}, which is of another lock or architecture")
            file.unlink()
    if missing:
        _say(f"{image}: {len(missing)} of {len(pins)} wheels are missing")
        for lock in locks:  # one by one: two locks may pin a package differently
            _download([pin for pin in lock if pin in missing], folder, arch)
        left, _ = _compare(pins, folder, arch)
        if left:
            raise Failed(f"pip did not bring {', '.join(pin.name for pin in left)}")
    if image == "wheel" and torch is None:
        _refuse_cuda(arch)
        _pip_download([TORCH], folder, arch, 1)
    if image != "server":
        _debs(image, folder, arch)
    size = sum(file.stat().st_size for file in folder.iterdir())
    count = len(list(folder.glob("*.whl")))
    _say(f"{image}: complete, {count} wheels for {arch} ({size >> 20} MiB) in {folder}")


def _read_lock(lock: Path, arch: str) -> Iterator[Pin]:
    """Yield the packages of a lock that Linux on ``arch`` installs."""
    # The image's environment, not this machine's.
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": arch,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{PYTHON}.9",
        "python_version": PYTHON,
        "sys_platform": "linux",
    }
    for line in lock.read_text("utf-8").replace("\\\n", " ").splitlines():
        head, *hashes = line.split("--hash=sha256:")
        if not hashes:
            continue
        pin = PIN.match(head.strip())
        if pin is None:
            raise Failed(f"{lock.name}: not a pinned package: {head.strip()}")
        if not pin["marker"] or Marker(pin["marker"]).evaluate(environment):
            yield Pin(pin["name"], pin["version"], frozenset(text.strip() for text in hashes))


def _compare(pins: list[Pin], folder: Path, arch: str) -> tuple[list[Pin], list[Path]]:
    """Return the packages without a wheel here, and the wheels that no package wants."""
    digests = {}
    stale = []
    for file in sorted(folder.glob("*.whl")):
        digest = _sha256(file)
        known = any(digest in pin.hashes for pin in pins)
        if known and (file.stem.endswith("-any") or file.stem.endswith(f"_{arch}")):
            digests[digest] = file
        else:
            stale.append(file)
    return [pin for pin in pins if not pin.hashes & digests.keys()], stale


def _sha256(file: Path) -> str:
    """Hash a file of any size."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _download(pins: list[Pin], folder: Path, arch: str) -> None:
    """Download wheels, verified by their hashes."""
    if not pins:
        return
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text("".join(pin.line() for pin in pins), encoding="utf-8")
        _pip_download(["--require-hashes", "-r", str(wanted)], folder, arch, len(pins))


def _platform(arch: str) -> list[str]:
    """Name the image's platform to pip; this machine's may be another."""
    names = [f"manylinux_2_{minor}_{arch}" for minor in range(GLIBC_MINOR, 4, -1)]
    names += [f"manylinux2014_{arch}", f"manylinux2010_{arch}", f"manylinux1_{arch}"]
    options = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON]
    return [*options, *(f"--platform={name}" for name in [*names, f"linux_{arch}"])]


def _pip_download(what: list[str], folder: Path, arch: str, count: int) -> None:
    """Run pip, and show a line for each package."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    command += ["--no-deps", "--progress-bar", "off", *_platform(arch), "-d", str(folder), *what]
    done = 0
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(  # noqa: S603 - our own arguments
            command, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as pip,
    ):
        for line in pip.stdout or ():
            if line.startswith(("Collecting ", "Processing ")):
                done += 1
                _say(f"  [{done}/{count}] {Path(line.split()[1]).name}")
        code = pip.wait()
        errors.seek(0)
        said = [line for line in errors if not line.startswith("WARNING")]
    if code:
        raise Failed(f"pip could not download a wheel for {arch}:\n{''.join(said).rstrip()}")


def _torch_wheel(folder: Path, arch: str) -> Path | None:
    """Find torch's wheel of the right version and architecture."""
    name = TORCH.replace("==", "-")
    for file in folder.glob(f"{name}[-+]*_{arch}.whl"):
        return file
    return None


def _refuse_cuda(arch: str) -> None:
    """Ask pip which torch it would take; builds for CUDA require nvidia's packages."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    command += ["--dry-run", "--ignore-installed", "--no-deps", "--report", "-", "--target", "."]
    asked = subprocess.run(  # noqa: S603 - our own arguments
        [*command, *_platform(arch), TORCH], check=False, capture_output=True, text=True
    )
    if asked.returncode:
        raise Failed(f"pip finds no {TORCH} for {arch}:\n{asked.stderr.rstrip()}\n{_CPU_INDEX}")
    report = json.loads(asked.stdout[asked.stdout.index("{") :])
    needs = report["install"][0]["metadata"].get("requires_dist", [])
    if any(CUDA.match(need) for need in needs):
        raise Failed(f"pip would take a build of {TORCH} for CUDA, of several GB.\n{_CPU_INDEX}")


_CPU_INDEX = """\
Name PyTorch's own index of CPU builds (see "Get started" on pytorch.org) or its mirror:
  PIP_EXTRA_INDEX_URL=<that address> python docker/make_wheelhouse.py wheel"""


def _debs(image: str, folder: Path, arch: str) -> None:
    """Fetch Debian packages for the base image, in a container of it."""
    ours = DOCKER_ARCH[arch]
    for file in folder.glob("*.deb"):
        if not file.stem.endswith(f"_{ours}"):
            file.unlink()
    missing = [name for name in DEBS if not any(folder.glob(f"{name}_*.deb"))]
    if not missing:
        return
    names = " ".join(missing)
    _say(f"{image}: fetching {names} in a container of {BASE_IMAGE}")
    docker = shutil.which("docker")
    if docker is None:
        raise Failed(f"docker is not here to fetch {names}: put their .deb files into {folder}")
    command = [docker, "run", "--rm", "--network", "host"]
    command += [] if arch == _this_arch() else ["--platform", f"linux/{ours}"]
    # The archive goes through stdout: the engine may run on another machine.
    script = f"""set -e; mkdir /tmp/debs; cd /tmp/debs
        apt-get -qq update >&2
        apt-get -qq -o APT::Sandbox::User=root download {names} >&2
        tar -cf - *.deb"""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        command += ["-e", name]
    done = subprocess.run(  # noqa: S603 - our own arguments
        [*command, BASE_IMAGE, "sh", "-c", script], check=False, capture_output=True
    )
    if done.returncode:
        why = done.stderr.decode(errors="replace").rstrip()
        raise Failed(f"the container could not fetch {names}:\n{why}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member)
            if content is not None and re.fullmatch(r"[\w.+%~-]+\.deb", member.name):
                (folder / member.name).write_bytes(content.read())


def _say(text: str) -> None:
    """Show progress at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
