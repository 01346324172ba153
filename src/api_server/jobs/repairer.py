"""Completes answers that lack a stage, once what they wait for is back; behind every live call.

Only the missing stage runs: a check anew on the transcript that is stored, recognition anew where
there was none, and then the check. What comes of it is the next revision; those before it stay.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio
import anyio.abc

from api_server.clients.agent.formats import redact_url
from api_server.jobs.desk import JobDesk, NoStoreYet, Opener
from api_server.jobs.endings import FINAL, RepairTerms, ending_of, repair_of
from api_server.jobs.events import CaseRevised, RepairPutBack, RepairsGivenUp
from api_server.jobs.options import JobOptions
from api_server.jobs.rests import Rests
from api_server.pipeline.analysis import AnalysisRequest, CallAnalysis
from api_server.pipeline.result import CallResult
from api_server.store.errors import StoreUnavailable
from api_server.store.records import RECOGNISER, ToRepair
from stt_engine.call import CallCancelled, CallContext
from stt_engine.errors import AudioRejected, InvalidRequest, ModelsFull, ServerStopping
from stt_engine.events import Event, Observer, Stage, emit, request_id
from stt_engine.outcome import Attempts, Failure, error_type_of

if TYPE_CHECKING:
    from api_server.store.store import Store

_LOOK_SEC = 1.0
_SWEEP_SEC = 60.0
_DEFECT_SEC = 10.0
_RENEWALS = 3.0
_FIRST_TRY_SEC, _LONGEST_TRY_SEC = 30.0, 3600.0
_LONGEST_STORE_REST_SEC = 30.0
_LEAVING_SEC = 5.0

Trust = Literal["works", "doubted", "away"]
"""What is known of an agent; of one that is ``doubted``, one call at a time is enough to see."""

MOST_TRIES = 10
"""Tries that an answer has whose dependency works for others, and not for it."""

_AWAY = frozenset(
    {
        "AgentDisconnected",
        "AgentNotReady",
        "AgentOverloaded",
        "RecordingsUnreachable",
        "AgentServerError",
        "CircuitOpen",
        "ConnectionError",
        ModelsFull.error_type,
        ServerStopping.error_type,
    }
)
"""Failures that say nothing of the call: the dependency is not back."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What repairs wait for, and whom they stand behind; each tells what is known now."""

    recogniser_works: Callable[[], bool]
    agent: Callable[[str], Trust]
    is_quiet: Callable[[], bool]


class Repairer:
    """Takes answers that lack a stage from the store, and brings back their next revisions.

    Args:
        desk: the way to the store.
        analysis: the pipeline.
        terms: what is completed, and how many at once.
        dependencies: whether they work, as far as is known.
        rests: how long what was tried in vain is left alone.
        observers: called with every event.
    """

    def __init__(
        self,
        desk: JobDesk,
        analysis: CallAnalysis,
        terms: RepairTerms,
        dependencies: Dependencies,
        rests: Rests,
        observers: Iterable[Observer],
    ) -> None:
        self._desk = desk
        self._analysis = analysis
        self._terms = terms
        self._known = dependencies
        self._observers = tuple(observers)
        self._held: dict[str, tuple[str, CallContext]] = {}
        self._rests = rests
        self._wake = anyio.Event()
        self.waiting: int | None = None
        """Answers that wait, as they were when they were last counted."""

    async def run(self, opener: Opener) -> None:
        """Work for ever; when cancelled, what is in hand waits again as if it had not been."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._renew_leases)
            tasks.start_soon(self._sweep)
            try:
                while True:
                    self._wake = anyio.Event()
                    await self._guarded(partial(self._look, tasks, opener))
                    with anyio.move_on_after(_LOOK_SEC):
                        await self._wake.wait()
            finally:
                for _, context in self._held.values():
                    context.cancel()

    async def _look(self, tasks: anyio.abc.TaskGroup, opener: Opener) -> None:
        if not (self._known.recogniser_works() or self._desk.is_open):
            return  # nothing is imported while the model is loaded
        waiting = await self._desk.run(_waiting)
        self.waiting = sum(waiting.values())
        free = self._terms.at_once - len(self._held)
        if not waiting or free <= 0 or not self._known.is_quiet():
            return
        for target in waiting:
            room = min(free, self._room_of(target))
            if room > 0:
                claimed = await self._claimed(target, room)
                free -= len(claimed)
                for one in claimed:
                    context = CallContext(one.id, background=True)
                    self._held[one.token] = one.target, context
                    tasks.start_soon(self._guarded, partial(self._work, one, context, opener))

    async def _claimed(self, target: str, room: int) -> list[ToRepair]:
        lease_sec = self._terms.lease_sec
        return await self._desk.run(lambda store: store.claim_repairs(lease_sec, [target], room))

    def _room_of(self, target: str) -> int:
        """Return how many repairs this target may have in hand more than it has."""
        trust = self._trust_in(target)
        if trust == "away":
            return 0
        held = sum(one == target for one, _ in self._held.values())
        return (1 if trust == "doubted" else self._terms.at_once) - held

    def _trust_in(self, target: str) -> Trust:
        if not self._rests.is_over(_name(target)):
            return "away"
        if target == RECOGNISER:
            trust: Trust = "works" if self._known.recogniser_works() else "away"
        else:
            trust = self._known.agent(target)
        doubted = trust == "works" and self._rests.is_doubted(_name(target))
        return "doubted" if doubted else trust

    async def _work(self, claimed: ToRepair, context: CallContext, opener: Opener) -> None:
        request_id.set(claimed.id)  # of this task alone
        try:
            await self._repair(claimed, context, opener)
        except CallCancelled:
            await self._leave(claimed)
        except anyio.get_cancelled_exc_class():
            await self._leave(claimed)
            raise
        finally:
            self._held.pop(claimed.token, None)
            self._wake.set()

    async def _repair(self, claimed: ToRepair, context: CallContext, opener: Opener) -> None:
        attempts = Attempts(
            Stage.JOB,
            self._observers,
            propagate=(AudioRejected, InvalidRequest),
            subject=claimed.name,
        )
        try:
            with attempts.of("repair"):
                options = JobOptions.from_json(claimed.options)
                before = CallResult.from_json(claimed.answer)
                found = await self._completed(claimed, options, before, context, opener)
                return await self._settle(claimed, options, before, found)
        except (AudioRejected, InvalidRequest) as exc:
            return await self._give_up(claimed, error_type_of(exc), str(exc))
        return await self._put_back(claimed, attempts.failures[-1])

    async def _completed(
        self,
        claimed: ToRepair,
        options: JobOptions,
        before: CallResult,
        context: CallContext,
        opener: Opener,
    ) -> CallResult:
        """Run the missing stage alone, and return the whole answer.

        Raises:
            AudioRejected: the recording is gone, or cannot be used.
            InvalidRequest: the agent may not be asked any more.
        """
        agent = options.agent
        if agent is not None and not self._terms.allows_agent(agent.url):
            raise InvalidRequest("agent_url names a server that may not be called any more")
        if not before.recognition.is_dummy:
            call = self._call(claimed, options, Path(), context, None)
            if agent is None:
                raise InvalidRequest("no agent is named")
            # Nobody waits: what was in a hurry then is in none now.
            patient = max(agent.timeout_sec, self._terms.agent_timeout_sec)
            agent = replace(agent, timeout_sec=patient)
            check = await self._analysis.check(call, agent, before.recognition)
            return replace(before, check=check)
        async with self._desk.opened(claimed, opener) as path:
            folder = await self._terms.folder_of(options.model)
            return await self._analysis.run(self._call(claimed, options, path, context, folder))

    def _call(
        self,
        claimed: ToRepair,
        options: JobOptions,
        path: Path,
        context: CallContext,
        folder: Path | None,
    ) -> AnalysisRequest:
        speech = options.speech(path, self._terms.agent_channel, folder)
        return AnalysisRequest(speech, claimed.name, options.agent, context)

    async def _settle(
        self, claimed: ToRepair, options: JobOptions, before: CallResult, found: CallResult
    ) -> None:
        completed = tuple(one for one in before.missing if one not in found.missing)
        if not completed:
            dummy = found.recognition.is_dummy
            cause = found.recognition.cause if dummy else found.check_cause
            await self._put_back(claimed, cause)
            return
        self._rests.end(_name(claimed.target))
        revised = replace(found, revision=claimed.number + 1)
        ending = ending_of(revised, repair_of(revised, options, self._terms))
        if await self._stored(lambda store: store.revise(claimed, ending)):
            self._emit(
                CaseRevised(
                    case=claimed.id,
                    job=claimed.job,
                    revision=revised.revision,
                    completed=completed,
                    missing=found.missing,
                )
            )

    async def _put_back(self, claimed: ToRepair, failure: Failure | None) -> None:
        """Have it wait again; what the dependency has no part in is not tried for ever."""
        error_type = failure.error_type if failure else "Unknown"
        error = failure.message if failure else "no backend could take part"
        if error_type == ServerStopping.error_type:
            return await self._leave(claimed)
        if error_type in FINAL:
            return await self._give_up(claimed, error_type, error)
        away = error_type in _AWAY or not self._is_known_to_work(claimed.target)
        if not away and claimed.tries + 1 >= MOST_TRIES:
            return await self._give_up(claimed, error_type, error)
        rest = self._rests.begin(_name(claimed.target))
        after = 0.0 if away else min(_FIRST_TRY_SEC * 2**claimed.tries, _LONGEST_TRY_SEC)
        put_back = partial(
            _put_back,
            claimed=claimed,
            after_sec=after,
            counted=not away,
            error_type=error_type,
            error=error,
        )
        if await self._stored(put_back):
            after = max(after, rest)
            self._emit(
                RepairPutBack(case=claimed.id, after_sec=after, error_type=error_type, error=error)
            )
        return None

    def _is_known_to_work(self, target: str) -> bool:
        return target != RECOGNISER or self._known.recogniser_works()

    async def _give_up(self, claimed: ToRepair, error_type: str, error: str) -> None:
        if await self._stored(lambda store: store.give_up_repair(claimed, error_type, error)):
            self._emit(RepairsGivenUp(cases=(claimed.id,), error_type=error_type, error=error))

    async def _stored(self, work: Callable[[Store], bool]) -> bool:
        """Store what came of it, however long the store cannot be used."""
        rest = 1.0
        while True:
            try:
                return await self._desk.run(work)
            except StoreUnavailable:
                await anyio.sleep(rest)
                rest = min(rest * 2, _LONGEST_STORE_REST_SEC)

    async def _leave(self, claimed: ToRepair) -> None:
        put_back = partial(
            _put_back,
            claimed=claimed,
            after_sec=0.0,
            counted=False,
            error_type=ServerStopping.error_type,
            error="the server is stopping",
        )
        with anyio.move_on_after(_LEAVING_SEC, shield=True), suppress(StoreUnavailable):
            await self._desk.run(put_back)

    async def _renew_leases(self) -> None:
        while True:
            await anyio.sleep(self._terms.lease_sec / _RENEWALS)
            await self._guarded(self._renew)

    async def _renew(self) -> None:
        tokens, lease_sec = list(self._held), self._terms.lease_sec
        if tokens:
            still = await self._desk.run(lambda store: store.renew_repairs(tokens, lease_sec))
            for token in set(tokens) - still:
                if token in self._held:
                    self._held[token][1].cancel()

    async def _sweep(self) -> None:
        while True:
            if self._desk.is_open:
                await self._guarded(self._expire)
            await anyio.sleep(_SWEEP_SEC)

    async def _expire(self) -> None:
        gone = await self._desk.run(lambda store: store.expire_repairs())
        if gone:
            days = self._terms.keep_sec / 86400
            words = f"the dependency was not back in {days:g} days (REPAIR_KEEP_DAYS)"
            self._emit(RepairsGivenUp(cases=tuple(gone), error_type="RepairExpired", error=words))

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do a part of the work; a defect in it is told, and ends nothing else."""
        attempts = Attempts(Stage.JOB, self._observers)
        with attempts.of("repairer"), suppress(NoStoreYet, StoreUnavailable):
            await work()
        if attempts.failures:
            await anyio.sleep(_DEFECT_SEC)

    def _emit(self, event: Event) -> None:
        emit(self._observers, event)


def _name(target: str) -> str:
    """Return a target as events name it."""
    return target if target == RECOGNISER else redact_url(target)


def _waiting(store: Store) -> dict[str, int]:
    return store.waiting_repairs()


def _put_back(
    store: Store,
    claimed: ToRepair,
    after_sec: float,
    *,
    counted: bool,
    error_type: str,
    error: str,
) -> bool:
    return store.put_back_repair(
        claimed, after_sec, counted=counted, error_type=error_type, error=error
    )
