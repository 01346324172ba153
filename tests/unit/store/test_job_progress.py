"""How far a job is: how long the rest takes, and why cases were not done."""

from __future__ import annotations

from pathlib import Path

import pytest

from api_server.pipeline.render.cases import job_list, job_response
from api_server.store.records import CaseFailure, Ending
from api_server.store.store import Store
from stt_tools.cli.jobs import _left
from tests.support.clock import Clock
from tests.support.jobs_in_store import new_job

LEASE_SEC = 100.0
DONE = Ending("done", "{}", 1.0)


def remaining(store: Store, job: str) -> float | None:
    return job_response(store.get_job(job, None)).remaining_sec


def test_the_rest_takes_as_long_for_each_byte_as_what_was_heard(
    tmp_path: Path, store: Store, clock: Clock
) -> None:
    job, _ = store.submit(new_job(tmp_path, b"12", b"3456", b"78"))
    assert remaining(store, job) is None, "queued: nobody knows"
    (first,) = store.claim(LEASE_SEC, 1)
    assert remaining(store, job) is None, "nothing has been heard yet"
    clock.now += 20.0
    store.finish(first, DONE)
    assert remaining(store, job) == 60.0, "2 bytes took 20 s, 6 are left"
    clock.now += 20.0
    assert remaining(store, job) == 120.0, "nothing more has ended since"
    assert job_list(store.list_jobs(None, 9, None), 9).jobs[0].remaining_sec == 120.0
    for one in store.claim(LEASE_SEC, 2):
        store.finish(one, DONE)
    assert remaining(store, job) is None, "it has ended"


def test_what_was_not_heard_tells_no_rate(tmp_path: Path, store: Store, clock: Clock) -> None:
    job, _ = store.submit(new_job(tmp_path, b"1", b"2", b"3"))
    refused, heard = store.claim(LEASE_SEC, 2)
    store.finish(refused, Ending("refused", error_type="NotAudio"))
    assert remaining(store, job) is None
    clock.now += 7.0
    store.finish(heard, DONE)
    assert remaining(store, job) == 7.0
    clock.now += 3_600.0
    assert remaining(store, job) is None, "nothing within an hour"


def test_failures_are_told_by_cause_with_the_first_case_of_each(
    tmp_path: Path, store: Store
) -> None:
    job, _ = store.submit(new_job(tmp_path, *(bytes([n]) for n in range(5))))
    ends = ("WorkerDied", "no answer"), ("WorkerDied", "again"), ("OutOfMemory", "too large")
    claimed = store.claim(LEASE_SEC, 5)
    for one, (kind, said) in zip(claimed, ends, strict=False):
        store.finish(one, Ending("failed", error_type=kind, error=said))
    store.finish(claimed[3], Ending("refused", error_type="NotAudio", error="a picture"))
    store.finish(claimed[4], DONE)
    assert store.get_job(job, None).failures == (
        CaseFailure("failed", "WorkerDied", 2, claimed[0].id, "no answer"),
        CaseFailure("failed", "OutOfMemory", 1, claimed[2].id, "too large"),
        CaseFailure("refused", "NotAudio", 1, claimed[3].id, "a picture"),
    )
    (listed,) = job_list(store.list_jobs(None, 9, None), 9).jobs
    assert (listed.failures, listed.counts["failed"]) == (None, 3)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(5.0, "about 5 s left"), (600.0, "about 10 min left"), (9_000.0, "about 2.5 h left")],
)
def test_the_command_line_says_how_long(seconds: float, said: str) -> None:
    assert _left(seconds) == said
