"""What PostgreSQL does in its own way: claims side by side, its clock, its absence."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from sqlalchemy import exc, text
from typer.testing import CliRunner

from api_server.store import leases
from api_server.store import postgres as module
from api_server.store.database import Database
from api_server.store.errors import StoreUnavailable
from api_server.store.records import Ending
from api_server.store.store import Store
from stt_tools.cli.program import app
from tests.support.jobs_in_store import PLACES, new_job, store_at
from tests.support.postgres import Postgres
from tests.support.server import ROOT, awaited

pytestmark = pytest.mark.postgresql

LEASE_SEC = 30.0
DONE = Ending("done", "{}", 1.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_at(tmp_path, None)


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A server that a test may end."""
    server = PLACES.server = Postgres("fsync=off")
    yield server
    PLACES.close_stores()
    PLACES.names.clear()
    server.close()


def has_ended(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_a_database_that_cannot_hold_every_text_is_refused_with_what_to_do(
    own_server: Postgres,
) -> None:
    where = own_server.make("ascii", options="ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    with pytest.raises(StoreUnavailable, match=r"SQL_ASCII.*createdb --encoding=UTF8"):
        Database(where)


def raw(store: Store, statement: str) -> None:
    with store._database.write() as connection:
        connection.execute(text(statement))


# Claims -------------------------------------------------------------------------------------


def test_a_claim_waits_for_no_other_one_and_takes_other_cases(tmp_path: Path, store: Store) -> None:
    store.submit(new_job(tmp_path, b"one", b"two"))
    with store._database.claim() as connection:
        (first,) = leases.claim(connection, 1.0, LEASE_SEC, 1)
        (second,) = store.claim(LEASE_SEC, 2)
    assert first.seq != second.seq
    assert store.claim(LEASE_SEC, 2) == []


def test_a_claim_waits_for_nobody_who_writes(tmp_path: Path, store: Store) -> None:
    store.submit(new_job(tmp_path, b"one"))
    with store._database.write(), ThreadPoolExecutor(1) as other:
        assert len(other.submit(store.claim, LEASE_SEC, 1).result(60)) == 1


def test_many_that_claim_at_once_get_each_case_once(tmp_path: Path, store: Store) -> None:
    contents = [bytes([n]) for n in range(40)]
    store.submit(new_job(tmp_path, *contents))
    begin = threading.Barrier(6)

    def work(_number: int) -> list[int]:
        begin.wait(60)
        done = []
        while found := store.claim(LEASE_SEC, 2):
            for one in found:
                assert store.finish(one, DONE)
                done.append(one.seq)
        return done

    with ThreadPoolExecutor(6) as workers:
        found = [one for done in workers.map(work, range(6)) for one in done]
    assert len(found) == len(set(found)) == 40
    store.ledger.checkpoint()
    assert store.ledger.verify().faults == ()


@pytest.mark.slow
def test_a_server_ends_with_the_tests_that_started_it_and_the_next_ones_remove_it() -> None:
    code = (
        "import os, signal; from tests.support.postgres import Postgres; one = Postgres();"
        "print(one.process.pid, one.folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    pid, folder = died.stdout.split()
    awaited(lambda: has_ended(int(pid)), "the server has ended")
    Postgres().close()
    assert not Path(folder).exists()


# Time ---------------------------------------------------------------------------------------


def test_a_machine_whose_clock_is_wrong_takes_nobodys_case(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.submit(new_job(tmp_path, b"one"))
    (claimed,) = store.claim(LEASE_SEC, 1)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86400.0)
    other = store_at(tmp_path, None)
    assert other.reap(3) == ([], [])
    assert other.renew([claimed.token], LEASE_SEC) == {claimed.token}
    assert store.finish(claimed, DONE)
    (case,) = store.list_cases(None, 1, None)
    assert abs((case.ended_at or 0.0) - now) < 3600.0


# Who stops, and who goes --------------------------------------------------------------------


def test_a_writer_that_stops_in_the_middle_is_ended_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_SEC", 1)
    stopped, other = store_at(tmp_path, None), store_at(tmp_path, None)

    def stop_in_the_middle() -> None:
        with stopped._database.write() as connection:
            connection.execute(text("UPDATE jobs SET priority = 1"))
            # The other one's turn comes when the server has ended this one.
            other.submit(new_job(tmp_path, b"one"))
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable):
        stop_in_the_middle()
    assert [one.priority for one in stopped.list_jobs(None, 9, None)] == [5]


def test_a_server_that_is_gone_is_told_and_found_again(
    tmp_path: Path, own_server: Postgres
) -> None:
    store = store_at(tmp_path, None)
    job, _ = store.submit(new_job(tmp_path, b"one"))
    (claimed,) = store.claim(LEASE_SEC, 1)
    own_server.end()
    for _ in range(3):
        with pytest.raises(StoreUnavailable) as told:
            store.finish(claimed, DONE)
        assert "a-secret" not in str(told.value)
        assert str(own_server.port) in str(told.value)
    with pytest.raises(StoreUnavailable):
        Database(own_server.url("postgres"))
    own_server.start()
    assert store.finish(claimed, DONE)
    assert store.get_job(job, None).counts["done"] == 1


def test_tables_that_somebody_takes_away_are_no_defect(store: Store) -> None:
    raw(store, "ALTER TABLE cases RENAME TO elsewhere")
    with pytest.raises(StoreUnavailable, match="cases"):
        store.backlog()
    raw(store, "ALTER TABLE elsewhere RENAME TO cases")
    assert store.backlog().queued == 0


# What is kept -------------------------------------------------------------------------------


def test_text_that_it_cannot_keep_is_no_failure(tmp_path: Path, store: Store) -> None:
    store.submit(new_job(tmp_path, b"one"))
    (claimed,) = store.claim(LEASE_SEC, 1)
    assert store.finish(claimed, Ending("failed", error_type="X", error="a\0b"))
    assert store.list_cases(None, 1, None)[0].error == "a\ufffdb"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET at = 1",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries CASCADE",
        "TRUNCATE decisions",
    ],
)
def test_the_log_and_decisions_refuse_to_be_changed(
    tmp_path: Path, store: Store, statement: str
) -> None:
    store.submit(new_job(tmp_path, b"one"))
    store.finish(store.claim(LEASE_SEC, 1)[0], DONE)
    with pytest.raises((StoreUnavailable, exc.ProgrammingError), match="never changed"):
        raw(store, statement)


def test_damage_is_found(tmp_path: Path, own_server: Postgres) -> None:
    store = store_at(tmp_path, None)
    store.submit(new_job(tmp_path, b"one"))
    store.finish(store.claim(LEASE_SEC, 1)[0], DONE)
    assert store.examine() == []
    name = PLACES.names[tmp_path]
    ((path,),) = own_server.execute("SELECT pg_relation_filepath('revisions')", name)
    own_server.end(signal.SIGINT)
    file = own_server.data / path
    content = bytearray(file.read_bytes())
    content[8000] ^= 0xFF
    file.write_bytes(content)
    own_server.start()
    (fault,) = store.examine()
    assert fault.startswith("revisions: ")


def test_the_copy_is_left_to_its_own_program(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", str(PLACES.where(tmp_path)))
    monkeypatch.setenv("STT_HOME", str(tmp_path))
    target = tmp_path / "copy"
    said = CliRunner().invoke(app, ["db", "backup", str(target)])
    assert said.exception is not None
    assert "pg_dump --format=custom" in str(said.exception)
    assert "a-secret" not in str(said.exception)
    assert not target.exists()
    with pytest.raises(StoreUnavailable, match="pg_dump"):
        store.backup(target)
    upgraded = CliRunner().invoke(app, ["db", "upgrade"])
    assert upgraded.exit_code == 0, upgraded.output
    assert CliRunner().invoke(app, ["db", "check"]).exit_code == 0
