"""Stores what cases came to: whatever has come by then is stored together, in one transaction.

A result that cannot be stored is kept and tried again, because it was dear. Recordings that nobody
needs any more go a moment later, many at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio

from api_server.jobs.desk import JobDesk
from api_server.store.errors import StoreUnavailable
from api_server.store.records import Claimed, Ending
from stt_engine.outcome import Failure, capture

if TYPE_CHECKING:
    from api_server.store.store import Store

_FIRST_REST_SEC, _LONGEST_REST_SEC = 1.0, 30.0
_FORGET_SEC, _FORGET_AT_ONCE = 0.5, 50
"""When recordings go: after that time without results, or that many of them."""

_LEAVING_SEC = 5.0


@dataclass(frozen=True, slots=True)
class Again:
    """A case that is to be tried again after a rest."""

    failure: Failure
    after_sec: float
    counted: bool


@dataclass(eq=False, slots=True)
class _Result:
    claimed: Claimed
    found: Ending | Again
    told: anyio.Event = field(default_factory=anyio.Event)
    kept: bool = False
    defect: Exception | None = None


class ResultWriter:
    """Stores results, each once, however long the store cannot be used.

    Args:
        desk: the way to the store.
    """

    def __init__(self, desk: JobDesk) -> None:
        self._desk = desk
        self._waiting: list[_Result] = []
        self._ended: set[str] = set()
        self._come = anyio.Event()

    async def store(self, claimed: Claimed, found: Ending | Again) -> bool:
        """Return once it is stored; false where the lease is gone, and nothing was changed."""
        one = _Result(claimed, found)
        self._waiting.append(one)
        self._come.set()
        try:
            await one.told.wait()
        finally:
            if one in self._waiting:
                self._waiting.remove(one)
        if one.defect is not None:
            raise one.defect
        return one.kept

    async def run(self) -> None:
        """Store for ever what comes."""
        try:
            while True:
                with anyio.move_on_after(_FORGET_SEC if self._ended else None):
                    await self._come.wait()
                self._come = anyio.Event()
                await anyio.lowlevel.checkpoint()  # others of the same step come now too
                batch, self._waiting = self._waiting, []
                if batch:
                    await self._store(batch)
                if self._ended and (not batch or len(self._ended) >= _FORGET_AT_ONCE):
                    await self._forget()
        finally:
            with anyio.move_on_after(_LEAVING_SEC, shield=True):
                await self._forget()

    async def _forget(self) -> None:
        ended, self._ended = self._ended, set()
        if ended:
            with suppress(StoreUnavailable):  # the next sweep removes them
                await self._desk.run(lambda store: store.forget(ended))

    async def _store(self, batch: Sequence[_Result]) -> None:
        rest = _FIRST_REST_SEC
        while True:
            with capture() as failed:
                kept = await self._desk.run(partial(_kept, batch))
            if not isinstance(failed.error, StoreUnavailable):
                break
            await anyio.sleep(rest)
            rest = min(rest * 2, _LONGEST_REST_SEC)
        if failed.error is not None and len(batch) > 1:
            for one in batch:  # one of them cannot be stored at all, and the others can
                await self._store([one])
            return
        for number, one in enumerate(batch):
            one.defect = failed.error
            one.kept = failed.error is None and kept[number]
            one.told.set()
            if one.kept and isinstance(one.found, Ending) and one.claimed.recording is not None:
                self._ended.add(one.claimed.recording)


def _kept(batch: Sequence[_Result], store: Store) -> list[bool]:
    """Store a batch; return for each whether its lease was still held."""
    ended = [(one.claimed, one.found) for one in batch if isinstance(one.found, Ending)]
    held = iter(store.finish_all(ended)) if ended else iter(())
    return [
        next(held) if isinstance(one.found, Ending) else _put_back(store, one.claimed, one.found)
        for one in batch
    ]


def _put_back(store: Store, claimed: Claimed, again: Again) -> bool:
    return store.put_back(
        claimed,
        again.after_sec,
        counted=again.counted,
        error_type=again.failure.error_type,
        error=again.failure.message,
    )
