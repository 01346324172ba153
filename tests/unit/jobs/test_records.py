"""Jobs at work: encrypted recordings, and a log that has everything before the answer is there."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from api_server.jobs import runner as runner_module
from api_server.jobs.checkpoints import CheckpointSender
from api_server.jobs.desk import InForce, JobDesk, Records
from api_server.jobs.runner import JobRunner, JobTerms
from api_server.pipeline.analysis import AnalysisRequest
from api_server.pipeline.result import CallResult
from api_server.store import audit_log
from api_server.store.errors import StoreUnavailable
from api_server.store.recordings import RecordingFolder
from api_server.store.records import CaseRecord, NewCase, NewJob, ProofFiles
from api_server.store.sealed import SealingKeys
from api_server.store.store import Store
from stt_engine.outcome import Outcome
from stt_engine.speech import Transcript
from tests.support.jobs_in_store import PLENTY, repair_terms

KEYS = SealingKeys("one", {"one": b"1" * 32})
SPOKEN = CallResult(Outcome(Transcript("안녕하세요", "ko", 3.0, "speech"), "faster-whisper"))
BOUND = 30.0


class Analysis:
    """A pipeline that keeps what it was given to read."""

    def __init__(self) -> None:
        self.read: list[tuple[Path, bytes]] = []

    async def run(self, call: AnalysisRequest) -> CallResult:
        path = call.speech.path
        self.read.append((path, await anyio.Path(path).read_bytes()))
        return SPOKEN


@asynccontextmanager
async def at_work(
    desk: JobDesk,
    analysis: Any,
    checkpoint_sec: float = 3600.0,
    checkpoints: CheckpointSender | None = None,
) -> AsyncIterator[None]:
    terms = JobTerms(1, 30.0, 1, 0, lambda _url: True, repair_terms(), checkpoint_sec)
    runner = JobRunner(desk, analysis, terms, lambda: True, [], checkpoints)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run, _no_opener)
        yield
        tasks.cancel_scope.cancel()
    desk.close()


@asynccontextmanager
async def _no_opener(path: str, _shown: str) -> AsyncIterator[Path]:
    yield Path(path)


async def submit(desk: JobDesk, content: bytes, folder: RecordingFolder | None = None) -> None:
    case = NewCase("a.wav", (folder or desk.recordings).receive(io.BytesIO(content)))
    await desk.run(lambda store: store.submit(NewJob("", "{}", "{}", 5, (case,), "a")), make=True)


async def ended(desk: JobDesk) -> CaseRecord:
    with anyio.fail_after(BOUND):
        while True:
            (case,) = await desk.run(lambda store: store.list_cases(None, 2, None))
            if case.ended_at is not None:
                return case
            await anyio.sleep(0.01)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_LOOK_SEC", 0.02)


def folder_at(path: Path, keys: SealingKeys | None) -> RecordingFolder:
    return RecordingFolder(path / "recordings", PLENTY, 0, keys=keys)


async def test_a_case_is_worked_on_in_a_copy_that_goes(tmp_path: Path) -> None:
    analysis = Analysis()
    desk = JobDesk(tmp_path / "cases.db", folder_at(tmp_path, KEYS))
    async with at_work(desk, analysis):
        await submit(desk, b"a call")
        assert (await ended(desk)).state == "done"
    ((path, content),) = analysis.read
    assert content == b"a call"
    assert tmp_path not in path.parents
    assert not path.exists()


async def test_a_case_whose_key_is_gone_fails_and_names_it(tmp_path: Path) -> None:
    desk = JobDesk(tmp_path / "cases.db", folder_at(tmp_path, KEYS))
    gone = SealingKeys("gone", {"gone": b"g" * 32})
    await submit(desk, b"a call", folder_at(tmp_path, gone))
    async with at_work(desk, Analysis()):
        case = await ended(desk)
        assert (case.state, case.error_type) == ("failed", "KeyMissing")


async def test_cases_wait_for_the_key_of_the_store(tmp_path: Path) -> None:
    await submit(JobDesk(tmp_path / "cases.db", folder_at(tmp_path, KEYS)), b"a call")
    desk = JobDesk(tmp_path / "cases.db", folder_at(tmp_path, None))
    with pytest.raises(StoreUnavailable, match="needs the key one"):
        await desk.run(lambda store: store.backlog())
    assert "needs the key one" in str(desk.trouble.reason)
    desk = JobDesk(tmp_path / "cases.db", folder_at(tmp_path, KEYS))
    async with at_work(desk, Analysis()):
        assert (await ended(desk)).state == "done"


def _kinds(store: Store) -> list[str]:
    with store._database.read() as connection:
        return [one.entry.kind for one in audit_log.entries(connection)]


async def test_the_log_has_settings_and_rubric_before_an_answer_of_theirs(tmp_path: Path) -> None:
    now: list[InForce] = [({"A": "1"}, {"version": "1"})]
    records = Records(in_force=lambda: now[-1])
    desk = JobDesk(tmp_path / "cases.db", folder_at(tmp_path, None), records=records)
    async with at_work(desk, Analysis()):
        await submit(desk, b"a call")
        await ended(desk)
        assert await desk.run(_kinds) == ["setting", "rubric", "answer"]
        now.append(({"A": "1"}, {"version": "2"}))
        assert await desk.run(_kinds) == ["setting", "rubric", "answer", "rubric"]


async def test_the_log_is_signed_now_and_then(tmp_path: Path) -> None:
    files = ProofFiles(tmp_path / "elsewhere" / "notes", tmp_path / "key")
    desk = JobDesk(tmp_path / "cases.db", folder_at(tmp_path, None), records=Records(proof=files))
    async with at_work(desk, Analysis(), checkpoint_sec=0.05):
        await submit(desk, b"a call")
        await ended(desk)
        with anyio.fail_after(BOUND):
            while "\n1\n" not in await desk.run(  # noqa: ASYNC110 - a file has no events
                lambda _store: _text_of(files.notes)
            ):
                await anyio.sleep(0.02)
        assert (await desk.run(lambda store: store.ledger.verify())).signed == 1


async def test_what_was_signed_is_kept_elsewhere_too(tmp_path: Path) -> None:
    sent, signed = list[str](), anyio.Event()

    async def deliver(_identity: str, note: str, _at: datetime) -> None:
        sent.append(note)
        if "\n1\n" in note:
            signed.set()

    desk = JobDesk(tmp_path / "cases.db", folder_at(tmp_path, None))
    async with at_work(desk, Analysis(), 0.05, CheckpointSender(deliver, [])):
        await submit(desk, b"a call")
        with anyio.fail_after(BOUND):
            await signed.wait()
    assert f"{sent[-1]}\n" in (tmp_path / "audit.checkpoints").read_text("utf-8")
    assert len(set(sent)) == len(sent)


def _text_of(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""
