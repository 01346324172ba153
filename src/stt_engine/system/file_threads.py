"""Work that a file system may never answer (a dead mount), in threads of its own with a deadline.

A thread that hangs in the kernel cannot be ended. Once some are late at a place, more work for it
is refused at once, until they come back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any, Generic, TypeVar

from stt_engine.errors import StorageUnresponsive
from stt_engine.outcome import capture

T = TypeVar("T")

ANSWER_SEC = 10.0
"""Seconds that a file system has for an answer, unless a setting says otherwise."""

MOST_LATE = 4
"""Threads that may be late at one place; then nothing more is begun there."""

MOST = 64
"""Threads that may be at one place, late or not."""


def _keep(_result: object) -> None:
    pass


class Pending(Generic[T]):
    """Work that a thread does; what comes after everybody has left is dropped."""

    def __init__(self, drop: Callable[[T], object] = _keep) -> None:
        self.future: Future[T] = Future()
        self._drop = drop

    def do(self, work: Callable[[], T]) -> None:
        """Do the work, in the thread."""
        with capture() as kept:
            result = work()
            try:
                self.future.set_result(result)
            except InvalidStateError:
                self._drop(result)
        if kept.error is not None:
            with suppress(InvalidStateError):
                self.future.set_exception(kept.error)

    def leave(self) -> None:
        """Wait no more: the result is dropped, whether it has come or not."""
        if not self.future.cancel() and self.future.exception() is None:
            self._drop(self.future.result())


class FileThreads:
    """Threads for one place.

    Args:
        place: what it is called in messages.
        timeout_sec: how long an answer may take.
    """

    def __init__(self, place: str, timeout_sec: float = ANSWER_SEC) -> None:
        self.place, self.timeout_sec = place, timeout_sec
        self._lock = threading.Lock()
        self._waiting: set[Pending[Any]] = set()
        self._late: set[Pending[Any]] = set()

    @property
    def waiting(self) -> int:
        """How many threads have no answer yet."""
        return len(self._waiting)

    @property
    def late(self) -> int:
        """How many threads have waited longer than they may, and still do."""
        return len(self._late)

    @property
    def hangs(self) -> bool:
        """True while no more work is begun, because too many are late."""
        return self.late >= MOST_LATE

    def start(
        self, work: Callable[[], T], drop: Callable[[T], object] = _keep, *, always: bool = False
    ) -> Pending[T]:
        """Start ``work``; ``drop`` gets a result that nobody waits for any more.

        ``always``: however many threads wait already (closing what was opened).

        Raises:
            StorageUnresponsive: too many threads wait already.
        """
        with self._lock:
            if not always:
                self._refuse()
            pending = Pending(drop)
            self._waiting.add(pending)
        thread = threading.Thread(
            target=self._do, args=(pending, work), name="file-system", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as exc:  # no room for its stack
            self._done(pending)
            raise MemoryError(str(exc)) from exc
        return pending

    def _refuse(self) -> None:
        if self.hangs:
            raise StorageUnresponsive(f"{self.place} does not answer: {self.late} attempts hang")
        if self.waiting >= MOST:
            raise StorageUnresponsive(f"{self.waiting} already wait for {self.place}")

    def run(
        self, work: Callable[[], T], drop: Callable[[T], object] = _keep, *, always: bool = False
    ) -> T:
        """Return what ``work`` returns; ``drop`` and ``always`` as for :meth:`start`.

        Raises:
            StorageUnresponsive: there is no answer in time, or too many threads wait already.
        """
        pending = self.start(work, drop, always=always)
        try:
            return pending.future.result(self.timeout_sec)
        except FutureTimeout as exc:
            if pending.future.done():  # the work's own
                raise
            raise self.given_up(pending) from exc

    def given_up(self, pending: Pending[T]) -> StorageUnresponsive:
        """Leave work that is late, and return the error to raise."""
        with self._lock:
            if pending in self._waiting:
                self._late.add(pending)
        pending.leave()
        return StorageUnresponsive(f"{self.place} gave no answer within {self.timeout_sec:g} s")

    def _do(self, pending: Pending[T], work: Callable[[], T]) -> None:
        try:
            pending.do(work)
        finally:
            self._done(pending)

    def _done(self, pending: Pending[T]) -> None:
        with self._lock:
            self._waiting.discard(pending)
            self._late.discard(pending)
