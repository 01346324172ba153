"""The time of a shared step is divided among the jobs in it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from stt_engine.workers import worker as worker_module
from stt_engine.workers.process import WorkerLimits
from tests.support.stub_child import WAITING
from tests.support.worker_jobs import BOUND, Shared, StubJob, four


@dataclass
class Hurried:
    """The real clock, and what is added to it."""

    added: float = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.added


LONG = 20.0


@pytest.fixture
def hurried(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> Hurried:
    found = Hurried()
    monkeypatch.setattr(worker_module, "time", found)
    shared.worker.limits = WorkerLimits(stall_timeout_sec=1_000.0)
    return found


def _long_step(shared: Shared, hurried: Hurried, leader: StubJob) -> None:
    """Do a step that takes LONG seconds by the clock."""
    thread, found = leader.in_background()
    with shared.at_work():
        hurried.added += LONG
    thread.join(BOUND)
    assert found == []


def test_a_leader_pays_its_share_of_a_shared_step(shared: Shared, hurried: Hurried) -> None:
    neighbour = shared.job(*four())
    neighbour.step()
    leader = shared.job(WAITING)
    before = leader.entry.spent_sec
    _long_step(shared, hurried, leader)
    assert LONG / 2 <= leader.entry.spent_sec - before < LONG


def test_a_job_pays_for_all_of_a_step_of_its_own(shared: Shared, hurried: Hurried) -> None:
    only = shared.job(WAITING)
    before = only.entry.spent_sec
    _long_step(shared, hurried, only)
    assert only.entry.spent_sec - before >= LONG


def test_a_neighbour_pays_its_share_of_a_shared_step(shared: Shared, hurried: Hurried) -> None:
    neighbour = shared.job(*four())
    neighbour.step()
    leader = shared.job(WAITING)
    before = neighbour.entry.spent_sec
    _long_step(shared, hurried, leader)
    neighbour.to_the_end()
    assert LONG / 2 <= neighbour.entry.spent_sec - before < LONG
