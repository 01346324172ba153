"""Keeps calls that were answered in part, so that what is missing can be completed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from api_server.jobs.desk import JobDesk
from api_server.jobs.endings import RepairTerms, ending_of, repair_of
from api_server.jobs.events import CallKept, CallNotKept
from api_server.jobs.options import JobOptions
from api_server.pipeline.result import CallResult
from api_server.pipeline.storage import Place
from api_server.store.errors import StoreFull, StoreUnavailable
from api_server.store.recordings import Received
from api_server.store.records import AnsweredCall, CaseRecord, NewCase, NewRepair
from stt_engine.errors import StorageUnresponsive
from stt_engine.events import Event, Observer, emit

KEEP_SEC = 10.0
"""How long a caller's answer may wait for its being kept."""

_NO_STORE = (StoreFull, StoreUnavailable, StorageUnresponsive, OSError)


@dataclass(frozen=True, slots=True)
class CallRecording:
    """The recording of a call: the path to read it by now, its name, its path below a root."""

    path: Path
    shown: str
    file_path: str | None = None


class CallKeeper:
    """Keeps degraded answers of calls as cases, where the settings say so.

    Args:
        desk: the way to the store.
        uploads: the threads that write uploads.
        terms: what is kept.
        observers: told of each that was kept, or could not be.
    """

    def __init__(
        self, desk: JobDesk, uploads: Place, terms: RepairTerms, observers: Iterable[Observer]
    ) -> None:
        self._desk = desk
        self._uploads = uploads
        self._terms = terms
        self._observers = tuple(observers)

    async def keep(
        self, result: CallResult, options: JobOptions, recording: CallRecording, owner: str
    ) -> CaseRecord | None:
        """Return the case as which an answer is kept; ``None`` where it is not, or need not be.

        Takes no longer than :data:`KEEP_SEC`, and never fails.
        """
        repair = repair_of(result, options, self._terms) if self._terms.calls else None
        if repair is None:
            return None
        reason = f"no answer of the store in {KEEP_SEC:g} s"
        with anyio.move_on_after(KEEP_SEC):
            try:
                kept = await self._kept(result, options, recording, owner, repair)
            except _NO_STORE as exc:
                reason = str(exc)
            else:
                status = kept.repair.status if kept.repair else "off"
                self._emit(CallKept(case=kept.id, missing=repair.missing, status=status))
                return kept
        self._emit(CallNotKept(reason=reason))
        return None

    async def _kept(
        self,
        result: CallResult,
        options: JobOptions,
        recording: CallRecording,
        owner: str,
        repair: NewRepair,
    ) -> CaseRecord:
        ending = ending_of(result, repair)
        if recording.file_path is not None:
            case = NewCase(recording.shown, path=_absolute(recording.file_path))
            return await self._store(AnsweredCall(owner, options.to_json(), case, ending, repair))
        received: list[Received] = []
        try:
            case = NewCase(recording.shown, await self._received(recording.path, received))
            call = AnsweredCall(owner, options.to_json(), case, ending, repair)
            return await self._store(call)
        except StoreFull:
            if result.recognition.is_dummy:
                raise
            # A check needs the transcript alone.
            case = NewCase(recording.shown)
            return await self._store(AnsweredCall(owner, options.to_json(), case, ending, repair))
        finally:
            for one in received:
                self._uploads.start(one.drop)

    async def _received(self, path: Path, received: list[Received]) -> Received:
        one = await self._uploads.run(partial(self._receive, path), Received.drop)
        received.append(one)
        return one

    def _receive(self, path: Path) -> Received:
        with path.open("rb") as content:
            return self._desk.recordings.receive(content, path.stat().st_size)

    async def _store(self, call: AnsweredCall) -> CaseRecord:
        return await self._desk.run(lambda store: store.keep_call(call), make=True)

    def _emit(self, event: Event) -> None:
        emit(self._observers, event)


def _absolute(path: str) -> str:
    """Return a path that means the same in another working folder."""
    return os.path.abspath(path)  # noqa: PTH100 - follows no link
