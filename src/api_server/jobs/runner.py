"""Works off the cases of jobs, a few at a time, behind every live call.

A case is held by a lease that is renewed while it is worked on. What becomes of it is stored in one
transaction that asks for the lease: a server that was stopped for longer and comes back changes
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from api_server.jobs.checkpoints import CheckpointSender
from api_server.jobs.desk import JobDesk, NoStoreYet, Opener
from api_server.jobs.endings import FINAL, RepairTerms, ending_of, repair_of
from api_server.jobs.events import (
    CaseEnded,
    CasePutBack,
    CasesTakenUp,
    CheckpointSigned,
    CheckpointUnsigned,
    LeaseLost,
)
from api_server.jobs.options import JobOptions
from api_server.jobs.results import Again, ResultWriter
from api_server.pipeline.analysis import AnalysisRequest, CallAnalysis
from api_server.pipeline.result import CallResult
from api_server.store.errors import (
    KeyMissing,
    LogBroken,
    RecordingsUnreachable,
    StoreUnavailable,
)
from api_server.store.records import Backlog, Claimed, Ending
from stt_engine.call import CallCancelled, CallContext
from stt_engine.errors import (
    AudioRejected,
    InvalidRequest,
    ModelsFull,
    ServerStopping,
    StorageUnresponsive,
)
from stt_engine.events import Event, Observer, Stage, emit, request_id
from stt_engine.outcome import Attempts, Failure, error_type_of

if TYPE_CHECKING:
    from api_server.store.store import Store

_LOOK_SEC = 1.0
"""How often it is looked for work that another process has brought."""

_SWEEP_SEC = 3600.0
_FIRST_CHECKPOINT_SEC = 60.0

_DEFECT_SEC = 10.0
"""Rest after a defect of ours, which the next look may only repeat."""

_RENEWALS = 3.0
"""Renewals in the time of a lease."""

_FIRST_REST_SEC, _LONGEST_REST_SEC = 5.0, 300.0
_UNREACHABLE_REST_SEC = 30.0
_LATER = frozenset(
    one.error_type for one in (RecordingsUnreachable, StorageUnresponsive, ModelsFull)
)
"""Failures that say nothing of the case: they cost no try, however long they take."""
_LEAVING_SEC = 5.0
_STOPPING_SEC = 30.0
"""How long the step that is under way may take when the work is to end."""


@dataclass(frozen=True, slots=True)
class JobTerms:
    """How cases are worked on; see the settings of the same names."""

    at_once: int
    lease_sec: float
    max_tries: int
    agent_channel: int
    allows_agent: Callable[[str], bool]
    repair: RepairTerms
    checkpoint_sec: float = 3600.0


class JobRunner:
    """Takes cases from the store and brings back what they came to.

    Args:
        desk: the way to the store.
        analysis: the pipeline.
        terms: how many at once, and how often.
        is_ready: whether the recogniser works; while it does not, no case is begun.
        observers: called with every event.
        checkpoints: has the log's checkpoints kept outside of this machine too.
    """

    def __init__(
        self,
        desk: JobDesk,
        analysis: CallAnalysis,
        terms: JobTerms,
        is_ready: Callable[[], bool],
        observers: Iterable[Observer],
        checkpoints: CheckpointSender | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._desk = desk
        self._analysis = analysis
        self._terms = terms
        self._is_ready = is_ready
        self._observers = tuple(observers)
        self._results = ResultWriter(desk)
        self._held: dict[str, CallContext] = {}
        self._wake = anyio.Event()
        self._count_at = 0.0
        self.backlog: Backlog | None = None
        """What waits, as it was when it was last looked at."""

    @property
    def at_work(self) -> int:
        """Cases that this process has in hand."""
        return len(self._held)

    def wake(self) -> None:
        """Look for work now: there may be some."""
        self._wake.set()

    async def run(self, opener: Opener, *, signs: bool = True) -> None:
        """Work for ever; when cancelled, cases in hand are put back as if they had not been.

        ``signs``: the log is signed from here too.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._results.run)
            tasks.start_soon(self._renew_leases)
            tasks.start_soon(self._sweep)
            if signs:
                tasks.start_soon(self._sign)
            if self._checkpoints is not None and signs:
                tasks.start_soon(self._checkpoints.run)
            try:
                while True:
                    woken, self._wake = self._wake.is_set(), anyio.Event()
                    await self._guarded(partial(self._look, tasks, opener, woken=woken))
                    with anyio.move_on_after(_LOOK_SEC):
                        await self._wake.wait()
            finally:
                for context in self._held.values():
                    context.cancel()

    async def _look(self, tasks: anyio.abc.TaskGroup, opener: Opener, *, woken: bool) -> None:
        """Claim cases where there is room; ``woken``: there may be some.

        They are counted once in a while only: that takes longer than claiming some.
        """
        if not (self._is_ready() or self._desk.is_open):
            return  # nothing is imported while the model is loaded
        try:
            if self.backlog is None or time.monotonic() >= self._count_at:
                await self._count()
            waits = self.backlog is not None and self.backlog.queued > 0
            claimed = await self._claimed() if woken or waits else []
        except (NoStoreYet, StoreUnavailable):
            return  # the desk has told it
        for one in claimed:
            context = self._held[one.token] = CallContext(one.id, background=True)
            tasks.start_soon(self._guarded, partial(self._work, one, context, opener))

    async def _count(self) -> None:
        self.backlog = await self._desk.run(_backlog)
        self._count_at = time.monotonic() + _LOOK_SEC
        if self.backlog.lost:
            await self._take_up()

    async def _claimed(self) -> list[Claimed]:
        free = self._terms.at_once - len(self._held)
        if free <= 0 or not self._is_ready():
            return []
        lease_sec = self._terms.lease_sec
        claimed: list[Claimed] = []
        with anyio.CancelScope(shield=True):  # what has been claimed has to be put back
            claimed += await self._desk.run(lambda store: store.claim(lease_sec, free))
        return claimed

    async def _take_up(self) -> None:
        await self.renew()  # what is in hand here is nobody's to take up
        max_tries = self._terms.max_tries
        queued, failed = await self._desk.run(lambda store: store.reap(max_tries))
        if queued or failed:
            self._emit(CasesTakenUp(queued=tuple(queued), failed=tuple(failed)))

    async def _renew_leases(self) -> None:
        """Renew for ever; when cancelled, until what is in hand has been put back."""
        rest = self._terms.lease_sec / _RENEWALS
        try:
            while True:
                await anyio.sleep(rest)
                await self._guarded(self.renew)
        finally:
            with anyio.move_on_after(_STOPPING_SEC, shield=True):
                while self._held:
                    self._wake = anyio.Event()
                    with anyio.move_on_after(rest):
                        await self._wake.wait()
                    await self.renew()

    async def _sweep(self) -> None:
        """Remove recordings whose time is over, now and then; opening the store does it too."""
        while True:
            await anyio.sleep(_SWEEP_SEC)
            if self._desk.is_open:
                await self._guarded(partial(self._desk.run, lambda store: store.sweep()))

    async def _sign(self) -> None:
        """Sign the log, as often as that is asked for."""
        await anyio.sleep(min(_FIRST_CHECKPOINT_SEC, self._terms.checkpoint_sec))
        while True:
            if self._desk.is_open:
                await self._guarded(self._sign_once)
            await anyio.sleep(self._terms.checkpoint_sec)

    async def _sign_once(self) -> None:
        try:
            note = await self._desk.run(lambda store: store.ledger.checkpoint())
        except (StoreUnavailable, LogBroken, KeyMissing) as exc:
            self._emit(CheckpointUnsigned(reason=str(exc)))
            raise
        self._emit(CheckpointSigned())
        if self._checkpoints is not None:
            self._checkpoints.offer(note)

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do a part of the work; a defect in it is told, and ends neither jobs nor the server."""
        attempts = Attempts(Stage.JOB, self._observers)
        with attempts.of("runner"), suppress(NoStoreYet, StoreUnavailable):
            await work()
        if attempts.failures:
            await anyio.sleep(_DEFECT_SEC)

    async def renew(self) -> None:
        """Prolong the leases of what is in hand, and stop the work on what is held no more."""
        tokens = list(self._held)
        if not tokens:
            return
        renew = partial(_renewed, tokens=tokens, lease_sec=self._terms.lease_sec)
        try:
            still = await self._desk.run(renew)
        except StoreUnavailable:
            return
        for token in set(tokens) - still:
            if token in self._held:
                self._held[token].cancel()

    async def _work(self, claimed: Claimed, context: CallContext, opener: Opener) -> None:
        """Work on one case and store what it came to."""
        request_id.set(claimed.id)  # of this task alone
        began = time.time()
        try:
            found = await self._found(claimed, context, opener)
            kept = await self._results.store(claimed, found)
            self._emit(_event_of(claimed, found, began) if kept else LeaseLost(case=claimed.id))
        except CallCancelled:
            await self._leave(claimed)
        except anyio.get_cancelled_exc_class():
            await self._leave(claimed)
            raise
        finally:
            self._held.pop(claimed.token, None)
            self.wake()

    async def _found(
        self, claimed: Claimed, context: CallContext, opener: Opener
    ) -> Ending | Again:
        attempts = Attempts(
            Stage.JOB,
            self._observers,
            propagate=(AudioRejected, InvalidRequest),
            subject=claimed.name,
        )
        try:
            with attempts.of("case"):
                options = JobOptions.from_json(claimed.options)
                async with self._desk.opened(claimed, opener) as path:
                    call = await self._call(claimed, options, path, context)
                    return self._judged(claimed, options, await self._analysis.run(call))
        except (AudioRejected, InvalidRequest) as exc:
            return Ending("refused", error_type=error_type_of(exc), error=str(exc))
        return self._unfinished(claimed, attempts.failures[-1])

    async def _call(
        self, claimed: Claimed, options: JobOptions, path: Path, context: CallContext
    ) -> AnalysisRequest:
        agent = options.agent
        if agent is not None and not self._terms.allows_agent(agent.url):
            raise InvalidRequest("agent_url names a server that may not be called any more")
        folder = await self._terms.repair.folder_of(options.model)
        speech = options.speech(path, self._terms.agent_channel, folder)
        return AnalysisRequest(speech, claimed.name, agent, context)

    def _judged(self, claimed: Claimed, options: JobOptions, result: CallResult) -> Ending | Again:
        if result.recognition.is_dummy:
            return self._unfinished(claimed, result.recognition.cause)
        return ending_of(result, repair_of(result, options, self._terms.repair))

    def _unfinished(self, claimed: Claimed, failure: Failure | None) -> Ending | Again:
        """Return what becomes of a case that this machine could not work on."""
        if failure is None:
            return Ending("failed", error="no backend could take part")
        if failure.error_type == ServerStopping.error_type:
            return Again(failure, 0.0, counted=False)
        if failure.error_type in _LATER:
            return Again(failure, _UNREACHABLE_REST_SEC, counted=False)
        if failure.error_type in FINAL or claimed.tries >= self._terms.max_tries:
            return Ending("failed", error_type=failure.error_type, error=failure.message)
        rest = min(_FIRST_REST_SEC * 2 ** (claimed.tries - 1), _LONGEST_REST_SEC)
        return Again(failure, rest, counted=True)

    async def _leave(self, claimed: Claimed) -> None:
        """Put a case back that was left in the middle; where its lease is gone, that is all."""
        with anyio.move_on_after(_LEAVING_SEC, shield=True):
            try:
                put_back = partial(_put_back, claimed=claimed)
                kept = await self._desk.run(put_back)
            except StoreUnavailable:
                return  # the lease runs out
            if not kept:
                self._emit(LeaseLost(case=claimed.id))

    def _emit(self, event: Event) -> None:
        emit(self._observers, event)


def _backlog(store: Store) -> Backlog:
    return store.backlog()


def _renewed(store: Store, tokens: list[str], lease_sec: float) -> set[str]:
    return store.renew(tokens, lease_sec)


def _put_back(store: Store, claimed: Claimed) -> bool:
    return store.put_back(claimed, counted=False)


def _event_of(claimed: Claimed, found: Ending | Again, began: float) -> Event:
    if isinstance(found, Again):
        return CasePutBack(
            case=claimed.id,
            tries=claimed.tries,
            after_sec=found.after_sec,
            error_type=found.failure.error_type,
            error=found.failure.message,
        )
    return CaseEnded(
        case=claimed.id,
        job=claimed.job,
        state=found.state,
        seconds=time.time() - claimed.received_at,
        wait_sec=max(0.0, began - claimed.received_at),
        error_type=found.error_type,
        error=found.error,
    )
