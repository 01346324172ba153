"""Results that come together are one transaction; one that cannot be stored holds up no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from api_server.jobs import results as module
from api_server.jobs.desk import JobDesk
from api_server.jobs.results import Again, ResultWriter
from api_server.store.errors import StoreUnavailable
from api_server.store.records import Claimed, Ending
from api_server.store.store import Store
from stt_engine.errors import WorkerDied
from stt_engine.events import Stage
from stt_engine.outcome import Failure
from tests.support.jobs_in_store import folder_at, new_job

DONE = Ending("done", '{"text": "said"}', 1.0)
AGAIN = Again(Failure.of(WorkerDied("died"), Stage.STT, "faster-whisper", 0.1), 0.0, counted=True)


async def claimed_at(path: Path, desk: JobDesk, cases: int) -> list[Claimed]:
    new = new_job(path, *(bytes([n]) for n in range(cases)))
    await desk.run(lambda store: store.submit(new), make=True)
    return await desk.run(lambda store: store.claim(30.0, cases))


async def stored(desk: JobDesk, results: Sequence[tuple[Claimed, Ending | Again]]) -> list[Any]:
    """Have all stored at once; return what each was told."""
    writer = ResultWriter(desk)
    told: list[Any] = [None] * len(results)

    async def store(number: int) -> None:
        try:
            told[number] = await writer.store(*results[number])
        except ValueError as exc:
            told[number] = exc

    with anyio.fail_after(30):
        async with anyio.create_task_group() as work:
            work.start_soon(writer.run)
            async with anyio.create_task_group() as tasks:
                for number in range(len(results)):
                    tasks.start_soon(store, number)
            work.cancel_scope.cancel()
    return told


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many results each transaction had."""
    found: list[int] = []
    finish_all = Store.finish_all

    def counted(store: Store, results: Sequence[tuple[Claimed, Ending]]) -> list[bool]:
        found.append(len(results))
        return finish_all(store, results)

    monkeypatch.setattr(Store, "finish_all", counted)
    return found


@pytest.mark.anyio
async def test_what_comes_together_is_one_transaction(tmp_path: Path, batches: list[int]) -> None:
    desk = JobDesk(tmp_path / "cases.db", folder_at(tmp_path))
    one, two, gone, again = await claimed_at(tmp_path, desk, 4)
    await desk.run(lambda store: store.put_back(gone))
    found = await stored(desk, [(one, DONE), (gone, DONE), (again, AGAIN), (two, DONE)])
    assert (found, batches) == ([True, False, True, True], [3])
    cases = await desk.run(lambda store: store.list_cases(None, 9, None))
    assert [case.state for case in cases] == ["queued", "queued", "done", "done"]
    assert folder_at(tmp_path).on_disk() == {gone.recording, again.recording}
    await desk.run(lambda store: store.ledger.checkpoint())
    report = await desk.run(lambda store: store.ledger.verify())
    assert (report.entries, report.faults) == (2, ())
    desk.close()


@pytest.mark.anyio
async def test_one_that_cannot_be_stored_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = JobDesk(tmp_path / "cases.db", folder_at(tmp_path))
    one, bad, two = await claimed_at(tmp_path, desk, 3)
    finish_all = Store.finish_all

    def picky(store: Store, results: Sequence[tuple[Claimed, Ending]]) -> list[bool]:
        if any(claimed is bad for claimed, _ in results):
            raise ValueError("no such answer")
        return finish_all(store, results)

    monkeypatch.setattr(Store, "finish_all", picky)
    first, wrong, second = await stored(desk, [(one, DONE), (bad, DONE), (two, DONE)])
    assert (first, second, str(wrong)) == (True, True, "no such answer")
    desk.close()


@pytest.mark.anyio
async def test_results_wait_until_there_is_a_store_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: list[int]
) -> None:
    monkeypatch.setattr(module, "_FIRST_REST_SEC", 0.01)
    desk = JobDesk(tmp_path / "cases.db", folder_at(tmp_path))
    claimed = await claimed_at(tmp_path, desk, 2)
    counted = Store.finish_all

    def away(store: Store, results: Sequence[tuple[Claimed, Ending]]) -> list[bool]:
        if len(batches) < 3:
            batches.append(0)
            raise StoreUnavailable("away")
        return counted(store, results)

    monkeypatch.setattr(Store, "finish_all", away)
    assert await stored(desk, [(one, DONE) for one in claimed]) == [True, True]
    assert batches == [0, 0, 0, 2]
    desk.close()
