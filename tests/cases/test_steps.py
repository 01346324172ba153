"""A process that is killed at any step of a case loses nothing and repeats no result."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path

import pytest

from api_server.store.store import Store
from tests.support import dying_case
from tests.support.dying_case import STEPS, Step
from tests.support.jobs_in_store import PLACES, folder_at
from tests.support.server import awaited

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.support.dying_case", "api_server.store.postgres"])


def all_ended(store: Store, delivered: list[tuple[str, str]]) -> bool:
    """Do what a worker does once; true when nothing is left to be done."""
    store.reap(9)
    dying_case.work(store, lambda identity, event: delivered.append((identity, event)))
    backlog = store.backlog()
    return backlog.queued + backlog.running == 0 and store.outbox.is_empty()


@pytest.mark.usefixtures("database_kind")
@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step[1]} {step[0].rpartition(':')[2]}")
def test_killed_at_a_step(tmp_path: Path, step: Step) -> None:
    where = PLACES.where(tmp_path)
    child = PROCESSES.Process(target=dying_case.die_at, args=(where, tmp_path, step))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL, "the step was never reached"

    store = dying_case.open_store(where, tmp_path)
    PLACES.opened.append(store)
    store.submit(dying_case.job_at(tmp_path))  # the caller had no answer, and sends it again
    file = tmp_path / "delivered"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    delivered = [(one.split()[0], one.split()[1]) for one in lines]
    awaited(lambda: all_ended(store, delivered), "all of it has ended")

    (case,) = store.list_cases(None, 9, None)
    assert (case.state, case.tries <= 2) == ("done", True)
    found = store.ledger.case_file(case.id)
    assert [one.answer for one in found.revisions] == ['{"text": "said"}']
    assert {event for _, event in delivered} == {"case.done", "job.done"}
    assert len(set(delivered)) == 2, "each is told under one id"
    store.sweep()
    assert folder_at(tmp_path).on_disk() == set()
    store.ledger.checkpoint()
    assert store.ledger.verify().faults == ()
    assert store.examine() == []
