"""The recordings of a job: uploads, files and folders below the roots, now and later."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from starlette.datastructures import UploadFile

from api_server.container import Service
from api_server.http import paths
from api_server.http.problems import (
    Problem,
    build_audio_problem,
    build_machine_problem,
    build_store_problem,
)
from api_server.http.upload import shown_name
from api_server.pipeline.storage import Storage
from api_server.store.errors import StoreFull, StoreUnavailable
from api_server.store.recordings import Received
from api_server.store.records import NewCase
from stt_engine.errors import (
    AudioNotFound,
    AudioTooLarge,
    AudioUnreadable,
    StorageUnresponsive,
)
from stt_engine.native_errors import CANNOT_TELL

_UNAVAILABLE = 503
_ABSENT = 404


@asynccontextmanager
async def open_for_job(storage: Storage, file_path: str, shown: str) -> AsyncIterator[Path]:
    """Yield a path by which the file of a job can be read now.

    Raises:
        AudioNotFound: it is gone.
        AudioUnreadable: it is no file inside the roots any more.
        StorageUnresponsive: its file system gives no answer.
    """
    try:
        opening = paths.opened(file_path, shown, storage)
        path = await opening.__aenter__()
    except Problem as exc:
        if exc.status == _UNAVAILABLE:
            raise StorageUnresponsive(exc.detail) from exc
        kind = AudioNotFound if exc.status == _ABSENT else AudioUnreadable
        raise kind(exc.detail) from exc
    try:
        yield path
    finally:
        await opening.__aexit__(None, None, None)


async def case_of_path(service: Service, file_path: str) -> NewCase:
    """Return the case of one file below the roots.

    Raises:
        Problem: it is none.
    """
    shown = shown_name(file_path, service.settings)
    async with paths.opened(file_path, shown, service.storage) as path:
        size = path.stat().st_size
    return NewCase(shown, path=_absolute(file_path), bytes=size)


async def cases_of_folder(service: Service, folder: str, pattern: str) -> list[NewCase]:
    """Return the cases of the files in a folder below the roots, by name.

    Raises:
        Problem: 400, 403, 404 or 503 as of a path; 400 of a pattern that leaves the folder; 404
            where no file matches; 413 where too many do.
    """
    paths.check_form(folder)
    if pattern.startswith("/") or ".." in Path(pattern).parts or "\0" in pattern:
        raise Problem(400, "bad-field", "pattern: a pattern of names below the folder, as *.wav")
    place, roots = service.storage.place_of(folder)
    most = service.settings.jobs_max_cases
    listing = partial(_listed, folder, pattern, roots, most)
    try:
        found = await place.run(listing)
    except CANNOT_TELL as exc:
        raise build_machine_problem(exc) from exc
    if not found:
        raise Problem(404, "no-recordings", "No file in that folder matches; check 'pattern'.")
    check_count(len(found), most)
    return [NewCase(shown_name(one, service.settings), path=one, bytes=size) for one, size in found]


def check_count(cases: int, most: int) -> None:
    """Return where a job may have so many recordings.

    Raises:
        Problem: 413.
    """
    if cases > most:
        raise Problem(
            413, "job-too-large", f"A job has at most {most} recordings (JOBS_MAX_CASES); split it."
        )


def _listed(folder: str, pattern: str, roots: Iterable[Path], most: int) -> list[tuple[str, int]]:
    """Return path and size of each file; one more than ``most`` ends the list."""
    roots = list(roots)
    base = paths.resolve_folder(folder, roots)
    inside = [root.resolve() for root in roots]
    found: list[tuple[str, int]] = []
    for path in sorted(base.glob(pattern)):
        real = path.resolve()
        if real.is_file() and any(real.is_relative_to(root) for root in inside):
            found.append((str(path), real.stat().st_size))
        if len(found) > most:
            break
    return found


async def receive_uploads(
    service: Service, files: Sequence[UploadFile], received: list[Received]
) -> list[NewCase]:
    """Write uploads into the store's folder, and return their cases.

    ``received`` gets each as it comes: whoever calls drops those that were not kept.

    Raises:
        Problem: 413, 503 or 507.
    """
    most = service.settings.audio_max_bytes
    sizes = [one.size or 0 for one in files]
    for file, size in zip(files, sizes, strict=True):
        if size > most:
            shown = shown_name(file.filename or "upload", service.settings)
            words = f"{shown} has {size} bytes; the limit is {most} (AUDIO_MAX_BYTES)"
            raise build_audio_problem(AudioTooLarge(words))
    try:
        await service.desk.run(lambda store: store.check_quota(sum(sizes)), make=True)
        return [
            await _receive(service, file, size, received)
            for file, size in zip(files, sizes, strict=True)
        ]
    except (StoreFull, StoreUnavailable) as exc:
        service.store_probe.doubt()
        raise build_store_problem(exc) from exc
    except CANNOT_TELL as exc:
        raise build_machine_problem(exc) from exc


async def _receive(
    service: Service, file: UploadFile, size: int, received: list[Received]
) -> NewCase:
    work = partial(service.desk.recordings.receive, file.file, size)
    one = await service.storage.uploads.run(work, Received.drop)
    received.append(one)
    return NewCase(shown_name(file.filename or "upload", service.settings), one)


def _absolute(path: str) -> str:
    """Return a path that means the same in another working folder."""
    return os.path.abspath(path)  # noqa: PTH100 - follows no link
