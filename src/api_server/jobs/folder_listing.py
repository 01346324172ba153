"""What is in a watched folder: recordings, what stands beside each, and what cannot be read."""

from __future__ import annotations

import fnmatch
import os
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from api_server.jobs.sidecars import ENDINGS, names_beside
from stt_engine.shown import shorten

_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload")

Stamp = tuple[int, int]
"""Bytes of a file, and the time of its last change in nanoseconds, as its file system tells it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A recording as it is now, and what stands ``beside`` it, by path."""

    stamp: Stamp
    beside: Mapping[str, Stamp]


@dataclass(slots=True)
class Listing:
    """The recordings by path, and what could not be read, with the reason."""

    found: dict[str, Found] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def list_folder(folder: Path, pattern: str, table: str | None = None) -> Listing:
    """Return what is below a folder; waits for its file system.

    A folder in it that cannot be read hides no other. Links are not followed. ``table``: a file of
    this name is about a whole folder, and stands beside no recording.

    Raises:
        OSError: the folder itself cannot be read.
    """
    listing = Listing()
    for files in _folders(os.path.abspath(folder), listing, root=True):  # noqa: PTH100
        beside = {
            path: stamp
            for path, stamp in files.items()
            if path.lower().endswith(ENDINGS) and os.path.basename(path) != table  # noqa: PTH119
        }
        for path, stamp in files.items():
            if _is_recording(os.path.basename(path), pattern):  # noqa: PTH119
                names = names_beside(path) if beside else ()
                near = {name: beside[name] for name in names if name in beside}
                listing.found[path] = Found(stamp, near)
    listing.found = dict(sorted(listing.found.items()))
    return listing


def _folders(folder: str, listing: Listing, *, root: bool = False) -> Iterator[dict[str, Stamp]]:
    """Yield the files of a folder, and of those in it."""
    files: dict[str, Stamp] = {}
    inner: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # removed while it was looked at
                        files[entry.path] = stamp_of(entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        if root:
            raise
    except OSError as exc:
        if root:
            raise
        listing.unreadable[folder] = exc.strerror or str(exc)
    yield files
    for one in inner:
        yield from _folders(one, listing)


def _is_recording(name: str, pattern: str) -> bool:
    lower = _folded(name)
    return not lower.endswith((*ENDINGS, *_UNFINISHED)) and fnmatch.fnmatchcase(
        lower, _folded(pattern)
    )


def _folded(name: str) -> str:
    """Return what is the same of names that only systems tell apart."""
    return unicodedata.normalize("NFC", name).lower()


def stamp_of(told: os.stat_result) -> Stamp:
    """Return what changes when a file does."""
    return told.st_size, told.st_mtime_ns


def shown_path(path: str) -> str:
    """Return a path for people: bytes that are no UTF-8 are most likely Korean of Windows."""
    raw = os.fsencode(path)
    for encoding in ("utf-8", "cp949"):
        with suppress(UnicodeDecodeError):
            return shorten(raw.decode(encoding))
    return shorten(raw.decode("utf-8", "replace"))
