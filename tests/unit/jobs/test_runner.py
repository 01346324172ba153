"""The runner: how each case ends, what is tried again, and what a store that fails changes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from api_server.jobs import runner as runner_module
from api_server.jobs.desk import JobDesk, NoStoreYet
from api_server.jobs.events import (
    CaseEnded,
    CasePutBack,
    LeaseLost,
    StoreAnswers,
    StoreFailing,
)
from api_server.jobs.options import JobOptions
from api_server.jobs.runner import JobRunner, JobTerms
from api_server.pipeline.analysis import AgentConfig, AnalysisRequest
from api_server.pipeline.result import CallResult, CheckResult
from api_server.store.errors import RecordingsUnreachable
from api_server.store.recordings import RecordingFolder
from api_server.store.records import CaseRecord, Claimed, NewCase, NewJob, Revision
from api_server.store.store import Store
from stt_engine.call import CallCancelled
from stt_engine.errors import (
    AudioNotFound,
    EmptyTranscript,
    EngineError,
    LanguageNotSupported,
    NotAudio,
    RecordingQuarantined,
    ServerStopping,
    StorageUnresponsive,
    WorkerDied,
)
from stt_engine.events import Event, Stage
from stt_engine.outcome import DUMMY, AttemptFailed, Failure, Outcome
from stt_engine.speech import Transcript
from tests.support.jobs_in_store import folder_at, new_job, repair_terms

BOUND = 30.0
SPOKEN = CallResult(Outcome(Transcript("안녕하세요", "ko", 3.0, "speech"), "faster-whisper"))


def failed_with(error: EngineError) -> CallResult:
    failure = Failure.of(error, Stage.STT, "faster-whisper", 0.1)
    return CallResult(Outcome(Transcript("", "ko", 3.0, "failed"), DUMMY, (failure,)))


@dataclass
class Analysis:
    """A pipeline of a few lines: what it is told to come to, call by call, the last for ever."""

    says: list[Any]
    calls: list[AnalysisRequest] = field(default_factory=list)
    reached: anyio.Event = field(default_factory=anyio.Event)
    go_on: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, call: AnalysisRequest) -> CallResult:
        self.calls.append(call)
        said = self.says[min(len(self.calls), len(self.says)) - 1]
        if said is WAITS:
            self.reached.set()
            while not call.context.cancelled and not self.go_on.is_set():  # noqa: ASYNC110
                await anyio.sleep(0.01)
            if call.context.cancelled:
                raise CallCancelled
            return SPOKEN
        if isinstance(said, Exception):
            raise said
        return said


WAITS = object()


@dataclass
class House:
    """A runner at work over a store of its own."""

    path: Path
    analysis: Analysis
    desk: JobDesk
    runner: JobRunner
    events: list[Event]

    async def submit(self, *contents: bytes, **asked: Any) -> str:
        new = new_job(self.path, *contents, **asked)
        job, _ = await self.desk.run(lambda store: store.submit(new), make=True)
        self.runner.wake()
        return job

    async def case(self, state: str) -> tuple[CaseRecord, Revision | None]:
        """Wait until the one case is in a state."""
        with anyio.fail_after(BOUND):
            while True:
                (found,) = await self.desk.run(lambda store: store.list_cases(None, 2, None))
                if found.state == state:
                    one = found.id
                    return await self.desk.run(lambda store, one=one: store.get_case(one, None))
                await anyio.sleep(0.01)

    async def told(self, kind: type[Event]) -> Event:
        with anyio.fail_after(BOUND):
            while not (  # noqa: ASYNC110
                found := [one for one in self.events if isinstance(one, kind)]
            ):
                await anyio.sleep(0.01)
        return found[0]


@asynccontextmanager
async def house(
    path: Path,
    *says: object,
    is_ready: Callable[[], bool] = lambda: True,
    lease_sec: float = 30.0,
    max_tries: int = 3,
) -> AsyncIterator[House]:
    events: list[Event] = []
    analysis: Any = Analysis(list(says))
    desk = JobDesk(path / "cases.db", folder_at(path), [events.append])
    terms = JobTerms(2, lease_sec, max_tries, 0, lambda url: "allowed" in url, repair_terms())
    runner = JobRunner(desk, analysis, terms, is_ready, [events.append])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run, _opener)
        yield House(path, analysis, desk, runner, events)
        tasks.cancel_scope.cancel()
    desk.close()


@asynccontextmanager
async def _opener(path: str, _shown: str) -> AsyncIterator[Path]:
    if not await anyio.Path(path).exists():
        raise AudioNotFound("no such file")
    yield Path(path)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_FIRST_REST_SEC", 0.01)
    monkeypatch.setattr(runner_module, "_UNREACHABLE_REST_SEC", 0.01)
    monkeypatch.setattr(runner_module, "_LOOK_SEC", 0.02)


# How a case ends ----------------------------------------------------------------------------


async def test_a_case_is_done_and_its_answer_is_kept_whole(tmp_path: Path) -> None:
    async with house(tmp_path, SPOKEN) as found:
        await found.submit(b"one")
        case, revision = await found.case("done")
        assert revision is not None
        assert CallResult.from_json(revision.answer) == SPOKEN
        (call,) = found.analysis.calls
        assert (call.context.id, call.context.background, call.shown_path) == (
            case.id,
            True,
            "0.wav",
        )
        ended = await found.told(CaseEnded)
        assert isinstance(ended, CaseEnded)
        assert (ended.case, ended.state, ended.error) == (case.id, "done", None)


async def test_a_check_that_broke_leaves_a_case_with_parts_missing(tmp_path: Path) -> None:
    failure = Failure.of(WorkerDied("gone"), Stage.VALIDATION, "check", 0.1)
    part = CallResult(SPOKEN.recognition, CheckResult(failure=failure))
    async with house(tmp_path, part) as found:
        await found.submit(b"one")
        case, revision = await found.case("partial")
        assert revision is not None
        assert (case.error_type, case.error) == ("WorkerDied", "gone")


async def test_the_callers_mistake_is_tried_once(tmp_path: Path) -> None:
    async with house(tmp_path, NotAudio("no sound")) as found:
        await found.submit(b"one")
        case, revision = await found.case("refused")
        assert (revision, case.error_type, case.tries) == (None, "NotAudio", 1)


async def test_what_the_machine_fails_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    async with house(tmp_path, failed_with(WorkerDied("died")), max_tries=3) as found:
        await found.submit(b"one")
        case, revision = await found.case("failed")
        assert (revision, case.error_type, case.error) == (None, "WorkerDied", "died")
        assert (case.tries, len(found.analysis.calls)) == (3, 3)
        assert sum(isinstance(one, CasePutBack) for one in found.events) == 2


async def test_a_machine_that_works_again_finishes_it(tmp_path: Path) -> None:
    async with house(tmp_path, failed_with(WorkerDied("died")), SPOKEN) as found:
        await found.submit(b"one")
        case, _ = await found.case("done")
        assert (case.tries, case.error) == (2, None)


@pytest.mark.parametrize("kind", [RecordingQuarantined, EmptyTranscript, LanguageNotSupported])
async def test_what_another_try_would_only_repeat_is_given_up_at_once(
    tmp_path: Path, kind: type[EngineError]
) -> None:
    async with house(tmp_path, failed_with(kind("again")), max_tries=9) as found:
        await found.submit(b"one")
        case, _ = await found.case("failed")
        assert (case.tries, case.error_type) == (1, kind.error_type)


async def test_a_server_that_stops_is_no_try(tmp_path: Path) -> None:
    async with house(tmp_path, failed_with(ServerStopping("stopping")), SPOKEN) as found:
        await found.submit(b"one")
        case, _ = await found.case("done")
        assert case.tries == 1


async def test_a_defect_of_ours_ends_no_runner_and_is_told(tmp_path: Path) -> None:
    async with house(tmp_path, ZeroDivisionError("made on purpose"), SPOKEN) as found:
        await found.submit(b"one")
        await found.case("done")
        told = await found.told(AttemptFailed)
        assert isinstance(told, AttemptFailed)
        assert told.failure.unexpected


async def test_a_file_below_the_roots_is_opened_when_its_turn_comes(tmp_path: Path) -> None:
    there, gone = tmp_path / "there.wav", tmp_path / "gone.wav"
    there.write_bytes(b"one")
    for path, state in ((there, "done"), (gone, "refused")):
        async with house(tmp_path / state, SPOKEN) as found:
            job = NewJob("", "{}", "{}", 5, (NewCase("a", path=str(path)),), "a")
            await found.desk.run(lambda store, job=job: store.submit(job), make=True)
            await found.case(state)


async def test_an_agent_that_may_not_be_called_any_more_is_not(tmp_path: Path) -> None:
    async with house(tmp_path, SPOKEN) as found:
        new = new_job(tmp_path, b"one")
        options = JobOptions(agent=AgentConfig("http://elsewhere/")).to_json()
        refused = NewJob("", options, "{}", 5, new.cases, "a")
        await found.desk.run(lambda store: store.submit(refused), make=True)
        await found.case("refused")
        assert found.analysis.calls == []


async def test_a_defect_of_the_runner_itself_is_told_and_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_DEFECT_SEC", 0.01)
    claim, broken = Store.claim, [ZeroDivisionError("on purpose")]

    def claim_at_last(store: Store, lease_sec: float, limit: int) -> list[Claimed]:
        if broken:
            raise broken.pop()
        return claim(store, lease_sec, limit)

    monkeypatch.setattr(Store, "claim", claim_at_last)
    async with house(tmp_path, SPOKEN) as found:
        await found.submit(b"one")
        await found.case("done")
        told = await found.told(AttemptFailed)
        assert isinstance(told, AttemptFailed)
        assert (told.failure.source, told.failure.unexpected) == ("runner", True)


# Stops, cancels, leases ---------------------------------------------------------------------


async def test_a_stop_puts_back_what_is_in_hand_as_if_it_had_not_been(tmp_path: Path) -> None:
    async with house(tmp_path, WAITS) as found:
        await found.submit(b"one")
        await found.analysis.reached.wait()
    async with house(tmp_path, SPOKEN) as again:
        case, _ = await again.case("done")
        assert case.tries == 1


async def test_a_cancelled_case_is_stopped_and_its_result_is_not_taken(tmp_path: Path) -> None:
    async with house(tmp_path, WAITS) as found:
        job = await found.submit(b"one")
        await found.analysis.reached.wait()
        await found.desk.run(lambda store: store.cancel_job(job, None))
        await found.runner.renew()
        await found.told(LeaseLost)
        case, revision = await found.case("cancelled")
        assert (revision, found.runner.at_work) == (None, 0)
        assert case.error is None


async def test_a_lease_is_renewed_for_as_long_as_the_work_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[set[str]] = []

    def renew(store: Store, tokens: list[str], lease_sec: float) -> set[str]:
        renewed.append(store.renew(tokens, lease_sec))
        return renewed[-1]

    monkeypatch.setattr(runner_module, "_renewed", renew)
    async with house(tmp_path, WAITS, lease_sec=0.3) as found:
        await found.submit(b"one")
        await found.analysis.reached.wait()
        with anyio.fail_after(BOUND):
            while len(renewed) < 3:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.01)
        found.analysis.go_on.set()
        await found.case("done")
    assert [len(one) for one in renewed[:3]] == [1, 1, 1], "it is held all along"


async def test_nothing_is_begun_while_the_recogniser_does_not_work(tmp_path: Path) -> None:
    ready: list[bool] = []
    async with house(tmp_path, SPOKEN, is_ready=lambda: bool(ready)) as found:
        await found.submit(b"one")
        with anyio.fail_after(BOUND):
            while found.runner.backlog is None:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.01)
        assert found.analysis.calls == []
        ready.append(True)
        await found.case("done")


# A store that fails -------------------------------------------------------------------------


async def test_without_a_job_there_is_no_database(tmp_path: Path) -> None:
    async with house(tmp_path, SPOKEN) as found:
        with pytest.raises(NoStoreYet):
            await found.desk.run(lambda store: store.backlog())
        assert not found.desk.is_open
    assert os.listdir(tmp_path) == []  # noqa: PTH208


async def test_a_result_is_kept_until_the_database_can_take_it(tmp_path: Path) -> None:
    async with house(tmp_path, WAITS) as found:
        await found.submit(b"one")
        await found.analysis.reached.wait()
        database = tmp_path / "cases.db"
        database.rename(tmp_path / "away.db")
        found.analysis.go_on.set()
        failing = await found.told(StoreFailing)
        assert isinstance(failing, StoreFailing)
        assert found.desk.trouble.reason
        (tmp_path / "away.db").rename(database)
        await found.told(StoreAnswers)
        case, _ = await found.case("done")
        assert (case.tries, len(found.analysis.calls)) == (1, 1)
        assert found.desk.trouble.reason is None


async def test_a_recording_that_is_gone_from_the_store_is_no_mistake_of_the_caller(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, SPOKEN, is_ready=lambda: False) as found:
        await found.submit(b"one")
    (recording,) = (tmp_path / "recordings").glob("??/*")
    recording.unlink()
    async with house(tmp_path, SPOKEN, max_tries=1) as again:
        case, _ = await again.case("failed")
        assert case.error_type == "StoreUnavailable"


@pytest.mark.parametrize("kind", [RecordingsUnreachable, StorageUnresponsive])
async def test_a_store_or_a_share_that_is_away_is_no_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[EngineError]
) -> None:
    opened, away = RecordingFolder.opened, [kind("no answer")] * 5

    def answers_later(folder: RecordingFolder, sha256: str) -> Any:
        if away:
            raise away.pop()
        return opened(folder, sha256)

    monkeypatch.setattr(RecordingFolder, "opened", answers_later)
    async with house(tmp_path, SPOKEN, max_tries=1) as found:
        await found.submit(b"one")
        case, _ = await found.case("done")
        assert (case.tries, away) == (1, [])
