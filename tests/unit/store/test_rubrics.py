"""Rubrics: tried before they are proposed, in force by two people, taken back the same way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api_server.store import audit_log
from api_server.store.errors import DecisionRefused
from api_server.store.records import OF_SETTINGS, Ending
from api_server.store.rubric_records import RubricTrial, StoredRubric, TryOut
from api_server.store.rubrics import _SILENT_SEC
from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.jobs_in_store import new_job, store_at

OLD, NEW = "0" * 64, "1" * 64


@pytest.fixture
def clock() -> Clock:
    return Clock(1e6)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    found = store_at(tmp_path, clock)
    for number in range(3):
        found.submit(new_job(tmp_path, f"{number}".encode()))
        (claimed,) = found.claim(10.0, 1)
        found.finish(claimed, Ending("done", f'{{"call": {number}}}', 1.0))
    found.rubrics.add(StoredRubric(NEW, "new-1", "{}", "kim"))
    return found


def tried(store: Store, calls: int = 100) -> RubricTrial:
    """Try the new rubric on every call to the end; only the first that is tried differs."""
    seq = store.rubrics.begin_trial(NEW, OLD, "kim", calls)
    now = store.rubrics.claim_trial()
    assert now is not None
    assert now.seq == seq
    differences: tuple[tuple[str, str | None, str | None], ...] = (("a.b", "violated", None),)
    while now.done < now.total:
        found = store.rubrics.next_call(now)
        assert found is not None
        now = store.rubrics.note_tried(now, TryOut(found.seq, differences))
        assert now is not None
        differences = ()
    store.rubrics.end_trial(seq, "done")
    ended = store.rubrics.trial(seq)
    assert ended is not None
    return ended


def test_a_trial_goes_over_the_newest_calls_once_and_is_counted(store: Store) -> None:
    trial = tried(store, calls=2)
    assert (trial.state, trial.total, trial.done, trial.failed) == ("done", 2, 2, 0)
    counts, calls, rows = store.rubrics.differences(trial.seq, 10)
    assert (counts, calls) == ({("a.b", "violated", None): 1}, 1)
    newest = store.list_cases(None, 1, None)[0]
    assert [(one.id, one.element, one.before, one.after) for one in rows] == [
        (newest.id, "a.b", "violated", None)
    ]
    assert store.rubrics.differences(trial.seq, 10, "c.d")[2] == []


def test_a_trial_whose_server_died_goes_on_elsewhere_and_no_call_counts_twice(
    store: Store, clock: Clock
) -> None:
    store.rubrics.begin_trial(NEW, OLD, "kim", 100)
    first = store.rubrics.claim_trial()
    assert first is not None
    assert store.rubrics.claim_trial() is None, "somebody is at it"
    call = store.rubrics.next_call(first)
    assert call is not None
    second = store.rubrics.note_tried(first, TryOut(call.seq, (("a.b", None, "violated"),)))
    assert second is not None
    clock.now += _SILENT_SEC + 1
    other = store.rubrics.claim_trial()
    assert other == second
    assert store.rubrics.note_tried(first, TryOut(call.seq)) is None, "the first one is late"
    call = store.rubrics.next_call(other)
    assert call is not None
    noted = store.rubrics.note_tried(other, TryOut(call.seq, failed=True))
    assert noted is not None
    assert (noted.done, noted.failed) == (2, 1)
    assert store.rubrics.note_tried(noted, None) == noted
    store.rubrics.end_trial(noted.seq, "stopped")
    assert store.rubrics.note_tried(noted, None) is None


def test_what_was_erased_leaves_the_results(store: Store) -> None:
    trial = tried(store)
    newest = store.list_cases(None, 1, None)[0]
    store.erase(newest.id, "me")
    assert store.rubrics.differences(trial.seq, 10) == ({}, 0, [])


def test_it_takes_a_trial_and_two_people(store: Store, clock: Clock) -> None:
    with pytest.raises(DecisionRefused) as untried:
        store.rubrics.propose(NEW, "new-1", OLD, "kim")
    assert untried.value.code == "untried"
    tried(store)
    store.rubrics.propose(NEW, "new-1", OLD, "kim")
    with pytest.raises(DecisionRefused) as twice:
        store.rubrics.propose(NEW, "new-1", OLD, "lee")
    assert twice.value.code == "proposed"
    (change,) = store.rubrics.changes()
    for actor, answer in (("kim", "used"), ("kim", "refused"), ("lee", "withdrawn")):
        with pytest.raises(DecisionRefused) as alone:
            store.rubrics.answer(change.seq, answer, actor, OLD)  # type: ignore[arg-type]
        assert alone.value.code == "needs_other"
    with pytest.raises(DecisionRefused) as stale:
        store.rubrics.answer(change.seq, "used", "lee", "2" * 64)
    assert stale.value.code == "stale"
    assert store.rubrics.in_force() is None
    store.rubrics.answer(change.seq, "used", "lee", OLD)
    found = store.rubrics.in_force()
    assert found is not None
    assert (found[0].sha256, found[0].decided_by, found[1]) == (
        NEW,
        "lee",
        StoredRubric(NEW, "new-1", "{}", "kim", clock.now),
    )
    assert store.rubrics.in_force(found[0].seq) is None
    with pytest.raises(DecisionRefused):
        store.rubrics.answer(change.seq, "refused", "lee", OLD)


def test_it_is_taken_back_by_two_people_without_a_trial_and_the_log_has_the_hashes(
    store: Store,
) -> None:
    tried(store)
    before = OLD
    for sha256, version in ((NEW, "new-1"), (OF_SETTINGS, "old"), (NEW, "new-1")):
        store.rubrics.propose(sha256, version, before, "kim")
        store.rubrics.answer(store.rubrics.changes()[0].seq, "used", "lee", before)
        found = store.rubrics.in_force()
        assert found is not None
        assert (found[0].sha256, found[1] is None) == (sha256, sha256 == OF_SETTINGS)
        before = sha256 or OLD
    with store._database.read() as connection:
        told = [one.entry for one in audit_log.entries(connection, "")]
    facts = [(one.actor, json.loads(one.facts)) for one in told if one.kind == "rubric_change"]
    assert [(actor, one["what"]) for actor, one in facts] == [
        ("kim", "tried"),
        *[("kim", "proposed"), ("lee", "used")] * 3,
    ]
    assert facts[2][1] == {
        "what": "used",
        "proposed_by": "kim",
        "sha256": NEW,
        "version": "new-1",
        "before": OLD,
    }
    store.ledger.checkpoint()
    assert store.ledger.verify().faults == ()
