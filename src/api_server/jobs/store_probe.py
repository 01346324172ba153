"""Asks now and then whether jobs and recordings could be kept: nobody else does while none comes.

The database is written to, and so is a folder of recordings; an object store is asked for a name.
One that hangs holds up this alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import anyio

from api_server.jobs.desk import JobDesk, NoStoreYet
from api_server.jobs.events import RecordingsAnswer, RecordingsFailing
from api_server.jobs.trouble import Trouble
from api_server.pipeline.storage import Place
from api_server.store.errors import StoreFull, StoreUnavailable
from stt_engine.errors import StorageUnresponsive
from stt_engine.events import Observer, Stage, emit
from stt_engine.outcome import Attempts

if TYPE_CHECKING:
    from api_server.store.store import Store

ANSWER_SEC = 20.0
"""How long an answer may take; an object store is asked three times by then."""

_INTERVAL_SEC, _FAILING_SEC = 15.0, 3.0
"""The rest between two questions, and while something fails."""


class StoreProbe:
    """Knows whether recordings can be kept; what it learns of the database is the desk's.

    Args:
        desk: the way to the database.
        elsewhere: whether recordings are in an object store: it is asked before there is a job,
            while a folder of them is made by the first.
        observers: told when recordings cannot be kept any more, and when they can again.
    """

    def __init__(
        self, desk: JobDesk, observers: Iterable[Observer], *, elsewhere: bool = False
    ) -> None:
        self._desk = desk
        self._elsewhere = elsewhere
        self._observers = tuple(observers)
        self.place = Place("store of recordings", desk.recordings.shown, ANSWER_SEC)
        self.trouble = Trouble()
        self._asked = False
        self._doubted = anyio.Event()

    @property
    def state(self) -> Literal["idle", "ok", "failing"]:
        """``idle`` where none has ever come."""
        if self.trouble.reason is not None:
            return "failing"
        return "ok" if self._asked else "idle"

    def doubt(self) -> None:
        """Ask now: somebody could not keep a recording."""
        self._doubted.set()

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            self._doubted = anyio.Event()
            attempts = Attempts(Stage.JOB, self._observers)
            with attempts.of("store"):
                await self.look()
            failing = self.trouble.reason or self._desk.trouble.reason
            with anyio.move_on_after(_FAILING_SEC if failing else _INTERVAL_SEC):
                await self._doubted.wait()

    async def look(self) -> None:
        """Ask once."""
        if self._desk.is_open:
            with suppress(StoreUnavailable, NoStoreYet):  # the desk tells it
                await self._desk.run(_touch)
        elif not self._elsewhere:
            return
        reason: str | None = None
        try:
            await self.place.run(self._desk.recordings.check_usable)
        except (StorageUnresponsive, StoreUnavailable, StoreFull) as exc:
            reason = str(exc)
        self._asked = True
        if self.trouble.note(reason):
            told = RecordingsAnswer() if reason is None else RecordingsFailing(reason=reason)
            emit(self._observers, told)


def _touch(store: Store) -> None:
    store.touch()
