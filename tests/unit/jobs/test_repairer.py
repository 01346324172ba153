"""The repairer: only the missing stage runs, once its dependency is back, and revises once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from api_server.clients.agent.errors import AgentConnectionError, InvalidAnswer
from api_server.jobs import repairer as repairer_module
from api_server.jobs import rests as rests_module
from api_server.jobs.call_keeper import CallKeeper, CallRecording
from api_server.jobs.desk import JobDesk
from api_server.jobs.endings import ending_of
from api_server.jobs.events import CallKept, CallNotKept, CaseRevised, RepairPutBack, RepairsGivenUp
from api_server.jobs.options import JobOptions
from api_server.jobs.repairer import MOST_TRIES, Dependencies, Repairer
from api_server.jobs.rests import FIRST_REST_SEC, LONGEST_REST_SEC, Rests
from api_server.pipeline.analysis import AgentConfig, AnalysisRequest
from api_server.pipeline.result import CallResult, CheckResult
from api_server.pipeline.storage import Place
from api_server.store.records import CaseRecord, Revision
from stt_engine.errors import AudioNotFound, EngineError, ModelNotFound, RecordingQuarantined
from stt_engine.events import Event, Stage
from stt_engine.hints import Hints
from stt_engine.outcome import DUMMY, Failure, Outcome, StageSettled
from stt_engine.speech import SpeechRequest, Transcript
from tests.support.clock import Clock
from tests.support.jobs_in_store import folder_at, repair_terms

BOUND = 10.0
URL = "http://allowed/v1/chat/completions"
OPTIONS = JobOptions("ko", agent=AgentConfig(URL))
SPOKEN = Outcome(Transcript("안녕하세요", "ko", 3.0, "speech"), "faster-whisper")


def failed(error: EngineError, stage: Stage) -> Failure:
    return Failure.of(error, stage, "any", 0.1)


def unchecked(error: EngineError) -> CallResult:
    return CallResult(SPOKEN, CheckResult(failure=failed(error, Stage.AGENT)))


def unheard(error: EngineError) -> CallResult:
    nothing = Transcript("", "ko", 3.0, "failed")
    heard = Outcome(nothing, DUMMY, (failed(error, Stage.STT),))
    return CallResult(heard, CheckResult(failure=failed(AWAY, Stage.AGENT)))


AWAY = AgentConnectionError("refused")
CHECKED = CallResult(SPOKEN)
"""A whole answer: what a check says is not this test's."""


@dataclass
class Analysis:
    """A pipeline of a few lines; each of its stages says what it is told, the last for ever."""

    checks: list[Any] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    read: list[bytes] = field(default_factory=list)
    asked: list[SpeechRequest] = field(default_factory=list)

    async def check(
        self, call: AnalysisRequest, agent: AgentConfig, recognition: Outcome[Transcript]
    ) -> CheckResult | None:
        assert call.context.background
        assert (agent.url, recognition) == (URL, SPOKEN)
        self.called.append("check")
        said = self.checks.pop(0) if len(self.checks) > 1 else self.checks[0]
        return CheckResult(failure=failed(said, Stage.AGENT)) if said else None

    async def run(self, call: AnalysisRequest) -> CallResult:
        self.called.append("run")
        self.read.append(call.speech.path.read_bytes())
        self.asked.append(replace(call.speech, path=Path()))
        said = self.runs.pop(0) if len(self.runs) > 1 else self.runs[0]
        if isinstance(said, Exception):
            raise said
        return said


@dataclass
class House:
    """A repairer at work over a store of its own, and what it may know."""

    path: Path
    analysis: Analysis
    desk: JobDesk
    keeper: CallKeeper
    rests: Rests
    events: list[Event]
    works: dict[str, bool]

    async def keep(
        self, result: CallResult, content: bytes = b"sound", options: JobOptions | None = None
    ) -> CaseRecord | None:
        (self.path / "upload").write_bytes(content)
        recording = CallRecording(self.path / "upload", "a.wav")
        return await self.keeper.keep(result, options or OPTIONS, recording, "me")

    async def case(self, case: str, number: int | None = None) -> tuple[CaseRecord, Revision]:
        found, revision = await self.desk.run(lambda store: store.get_case(case, "me", number))
        assert revision is not None
        return found, revision

    async def told(self, kind: type[Event], times: int = 1) -> list[Event]:
        with anyio.fail_after(BOUND):
            while (  # noqa: ASYNC110
                len(found := [one for one in self.events if isinstance(one, kind)]) < times
            ):
                await anyio.sleep(0.01)
        return found

    def kept(self) -> int:
        return len(folder_at(self.path).on_disk())


@asynccontextmanager
async def house(path: Path, analysis: Analysis, **terms: Any) -> AsyncIterator[House]:
    events: list[Event] = []
    works = {"stt": False, "agent": False, "quiet": True}
    desk = JobDesk(path / "cases.db", folder_at(path), [events.append])
    given = repair_terms(**terms)
    rests = Rests()
    uploads = Place("temporary folder", "TMPDIR")
    known = Dependencies(
        lambda: works["stt"],
        lambda url: "works" if works["agent"] else "away",
        lambda: works["quiet"],
    )
    pipeline: Any = analysis
    repairer = Repairer(desk, pipeline, given, known, rests, [events.append])
    keeper = CallKeeper(desk, uploads, given, [events.append])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(repairer.run, _opener)
        yield House(path, analysis, desk, keeper, rests, events, works)
        tasks.cancel_scope.cancel()
    desk.close()


@asynccontextmanager
async def _opener(path: str, _shown: str) -> AsyncIterator[Path]:
    if not await anyio.Path(path).exists():
        raise AudioNotFound("no such file")
    yield Path(path)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rests_module, "FIRST_REST_SEC", 0.01)
    monkeypatch.setattr(rests_module, "LONGEST_REST_SEC", 0.02)
    monkeypatch.setattr(repairer_module, "_FIRST_TRY_SEC", 0.001)
    monkeypatch.setattr(repairer_module, "_LOOK_SEC", 0.02)
    monkeypatch.setattr(repairer_module, "_SWEEP_SEC", 0.02)


# What is completed --------------------------------------------------------------------------


async def test_a_check_is_made_up_for_without_recognition_and_the_first_answer_stays(
    tmp_path: Path,
) -> None:
    first = unchecked(AWAY)
    async with house(tmp_path, Analysis(checks=[None])) as found:
        kept = await found.keep(first)
        assert kept is not None
        assert kept.repair is not None
        assert (kept.state, kept.repair.status, kept.repair.missing) == (
            "partial",
            "pending",
            ("agent",),
        )
        assert found.kept() == 1
        found.works["agent"] = True
        (revised,) = await found.told(CaseRevised)
        assert revised == CaseRevised(
            call_id=kept.id,
            case=kept.id,
            job=kept.job,
            revision=2,
            completed=("agent",),
            missing=(),
        )
        assert found.analysis.called == ["check"]
        case, second = await found.case(kept.id)
        assert (case.state, case.error_type, second.number) == ("done", None, 2)
        assert CallResult.from_json(second.answer) == replace(CHECKED, revision=2)
        _, stays = await found.case(kept.id, 1)
        assert CallResult.from_json(stays.answer) == first
        assert case.repair is not None
        assert case.repair.status == "done"
        assert found.kept() == 0, "its recording is needed no more"


async def test_recognition_is_made_up_for_and_then_the_check(tmp_path: Path) -> None:
    halfway = unchecked(AWAY)
    analysis = Analysis(runs=[halfway], checks=[None])
    async with house(tmp_path, analysis) as found:
        kept = await found.keep(unheard(ModelNotFound("gone")), b"the sound")
        assert kept is not None
        assert kept.state == "failed"
        found.works["stt"] = True
        await found.told(CaseRevised)
        case, second = await found.case(kept.id)
        assert (case.state, second.number, analysis.read) == ("partial", 2, [b"the sound"])
        assert case.repair is not None
        assert (case.repair.status, case.repair.missing) == ("pending", ("agent",))
        found.works["agent"] = True
        await found.told(CaseRevised, 2)
        case, third = await found.case(kept.id)
        assert (case.state, third.number, analysis.called) == ("done", 3, ["run", "check"])


async def test_it_is_recognised_as_it_was_asked_for(tmp_path: Path) -> None:
    hints = Hints.of("연금 상담", ["가온연금"])
    options = JobOptions("en", True, None, translate=True, hints=hints, temperature=0.5)
    analysis = Analysis(runs=[CHECKED])
    async with house(tmp_path, analysis) as found:
        await found.keep(unheard(ModelNotFound("gone")), options=options)
        found.works["stt"] = True
        await found.told(CaseRevised)
    assert analysis.asked == [options.speech(Path(), analysis.asked[0].agent_channel)]


async def test_nothing_is_tried_before_it_is_back_or_while_others_call(tmp_path: Path) -> None:
    async with house(tmp_path, Analysis(checks=[None])) as found:
        await found.keep(unchecked(AWAY))
        await found.desk.run(lambda store: store.waiting_repairs())
        found.works |= {"agent": True, "quiet": False}
        for _ in range(5):
            await found.desk.run(lambda store: store.waiting_repairs())
        assert found.analysis.called == []
        found.works["quiet"] = True
        await found.told(CaseRevised)


async def test_one_that_is_not_back_is_tried_again_and_counts_no_try(tmp_path: Path) -> None:
    analysis = Analysis(checks=[*[AWAY] * (MOST_TRIES + 2), None])
    async with house(tmp_path, analysis) as found:
        kept = await found.keep(unchecked(AWAY))
        found.works["agent"] = True
        await found.told(CaseRevised)
        assert kept is not None
        assert len(await found.told(RepairPutBack)) == MOST_TRIES + 2
        assert not [one for one in found.events if isinstance(one, RepairsGivenUp)]


async def test_what_fails_by_itself_is_given_up(tmp_path: Path) -> None:
    async with house(tmp_path, Analysis(checks=[InvalidAnswer("no JSON")])) as found:
        kept = await found.keep(unchecked(AWAY))
        found.works["agent"] = True
        (given_up,) = await found.told(RepairsGivenUp)
        assert kept is not None
        assert given_up == RepairsGivenUp(
            call_id=kept.id, cases=(kept.id,), error_type="InvalidAnswer", error="no JSON"
        )
        assert len(found.analysis.called) == MOST_TRIES
        case, first = await found.case(kept.id)
        assert case.repair is not None
        assert (case.repair.status, first.number, found.kept()) == ("given_up", 1, 0)


@pytest.mark.parametrize(
    "ended", [AudioNotFound("gone"), unheard(RecordingQuarantined("it killed two"))]
)
async def test_a_recording_that_cannot_be_used_any_more_is_given_up(
    tmp_path: Path, ended: object
) -> None:
    async with house(tmp_path, Analysis(runs=[ended])) as found:
        await found.keep(unheard(ModelNotFound("gone")))
        found.works["stt"] = True
        await found.told(RepairsGivenUp)
        assert found.analysis.called == ["run"]


async def test_after_its_time_it_is_given_up(tmp_path: Path) -> None:
    async with house(tmp_path, Analysis(), keep_sec=0.001) as found:
        kept = await found.keep(unchecked(AWAY))
        (given_up,) = await found.told(RepairsGivenUp)
        assert kept is not None
        assert given_up == RepairsGivenUp(
            cases=(kept.id,),
            error_type="RepairExpired",
            error="the dependency was not back in 1.15741e-08 days (REPAIR_KEEP_DAYS)",
        )
        await found.desk.run(lambda store: store.sweep())
        assert found.kept() == 0


# What is kept -------------------------------------------------------------------------------


async def test_without_room_for_recordings_a_check_is_kept_and_a_recognition_is_off(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, Analysis(checks=[None]), max_bytes=4) as found:
        check = await found.keep(unchecked(AWAY))
        heard = await found.keep(unheard(ModelNotFound("gone")))
        assert check is not None
        assert heard is not None
        assert check.repair is not None
        assert heard.repair is not None
        assert (check.repair.status, heard.repair.status, found.kept()) == ("pending", "off", 1)


@pytest.mark.parametrize(
    ("result", "terms"),
    [
        (unchecked(AWAY), {"calls": False}),
        (unchecked(AWAY), {"keep_sec": 0.0}),
        (CHECKED, {}),
        (unheard(RecordingQuarantined("it killed two")), {}),
    ],
    ids=["not asked for", "no days", "nothing is missing", "for ever"],
)
async def test_what_need_not_be_kept_opens_no_store(
    tmp_path: Path, result: CallResult, terms: dict[str, Any]
) -> None:
    async with house(tmp_path, Analysis(), **terms) as found:
        assert await found.keep(result) is None
    assert not (tmp_path / "cases.db").exists()


async def test_a_store_that_is_gone_keeps_no_call_and_stops_none(tmp_path: Path) -> None:
    (tmp_path / "cases.db").mkdir()
    async with house(tmp_path, Analysis()) as found:
        assert await found.keep(unchecked(AWAY)) is None
        (told,) = await found.told(CallNotKept)
        assert isinstance(told, CallNotKept)
        assert "cases.db" in told.reason
        assert not await found.told(CallKept, 0)


# Rests --------------------------------------------------------------------------------------


def test_a_rest_doubles_and_ends_with_anybodys_answer() -> None:
    clock = Clock()
    rests = Rests(clock)
    assert rests.is_over(URL)
    assert (rests.begin(URL), rests.begin(URL)) == (
        rests_module.FIRST_REST_SEC,
        rests_module.FIRST_REST_SEC * 2,
    )
    assert not rests.is_over(URL)
    clock.now += rests_module.FIRST_REST_SEC * 2
    assert (rests.is_over(URL), rests.is_doubted(URL)) == (True, True)
    dummy = Outcome(None, DUMMY, (failed(AWAY, Stage.AGENT),))
    rests(StageSettled(stage=Stage.AGENT, outcome=dummy, subject=URL))
    assert rests.is_doubted(URL)
    rests(StageSettled(stage=Stage.AGENT, outcome=Outcome(None, "vllm"), subject=URL))
    assert not rests.is_doubted(URL)


def test_rests_are_bounded() -> None:
    assert FIRST_REST_SEC < LONGEST_REST_SEC == 300.0


def test_the_end_of_an_answer_is_what_came_of_it() -> None:
    assert ending_of(CHECKED).state == "done"
    partial = ending_of(unchecked(AWAY))
    assert (partial.state, partial.error_type, partial.audio_sec) == (
        "partial",
        "ConnectionError",
        3.0,
    )
