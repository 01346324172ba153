"""What is removed is gone, what is held stays, and the log goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api_server.store import audit_log, revisions
from api_server.store.errors import CaseHeld, NoSuchCase
from api_server.store.records import Ending, NewCase, NewJob, Retention
from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.jobs_in_store import folder_at, new_job, store_at

SAID = "0101234567890123 고객의 말"
NAME = "010-9876-5432.wav"
DAY = 86400.0


def kept_for(path: Path, clock: Clock, **days: float) -> Store:
    terms = {f"{name}_sec": number * DAY for name, number in days.items()}
    retention = Retention(**terms, wordless=lambda _answer: '[{"id": "a"}]')
    return store_at(path, clock, retention=retention)


def take(store: Store, path: Path, content: bytes = b"recording") -> str:
    (case,) = new_job(path, content).cases
    named = NewCase(NAME, case.received)
    options = json.dumps({"language": "en", "hints": {"keywords": [SAID]}}, ensure_ascii=False)
    store.submit(NewJob("", options, f'{{"customer": "{SAID}"}}', 5, (named,), SAID[:9]))
    return store.list_cases(None, 1, None)[0].id


def answer(store: Store, state: str = "done") -> None:
    (claimed,) = store.claim(10.0, 1)
    text = json.dumps({"text": SAID}, ensure_ascii=False) if state == "done" else None
    assert store.finish(claimed, Ending(state, text, 1.0, None, SAID))  # type: ignore[arg-type]


def kinds(store: Store, case: str) -> list[str]:
    with store._database.read() as connection:
        return [one.entry.kind for one in audit_log.entries(connection, case)]


def erasures(store: Store, case: str) -> list[tuple[str, str]]:
    """What was erased of a case, by whom, as the log has it."""
    with store._database.read() as connection:
        found = [one.entry for one in audit_log.entries(connection, case)]
    return [(json.loads(e.facts)["what"], e.actor) for e in found if e.kind == "erasure"]


def bytes_on_disk(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted(path.glob("cases.db*")) if one.is_file())


def proved(store: Store) -> None:
    store.ledger.checkpoint()
    assert store.ledger.verify().faults == ()


@pytest.mark.sqlite
def test_what_is_erased_is_nowhere_and_stays_proved(tmp_path: Path, clock: Clock) -> None:
    store = kept_for(tmp_path, clock, recordings=30)
    case = take(store, tmp_path)
    answer(store)
    proved(store)
    assert SAID.encode() in bytes_on_disk(tmp_path)
    assert len(folder_at(tmp_path).on_disk()) == 1
    store.erase(case, "cli:me")
    found = bytes_on_disk(tmp_path)
    for gone in (SAID, NAME, SAID[:9]):
        assert gone.encode() not in found
    assert folder_at(tmp_path).on_disk() == set()
    (job,) = store.list_jobs(None, 1, None)
    assert json.loads(job.options) == {"language": "en"}
    record, revision = store.get_case(case, None)
    assert (record.erased_at, record.state, revision) == (clock.now, "done", None)
    assert erasures(store, case) == [("texts", "cli:me"), ("recording", "cli:me")]
    with store._database.read() as connection:
        assert {one.salt for one in audit_log.entries(connection, case)} == {None}
    proved(store)
    store.erase(case, "cli:me")  # again: nothing is left to remove, and nothing is recorded
    assert kinds(store, case) == ["answer", "erasure", "erasure"]


def test_a_recording_that_cannot_be_removed_is_said_to_be_there_until_it_is_gone(
    tmp_path: Path, clock: Clock
) -> None:
    store = kept_for(tmp_path, clock, recordings=30)
    case = take(store, tmp_path)
    answer(store)
    (recording,) = folder_at(tmp_path).on_disk()
    path = folder_at(tmp_path).path(recording)
    kept = path.read_bytes()
    path.unlink()
    path.mkdir()  # what no unlink removes, whoever asks

    for _ in range(2):
        assert str(path) in (store.erase(case, "cli:me") or "")
    assert store.get_case(case, None)[0].recording is None, "nobody gets it any more"
    assert erasures(store, case) == [("texts", "cli:me")]
    store.sweep()
    assert erasures(store, case) == [("texts", "cli:me")]

    path.rmdir()
    path.write_bytes(kept)
    store.sweep()
    assert folder_at(tmp_path).on_disk() == set()
    assert erasures(store, case) == [("texts", "cli:me"), ("recording", "server")]
    assert store.erase(case, "cli:me") is None
    proved(store)


def test_a_recording_that_another_case_has_stays(tmp_path: Path, clock: Clock) -> None:
    store = kept_for(tmp_path, clock, recordings=30)
    first, second = take(store, tmp_path), take(store, tmp_path)
    answer(store)
    answer(store)
    store.erase(first, "me")
    assert len(folder_at(tmp_path).on_disk()) == 1
    store.erase(second, "me")
    assert folder_at(tmp_path).on_disk() == set()
    assert erasures(store, first) == [("all", "me")]
    assert erasures(store, second) == [("texts", "me"), ("recording", "me")]


def test_a_case_that_is_erased_at_work_has_no_result(tmp_path: Path, clock: Clock) -> None:
    store = kept_for(tmp_path, clock)
    case = take(store, tmp_path)
    (claimed,) = store.claim(10.0, 1)
    store.erase(case, "me")
    assert not store.finish(claimed, Ending("done", '{"text": "late"}', 1.0))
    record, revision = store.get_case(case, None)
    assert (record.state, record.name, revision) == ("cancelled", "", None)
    job = store.retry_job(record.job, None)
    assert job.counts["queued"] == 0
    proved(store)


def test_a_held_case_is_neither_erased_nor_expired(tmp_path: Path, clock: Clock) -> None:
    store = kept_for(tmp_path, clock, recordings=1, transcripts=1, results=1)
    case = take(store, tmp_path)
    answer(store)
    assert store.ledger.hold(case, "dispute 17", "me")
    assert not store.ledger.hold(case, "again", "me")
    with pytest.raises(CaseHeld):
        store.erase(case, "me")
    clock.now += 100 * DAY
    store.sweep()
    assert store.get_case(case, None)[1] is not None
    assert len(folder_at(tmp_path).on_disk()) == 1
    assert store.ledger.release(case, "me")
    assert not store.ledger.release(case, "me")
    store.sweep()
    assert store.get_case(case, None)[1] is None
    assert folder_at(tmp_path).on_disk() == set()
    assert kinds(store, case) == ["answer", "hold", "release", "expiry", "expiry"]
    proved(store)


def test_each_kind_has_its_days(tmp_path: Path, clock: Clock) -> None:
    store = kept_for(tmp_path, clock, recordings=1, transcripts=10, results=100)
    case = take(store, tmp_path)
    answer(store)
    store.sweep()
    assert len(folder_at(tmp_path).on_disk()) == 1
    clock.now += 2 * DAY
    store.sweep()
    assert folder_at(tmp_path).on_disk() == set()
    assert store.get_case(case, None)[1] is not None
    clock.now += 9 * DAY
    store.sweep()
    found = store.ledger.case_file(case)
    assert (found.revisions, found.findings, found.record.name) == ((), '[{"id": "a"}]', NAME)
    clock.now += 90 * DAY
    store.sweep()
    found = store.ledger.case_file(case)
    assert (found.findings, found.record.name, found.job.metadata) == (None, "", "{}")
    assert SAID.encode() not in bytes_on_disk(tmp_path)
    assert kinds(store, case) == ["answer", "expiry", "expiry"]
    proved(store)


def test_without_days_everything_is_kept_but_recordings(tmp_path: Path, clock: Clock) -> None:
    store = store_at(tmp_path, clock)
    case = take(store, tmp_path)
    answer(store)
    assert folder_at(tmp_path).on_disk() == set()
    clock.now += 100_000 * DAY
    store.sweep()
    assert store.get_case(case, None)[1] is not None


def test_more_cases_than_go_at_once_all_expire(tmp_path: Path, clock: Clock) -> None:
    store = kept_for(tmp_path, clock, results=1)
    cases = tuple(NewCase(f"{number}.wav", path="/nowhere") for number in range(450))
    store.submit(NewJob("", "{}", "{}", 5, cases, "a"))
    job = store.list_jobs(None, 1, None)[0].id
    store.cancel_job(job, None)
    clock.now += 2 * DAY
    store.sweep()
    assert {one.name for one in store.list_cases(None, 500, None)} == {""}


def test_nothing_is_added_to_a_case_that_was_erased(tmp_path: Path, clock: Clock) -> None:
    store = store_at(tmp_path, clock)
    case = take(store, tmp_path)
    answer(store)
    store.erase(case, "me")
    seq = store.get_case(case, None)[0].seq
    with pytest.raises(NoSuchCase, match="erased"), store._database.write() as connection:
        revisions.add_revision(connection, seq, "{}", clock.now)
    proved(store)


def test_what_is_not_there_cannot_be_held_or_erased(tmp_path: Path, clock: Clock) -> None:
    store = store_at(tmp_path, clock)
    for work in (
        store.erase,
        store.ledger.release,
        lambda case, who: store.ledger.hold(case, "", who),
    ):
        with pytest.raises(NoSuchCase):
            work("case-0", "me")
