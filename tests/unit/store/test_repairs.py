"""Repairs in the store: leased, revised once with an entry in the log, gone with what is erased."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from api_server.store import audit_log
from api_server.store.records import Ending, NewRepair
from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.jobs_in_store import new_job

LEASE_SEC = 10.0
LLM = "http://llm"
REPAIR = NewRepair(("agent",), LLM, 100.0, 10**9)
PARTIAL = Ending("partial", "{}", 1.0, repair=REPAIR)
DONE = Ending("done", "{}", 1.0)


def partial_case(store: Store, path: Path, content: bytes = b"one") -> str:
    store.submit(new_job(path, content))
    (claimed,) = store.claim(LEASE_SEC, 1)
    store.finish(claimed, PARTIAL)
    return claimed.id


def answers(store: Store) -> list[str]:
    with store._database.read() as connection:
        found = [one.entry for one in audit_log.entries(connection)]
    return [one.subject for one in found if one.kind == "answer"]


def test_a_repair_is_one_workers_until_its_lease_is_over(
    tmp_path: Path, store: Store, clock: Clock
) -> None:
    case = partial_case(store, tmp_path)
    assert store.waiting_repairs() == {LLM: 1}
    assert store.claim_repairs(LEASE_SEC, ["stt"], 1) == []
    (first,) = store.claim_repairs(LEASE_SEC, [LLM], 1)
    assert store.claim_repairs(LEASE_SEC, [LLM], 1) == []
    clock.now += LEASE_SEC - 1
    assert store.renew_repairs([first.token], LEASE_SEC) == {first.token}
    clock.now += LEASE_SEC + 1
    (second,) = store.claim_repairs(LEASE_SEC, [LLM], 1)
    assert not store.revise(first, DONE), "it came back too late"
    assert store.revise(second, DONE)
    found, revision = store.get_case(case, None)
    assert revision is not None
    assert (found.state, revision.number, store.waiting_repairs()) == ("done", 2, {})


def test_every_revision_is_in_the_log(tmp_path: Path, store: Store) -> None:
    case = partial_case(store, tmp_path)
    (claimed,) = store.claim_repairs(LEASE_SEC, [LLM], 1)
    store.revise(claimed, DONE)
    assert answers(store) == [case, case]


def test_what_was_put_back_stands_behind_the_others(
    tmp_path: Path, store: Store, clock: Clock
) -> None:
    first, second = partial_case(store, tmp_path), partial_case(store, tmp_path, b"two")
    (claimed,) = store.claim_repairs(LEASE_SEC, [LLM], 1)
    assert claimed.id == first
    store.put_back_repair(claimed, 0.0, counted=True, error_type="TimeoutError", error="slow")
    found = store.claim_repairs(LEASE_SEC, [LLM], 2)
    assert [one.id for one in found] == [second, first]
    assert [one.tries for one in found] == [0, 1]
    clock.now += 100.0
    assert set(store.expire_repairs()) == {first, second}


def test_what_is_at_work_does_not_expire(tmp_path: Path, store: Store, clock: Clock) -> None:
    partial_case(store, tmp_path)
    store.claim_repairs(1000.0, [LLM], 1)
    clock.now += 200.0
    assert store.expire_repairs() == []


def test_what_is_erased_is_completed_no_more(tmp_path: Path, store: Store) -> None:
    case = partial_case(store, tmp_path)
    (claimed,) = store.claim_repairs(LEASE_SEC, [LLM], 1)
    store.erase(case, "me")
    assert not store.revise(claimed, DONE)
    assert store.waiting_repairs() == {}
    assert store.get_case(case, None)[0].repair is None


def test_a_failed_case_that_is_tried_again_as_a_whole_has_no_repair(
    tmp_path: Path, store: Store
) -> None:
    job, _ = store.submit(new_job(tmp_path, b"one"))
    (claimed,) = store.claim(LEASE_SEC, 1)
    store.finish(claimed, replace(PARTIAL, state="failed"))
    assert store.waiting_repairs() == {LLM: 1}
    store.retry_job(job, None)
    assert store.waiting_repairs() == {}
    (again,) = store.claim(LEASE_SEC, 1)
    store.finish(again, DONE)
    _, revision = store.get_case(claimed.id, None)
    assert revision is not None
    assert revision.number == 2
