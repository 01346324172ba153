"""Work on the server's file systems, off the event loop: each place has threads of its own.

A place that does not answer (a dead mount under one audio root) hangs its own threads, and no
others: other roots, uploads and health go on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import anyio

from api_server.pipeline.events import StorageAnswers, StorageHangs
from stt_engine.errors import StorageUnresponsive
from stt_engine.events import Observer, emit
from stt_engine.system.file_threads import ANSWER_SEC, MOST, FileThreads

T = TypeVar("T")

AT_ONCE = MOST // 2
"""Pieces of uploads that are written at once."""

UPLOAD_SEC = 60.0
"""Seconds for writing a piece of an upload, or all of it where it has to be copied."""


def _leave(_found: object) -> None:
    """Let go of what needs no care."""


class Place:
    """One place for files.

    Args:
        name: what it is called in messages to callers and on ``/health``.
        where: what it is called in the log.
        timeout_sec: how long it may take to answer.
        observers: told when it hangs, and when it answers again.
    """

    def __init__(
        self,
        name: str,
        where: str,
        timeout_sec: float = ANSWER_SEC,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.name, self._where = name, where
        self._threads = FileThreads(f"the {name}", timeout_sec)
        self._observers = tuple(observers)
        self._told = False
        self.turns = asyncio.Semaphore(AT_ONCE)
        """Taken by those who would rather wait for others than be refused for being many."""

    @property
    def waiting(self) -> int:
        """Threads that have no answer yet."""
        return self._threads.waiting

    @property
    def late(self) -> int:
        """Threads that have waited longer than they may."""
        return self._threads.late

    @property
    def state(self) -> str:
        """``ok``, ``slow`` (an answer is late) or ``hanging`` (no more work is begun)."""
        if not self.late:
            return "ok"
        return "hanging" if self._threads.hangs else "slow"

    async def run(self, work: Callable[[], T], drop: Callable[[T], object] = _leave) -> T:
        """Return what ``work`` returns; ``drop`` gets what comes when nobody waits any more.

        Raises:
            StorageUnresponsive: there is no answer in time, or too many wait for one already.
        """
        try:
            found = await self._waited_for(work, drop)
        except StorageUnresponsive as exc:
            self._tell(hangs=True, reason=str(exc))
            raise
        self._tell(hangs=self.late > 0)
        return found

    async def _waited_for(self, work: Callable[[], T], drop: Callable[[T], object]) -> T:
        pending = self._threads.start(work, drop)
        try:
            with anyio.fail_after(self._threads.timeout_sec):
                return await asyncio.wrap_future(pending.future)
        except TimeoutError as exc:
            raise self._threads.given_up(pending) from exc
        except asyncio.CancelledError:
            pending.leave()
            raise

    def start(self, work: Callable[[], object]) -> None:
        """Start ``work`` that nobody waits for, whatever hangs already."""
        self._threads.start(work, always=True)

    def _tell(self, *, hangs: bool, reason: str = "") -> None:
        if hangs == self._told:
            return
        self._told = hangs
        told = StorageHangs(place=self._where, reason=reason) if hangs else None
        emit(self._observers, told or StorageAnswers(place=self._where))


class Storage:
    """Every place from which recordings come.

    Args:
        roots: the folders that callers may name files in.
        timeout_sec: how long one may take to open a file.
        observers: told of places that hang.
    """

    def __init__(
        self, roots: Iterable[Path], timeout_sec: float, observers: Iterable[Observer] = ()
    ) -> None:
        self._roots = tuple(roots)
        observers = tuple(observers)
        self._of_roots = [
            Place(f"audio root {n}", str(root), timeout_sec, observers)
            for n, root in enumerate(self._roots, 1)
        ]
        self._elsewhere = Place("path", "file_path", timeout_sec, observers)
        self.uploads = Place("temporary folder", "TMPDIR", UPLOAD_SEC, observers)

    @property
    def places(self) -> list[Place]:
        """Every place, in the order of the settings."""
        return [*self._of_roots, self._elsewhere, self.uploads]

    def place_of(self, file_path: str) -> tuple[Place, list[Path]]:
        """Return the place of a path by its words alone, and the roots in the order to look at.

        Nothing is looked at for that; and where the path is in its own root, no other root is.
        """
        with suppress(OSError):  # the folder that the server was started in is gone
            path = _absolute(file_path)
            for place, root in zip(self._of_roots, self._roots, strict=True):
                named = _absolute(root)
                if os.path.commonpath([named, path]) == named:
                    return place, [root, *(one for one in self._roots if one != root)]
        return self._elsewhere, list(self._roots)


def _absolute(path: str | Path) -> str:
    """Return a path without its dots; unlike ``resolve``, this looks at no file."""
    return os.path.abspath(path)  # noqa: PTH100
