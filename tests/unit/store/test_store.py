"""The store: taken whole or not at all, ended once, and never mistaken for another."""

from __future__ import annotations

import io
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from api_server.store.database import Database
from api_server.store.errors import KeyReused, NoSuchCase, NoSuchJob, StoreFull, StoreUnavailable
from api_server.store.leases import LOST
from api_server.store.recordings import Received
from api_server.store.records import Ending
from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.jobs_in_store import PLACES, folder_at, new_job, store_at

LEASE_SEC = 10.0
DONE = Ending("done", "{}", 1.0)


def kept(path: Path) -> int:
    return len(folder_at(path).on_disk())


# The schema ---------------------------------------------------------------------------------


@pytest.mark.sqlite
def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path, store: Store) -> None:
    store.close()
    with sqlite3.connect(tmp_path / "cases.db") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StoreUnavailable, match="newer version"):
        Database(tmp_path / "cases.db")


def test_many_that_open_it_at_once_make_one(tmp_path: Path) -> None:
    opened: list[Database] = []
    where = PLACES.where(tmp_path, tables=False)

    def begin() -> None:
        opened.append(Database(where))
        PLACES.opened.append(opened[-1])

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert len(opened) == 8


# Taking a job -------------------------------------------------------------------------------


def test_a_job_is_taken_with_its_recordings_each_content_once(tmp_path: Path, store: Store) -> None:
    identity, new = store.submit(new_job(tmp_path, b"one", b"two", b"one"))
    job = store.get_job(identity, None)
    assert (new, job.cases, job.bytes, job.state) == (True, 3, 9, "queued")
    assert kept(tmp_path) == 2


def test_a_recording_that_goes_while_its_job_is_taken_is_no_job(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_at(tmp_path)
    store = store_at(tmp_path, clock, folder=folder)
    new = new_job(tmp_path, b"one", b"two")
    keep_all = folder.keep_all

    def kept_and_gone(received: Iterable[Received]) -> None:
        keep_all(received)
        store.sweep()  # of another process: no case has them yet

    monkeypatch.setattr(folder, "keep_all", kept_and_gone)
    with pytest.raises(StoreUnavailable, match="send it again"):
        store.submit(new)
    assert (store.list_jobs(None, 9, None), kept(tmp_path)) == ([], 0)


def test_many_recordings_are_taken_and_removed_a_few_at_a_time(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_server.store.jobs._ROWS_AT_ONCE", 3)
    monkeypatch.setattr("api_server.store.leases.AT_ONCE", 3)
    synced: list[Path] = []
    monkeypatch.setattr("api_server.store.recordings._sync_folder", synced.append)
    folder = folder_at(tmp_path)
    folder.keep_sec = 100.0
    store = store_at(tmp_path, clock, folder=folder)
    contents = [bytes([n]) for n in range(10)]
    job, _ = store.submit(new_job(tmp_path, *contents))
    assert len(synced) == len(set(synced)), "each folder once"
    store.submit(new_job(tmp_path, *contents))
    assert kept(tmp_path) == 10
    for one in store.list_jobs(None, 9, None):
        store.cancel_job(one.id, None)
    assert store.retry_job(job, None).counts["queued"] == 10
    store.cancel_job(job, None)
    clock.now += 101.0
    store.sweep()
    assert kept(tmp_path) == 0


def test_the_same_key_is_the_same_job_and_another_request_is_refused(
    tmp_path: Path, store: Store
) -> None:
    first, _ = store.submit(new_job(tmp_path, b"one", key="k"))
    assert store.submit(new_job(tmp_path, b"one", key="k")) == (first, False)
    with pytest.raises(KeyReused, match=first):
        store.submit(new_job(tmp_path, b"one", key="k", asked="b"))
    other, new = store.submit(new_job(tmp_path, b"one", key="k", owner="other"))
    assert (new, len(store.list_jobs(None, 10, None))) == (True, 2)
    assert other != first


def test_a_full_quota_takes_nothing(tmp_path: Path, clock: Clock) -> None:
    store = store_at(tmp_path, clock, max_bytes=6)
    store.submit(new_job(tmp_path, b"1234"))
    with pytest.raises(StoreFull, match="RECORDINGS_MAX_BYTES"):
        store.submit(new_job(tmp_path, b"12", b"34"))
    with pytest.raises(StoreFull):
        store.check_quota(3)
    assert (len(store.list_jobs(None, 10, None)), kept(tmp_path)) == (1, 1)
    store.submit(new_job(tmp_path, b"1234", b"12"))


def test_the_reserve_of_free_space_is_not_touched(tmp_path: Path) -> None:
    folder = folder_at(tmp_path)
    folder.reserve_bytes = 2**62
    with pytest.raises(StoreFull, match="RECORDINGS_RESERVE_BYTES"):
        folder.receive(io.BytesIO(b"one"))
    assert not list((tmp_path / "recordings").rglob("?????*/*"))


def test_pages_go_from_the_newest_to_the_oldest_and_hold_each_once(
    tmp_path: Path, store: Store
) -> None:
    taken = [store.submit(new_job(tmp_path, bytes([n])))[0] for n in range(7)]
    seen: list[str] = []
    before = None
    while page := store.list_jobs(None, 3, before):
        seen += [one.id for one in page]
        before = page[-1].seq
    assert seen == taken[::-1]


def test_nobody_sees_what_another_has_sent(tmp_path: Path, store: Store) -> None:
    identity, _ = store.submit(new_job(tmp_path, b"one", owner="a"))
    (case,) = store.list_cases("a", 10, None)
    assert store.list_cases("b", 10, None) == []
    assert store.list_jobs("b", 10, None) == []
    for look in (store.get_job, store.cancel_job, store.retry_job):
        with pytest.raises(NoSuchJob):
            look(identity, "b")
    with pytest.raises(NoSuchCase):
        store.get_case(case.id, "b")
    with pytest.raises(NoSuchJob):
        store.list_cases("b", 10, None, identity)
    assert store.get_case(case.id, None)[0] == case


# Working on it ------------------------------------------------------------------------------


def test_a_case_ends_once_with_its_answer_and_its_recording_goes(
    tmp_path: Path, store: Store
) -> None:
    identity, _ = store.submit(new_job(tmp_path, b"one"))
    (claimed,) = store.claim(LEASE_SEC, 5)
    assert store.claim(LEASE_SEC, 5) == []
    assert store.finish(claimed, Ending("done", '{"a": 1}', 2.5))
    assert not store.finish(claimed, Ending("failed"))
    case, revision = store.get_case(claimed.id, None)
    assert (case.state, case.audio_sec, case.tries) == ("done", 2.5, 1)
    assert revision is not None
    assert (revision.number, revision.answer) == (1, '{"a": 1}')
    assert store.get_job(identity, None).state == "done"
    assert kept(tmp_path) == 0


def test_a_recording_stays_while_another_case_needs_it(tmp_path: Path, store: Store) -> None:
    store.submit(new_job(tmp_path, b"one", b"one"))
    first, second = store.claim(LEASE_SEC, 5)
    store.finish(first, DONE)
    assert kept(tmp_path) == 1
    store.finish(second, Ending("failed", error_type="WorkerDied"))
    assert kept(tmp_path) == 1, "it can be tried again"


def test_who_comes_back_after_the_lease_changes_nothing(
    tmp_path: Path, store: Store, clock: Clock
) -> None:
    store.submit(new_job(tmp_path, b"one"))
    (stopped,) = store.claim(LEASE_SEC, 1)
    clock.now += LEASE_SEC + 1
    assert store.reap(5) == ([stopped.id], [])
    (again,) = store.claim(LEASE_SEC, 1)
    assert (again.id, again.tries) == (stopped.id, 2)
    assert store.renew([stopped.token, again.token], LEASE_SEC) == {again.token}
    assert not store.finish(stopped, DONE)
    assert not store.put_back(stopped)
    assert store.finish(again, DONE)


def test_a_lease_that_is_renewed_is_not_taken_back(
    tmp_path: Path, store: Store, clock: Clock
) -> None:
    store.submit(new_job(tmp_path, b"one"))
    (claimed,) = store.claim(LEASE_SEC, 1)
    for _ in range(5):
        clock.now += LEASE_SEC - 1
        assert store.renew([claimed.token], LEASE_SEC) == {claimed.token}
        assert store.reap(5) == ([], [])


def test_what_ends_its_workers_comes_last_and_is_given_up(
    tmp_path: Path, store: Store, clock: Clock
) -> None:
    store.submit(new_job(tmp_path, b"bad"))
    store.submit(new_job(tmp_path, b"good"))
    order = []
    for _ in range(4):
        (claimed,) = store.claim(LEASE_SEC, 1)
        order.append(claimed.name if claimed.job else "")
        recording = claimed.recording or ""
        if folder_at(tmp_path).path(recording).read_bytes() == b"good":
            store.finish(claimed, DONE)
            continue
        clock.now += LEASE_SEC + 1
        queued, failed = store.reap(3)
    assert (queued, failed) == ([], [claimed.id])
    case, _ = store.get_case(claimed.id, None)
    assert (case.state, case.tries, case.error_type) == ("failed", 3, LOST)
    assert store.claim(LEASE_SEC, 9) == []


def test_a_try_that_was_none_is_not_counted(tmp_path: Path, store: Store, clock: Clock) -> None:
    store.submit(new_job(tmp_path, b"one"))
    (claimed,) = store.claim(LEASE_SEC, 1)
    assert store.put_back(claimed, counted=False)
    (claimed,) = store.claim(LEASE_SEC, 1)
    assert claimed.tries == 1
    assert store.put_back(claimed, 60.0, error_type="WorkerDied", error="died")
    assert store.claim(LEASE_SEC, 1) == []
    clock.now += 61.0
    (claimed,) = store.claim(LEASE_SEC, 1)
    assert claimed.tries == 2


def test_smaller_priorities_come_first(tmp_path: Path, store: Store) -> None:
    late, _ = store.submit(new_job(tmp_path, b"one", priority=9))
    soon, _ = store.submit(new_job(tmp_path, b"two", priority=0))
    assert [one.job for one in store.claim(LEASE_SEC, 2)] == [soon, late]


def test_a_cancelled_job_ends_at_once_whoever_works_on_it(tmp_path: Path, store: Store) -> None:
    identity, _ = store.submit(new_job(tmp_path, b"one", b"two", b"three"))
    first, second = store.claim(LEASE_SEC, 2)
    store.finish(first, DONE)
    job = store.cancel_job(identity, None)
    assert (job.state, job.counts["done"], job.counts["cancelled"]) == ("cancelled", 1, 2)
    assert not store.finish(second, DONE)
    assert store.get_case(second.id, None)[1] is None


def test_what_failed_or_was_cancelled_is_tried_again(tmp_path: Path, store: Store) -> None:
    identity, _ = store.submit(new_job(tmp_path, b"one", b"two", b"three"))
    first, second = store.claim(LEASE_SEC, 2)
    store.finish(first, Ending("failed", error_type="WorkerDied"))
    store.finish(second, Ending("refused", error_type="NotAudio"))
    store.cancel_job(identity, None)
    job = store.retry_job(identity, None)
    assert (job.counts["queued"], job.counts["refused"]) == (2, 1)
    for one in store.claim(LEASE_SEC, 9):
        assert one.tries == 1
        assert store.finish(one, DONE)
    assert store.get_job(identity, None).state == "done"


def test_a_recording_of_what_failed_is_kept_for_another_try_for_a_time(
    tmp_path: Path, clock: Clock
) -> None:
    folder = folder_at(tmp_path)
    folder.keep_sec = 100.0
    store = store_at(tmp_path, clock, folder=folder)
    job, _ = store.submit(new_job(tmp_path, b"one"))
    (claimed,) = store.claim(LEASE_SEC, 1)
    store.finish(claimed, Ending("failed", error_type="WorkerDied"))
    clock.now += 99.0
    store.sweep()
    assert kept(tmp_path) == 1
    clock.now += 2.0
    store.sweep()
    assert kept(tmp_path) == 0
    assert store.retry_job(job, None).counts["failed"] == 1


# What goes wrong ----------------------------------------------------------------------------


@pytest.mark.sqlite
def test_a_database_that_is_removed_is_missed_at_once(tmp_path: Path, store: Store) -> None:
    store.submit(new_job(tmp_path, b"one"))
    (tmp_path / "cases.db").unlink()
    with pytest.raises(StoreUnavailable):
        store.submit(new_job(tmp_path, b"two"))
    with pytest.raises(StoreUnavailable):
        store.backlog()
    sqlite3.connect(tmp_path / "cases.db").close()
    (tmp_path / "cases.db").touch()
    with pytest.raises(StoreUnavailable, match="replaced"):
        store.backlog()


@pytest.mark.sqlite
def test_one_that_another_process_locks_says_so(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setattr("api_server.store.sqlite_file.LOCKED_SEC", 0.05)
    impatient = store_at(tmp_path, Clock())
    other = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        impatient.claim(LEASE_SEC, 1)
    assert impatient.backlog().queued == 0, "it can still be read"
    other.execute("COMMIT")
    other.close()
    assert impatient.claim(LEASE_SEC, 1) == []


@pytest.mark.sqlite
def test_what_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "cases.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Database(tmp_path / "cases.db")


def test_a_start_removes_what_an_end_in_the_middle_left(tmp_path: Path, clock: Clock) -> None:
    store = store_at(tmp_path, clock)
    store.submit(new_job(tmp_path, b"one"))
    folder = folder_at(tmp_path)
    folder.keep(folder.receive(io.BytesIO(b"never in a job")))
    store.close()
    store_at(tmp_path, clock).sweep()
    assert kept(tmp_path) == 1


@pytest.mark.sqlite
def test_files_are_for_their_owner_alone(tmp_path: Path, store: Store) -> None:
    store.submit(new_job(tmp_path, b"one"))
    (recording,) = (tmp_path / "recordings").glob("??/*")
    for path in (recording, tmp_path / "cases.db"):
        assert path.stat().st_mode & 0o077 == 0
