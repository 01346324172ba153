"""The log in the store: written with what it records, and no change of either stays hidden."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from api_server.audit.entry import Entry, commit
from api_server.audit.note import Signer
from api_server.store import audit_log, migrations, sqlite_file
from api_server.store.errors import KeyMissing, StoreUnavailable
from api_server.store.records import Ending
from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.jobs_in_store import new_job, store_at

CASES = 40
SECRET = "고객님 주민등록번호는 900101-1234567 맞으시죠"


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000.0)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return store_at(tmp_path, clock)


def answered(store: Store, path: Path, count: int, said: str = "") -> list[str]:
    """Have ``count`` cases answered; return their ids."""
    found = []
    for number in range(count):
        store.submit(new_job(path, f"recording {number}".encode()))
        (claimed,) = store.claim(10.0, 1)
        answer = f'{{"text": "answer {number}", "said": "{said}"}}'
        assert store.finish(claimed, Ending("done", answer, 1.0))
        found.append(claimed.id)
    return found


def raw(path: Path) -> sqlite3.Connection:
    """Open the database as somebody who is not the program."""
    connection = sqlite3.connect(path / "cases.db", isolation_level=None)
    connection.execute("DROP TRIGGER IF EXISTS audit_no_update")
    connection.execute("DROP TRIGGER IF EXISTS audit_no_delete")
    return connection


# What is written ----------------------------------------------------------------------------


def test_an_answer_is_recorded_without_its_content(tmp_path: Path, store: Store) -> None:
    (case,) = answered(store, tmp_path, 1, SECRET)
    with sqlite3.connect(tmp_path / "cases.db") as connection:
        rows = connection.execute("SELECT * FROM audit_entries").fetchall()
    assert [(row[2], row[3]) for row in rows] == [("answer", case)]
    assert SECRET not in str(rows)
    store.ledger.checkpoint()
    assert store.ledger.verify().faults == ()


def test_the_program_itself_cannot_change_an_entry(tmp_path: Path, store: Store) -> None:
    answered(store, tmp_path, 1)
    with sqlite3.connect(tmp_path / "cases.db") as connection:
        for words in ("UPDATE audit_entries SET kind = 'look'", "DELETE FROM audit_entries"):
            with pytest.raises(sqlite3.IntegrityError, match="never changed"):
                connection.execute(words)


def test_settings_and_rubric_are_recorded_where_they_change(store: Store) -> None:
    store.ledger.note_in_force({"A": "1", "KEY": "geheim"}, {"version": "1"})
    store.ledger.note_in_force({"A": "1", "KEY": "geheim"}, {"version": "1"})
    store.ledger.note_in_force({"A": "2", "KEY": "geheim"}, {"version": "1"})
    with store._database.read() as connection:
        entries = [one.entry for one in audit_log.entries(connection)]
    assert [one.kind for one in entries] == ["setting", "rubric", "setting"]
    assert '"changed": ["A"]' in entries[-1].facts
    assert "geheim" not in str(entries)


def test_decisions_and_looks_are_recorded_by_later_rooms(tmp_path: Path, store: Store) -> None:
    (case,) = answered(store, tmp_path, 1)
    store.ledger.record("look", case, "kim", {"what": "transcript"})
    store.ledger.record("decision", case, "kim", content=b"violated")
    store.ledger.checkpoint()
    report = store.ledger.verify()
    assert (report.entries, report.faults) == (3, ())
    with store._database.read() as connection:
        found = [(one.entry.kind, one.entry.actor) for one in audit_log.entries(connection, case)]
    assert found[1:] == [("look", "kim"), ("decision", "kim")]


def test_answers_of_before_the_log_are_adopted(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "cases.db"
    with sqlite3.connect(path):
        pass
    engine = sqlite_file._engine(path)
    with engine.connect().execution_options(stt_writes=True) as connection, connection.begin():
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO jobs VALUES (1, 'job-1', '', NULL, 'a', '{}', '{}', 5, 1.0, NULL, 1)"
        )
        connection.exec_driver_sql(
            "INSERT INTO cases (seq, id, job_seq, name, bytes, state, priority, tries, not_before,"
            " received_at) VALUES (1, 'case-1', 1, 'a.wav', 1, 'done', 5, 1, 0, 1.0)"
        )
        for number in range(1, 502):  # more than are adopted at once
            connection.exec_driver_sql(f"INSERT INTO revisions VALUES (1, {number}, 1.0, '{{}}')")
    engine.dispose()
    for _ in range(2):
        store = store_at(tmp_path, clock)
        with store._database.read() as connection:
            kinds = [one.entry.kind for one in audit_log.entries(connection)]
        assert kinds == ["adopted"] * 501
        store.ledger.checkpoint()
        assert store.ledger.verify().faults == ()
        store.close()


# What is found ------------------------------------------------------------------------------

Manipulation = Callable[[sqlite3.Connection, random.Random], str]


def edit_entry(connection: sqlite3.Connection, chance: random.Random) -> str:
    seq = chance.randrange(CASES)
    column = chance.choice(["at", "kind", "subject", "actor", "facts", "commitment", "leaf"])
    value = {"at": 1.5, "facts": '{"revision": 2}', "leaf": "ab" * 32}.get(column, "changed")
    connection.execute(f"UPDATE audit_entries SET {column} = ? WHERE seq = ?", (value, seq))
    return f"entry {seq}"


def forge_entry(connection: sqlite3.Connection, chance: random.Random) -> str:
    """Change an entry and its hash: only the checkpoint knows better."""
    seq = chance.randrange(CASES)
    row = connection.execute(
        "SELECT seq, at, kind, subject, actor, facts, commitment FROM audit_entries WHERE seq = ?",
        (seq,),
    ).fetchone()
    forged = Entry(*row[:4], "somebody else", *row[5:])
    connection.execute(
        "UPDATE audit_entries SET actor = ?, leaf = ? WHERE seq = ?",
        (forged.actor, forged.leaf().hex(), seq),
    )
    return f"entries {seq // 10 * 10} to {seq // 10 * 10 + 9}"


def forge_answer(connection: sqlite3.Connection, chance: random.Random) -> str:
    """Change an answer with its commitment and the entry's hash."""
    seq = chance.randrange(CASES)
    row = connection.execute(
        "SELECT e.seq, e.at, e.kind, e.subject, e.actor, e.facts, s.salt FROM audit_entries e "
        "JOIN audit_salts s ON s.seq = e.seq WHERE e.seq = ?",
        (seq,),
    ).fetchone()
    forged = Entry(*row[:6], commit(row[6], b"forged"))
    connection.execute(
        "UPDATE audit_entries SET commitment = ?, leaf = ? WHERE seq = ?",
        (forged.commitment, forged.leaf().hex(), seq),
    )
    return f"entries {seq // 10 * 10} to {seq // 10 * 10 + 9}"


def delete_entry(connection: sqlite3.Connection, chance: random.Random) -> str:
    seq = chance.randrange(CASES - 1)
    connection.execute("DELETE FROM audit_entries WHERE seq = ?", (seq,))
    return f"entry {seq}"


def close_the_gap(connection: sqlite3.Connection, chance: random.Random) -> str:
    """Delete an entry, give the later ones its number, and hash them anew."""
    gone = chance.randrange(CASES)
    rows = connection.execute(
        "SELECT seq, at, kind, subject, actor, facts, commitment FROM audit_entries "
        "WHERE seq > ? ORDER BY seq",
        (gone,),
    ).fetchall()
    connection.execute("DELETE FROM audit_salts WHERE seq = ?", (gone,))
    connection.execute("DELETE FROM audit_entries WHERE seq = ?", (gone,))
    for row in rows:
        moved = Entry(row[0] - 1, *row[1:])
        connection.execute(
            "UPDATE audit_entries SET seq = ?, leaf = ? WHERE seq = ?",
            (moved.seq, moved.leaf().hex(), row[0]),
        )
        connection.execute("UPDATE audit_salts SET seq = ? WHERE seq = ?", (moved.seq, row[0]))
    return "entries "


def swap_entries(connection: sqlite3.Connection, chance: random.Random) -> str:
    one, other = chance.sample(range(CASES), 2)
    for old, new in ((one, -1), (other, one), (-1, other)):
        connection.execute("UPDATE audit_entries SET seq = ? WHERE seq = ?", (new, old))
    return f"entry {one}"


def cut_the_tail(connection: sqlite3.Connection, chance: random.Random) -> str:
    first = chance.randrange(CASES)
    connection.execute("DELETE FROM audit_salts WHERE seq >= ?", (first,))
    connection.execute("DELETE FROM audit_entries WHERE seq >= ?", (first,))
    return f"entries {first} to "


def edit_answer(connection: sqlite3.Connection, chance: random.Random) -> str:
    case = chance.randrange(CASES)
    connection.execute(
        "UPDATE revisions SET answer = answer || ' ' WHERE case_seq = ?", (case + 1,)
    )
    return f"entry {case}"


def delete_answer(connection: sqlite3.Connection, chance: random.Random) -> str:
    case = chance.randrange(CASES)
    words = chance.choice(["DELETE FROM revisions", "UPDATE revisions SET answer = ''"])
    connection.execute(f"{words} WHERE case_seq = ?", (case + 1,))
    return f"entry {case}"


def add_answer(connection: sqlite3.Connection, chance: random.Random) -> str:
    case = chance.randrange(CASES)
    connection.execute("INSERT INTO revisions VALUES (?, 2, 1.0, '{}', NULL)", (case + 1,))
    return "revision 2 of "


def change_salt(connection: sqlite3.Connection, chance: random.Random) -> str:
    seq = chance.randrange(CASES)
    value = chance.choice(["00" * 32, "no salt"])
    connection.execute("UPDATE audit_salts SET salt = ? WHERE seq = ?", (value, seq))
    return f"entry {seq}"


def delete_salt(connection: sqlite3.Connection, chance: random.Random) -> str:
    seq = chance.randrange(CASES)
    connection.execute("DELETE FROM audit_salts WHERE seq = ?", (seq,))
    return f"entry {seq}"


MANIPULATIONS: list[Manipulation] = [
    edit_entry,
    forge_entry,
    forge_answer,
    delete_entry,
    close_the_gap,
    swap_entries,
    cut_the_tail,
    edit_answer,
    delete_answer,
    add_answer,
    change_salt,
    delete_salt,
]


def test_two_hundred_manipulations_are_all_found(tmp_path: Path, clock: Clock) -> None:
    store = store_at(tmp_path, clock)
    for _ in range(4):
        answered(store, tmp_path, 10)
        store.ledger.checkpoint()
    assert store.ledger.verify().faults == ()
    with (
        sqlite3.connect(tmp_path / "cases.db") as now,
        sqlite3.connect(tmp_path / "kept.db") as kept,
    ):
        now.backup(kept)
    chance = random.Random(6962)
    for number in range(200):
        manipulate = MANIPULATIONS[number % len(MANIPULATIONS)]
        intruder = raw(tmp_path)
        intruder.execute("BEGIN")
        where = manipulate(intruder, chance)
        intruder.execute("COMMIT")
        faults = store.ledger.verify().faults
        assert any(one.where.startswith(where) for one in faults), (manipulate, where, faults)
        with sqlite3.connect(tmp_path / "kept.db") as kept:
            kept.backup(intruder)
        intruder.close()
    assert store.ledger.verify().faults == ()


def test_a_cut_before_the_first_checkpoint_is_a_new_log_that_says_so(
    tmp_path: Path, store: Store
) -> None:
    answered(store, tmp_path, 2)
    with pytest.raises(KeyMissing):
        store.ledger.verify()
    store.ledger.checkpoint()
    answered(store, tmp_path, 1)
    report = store.ledger.verify()
    assert (report.entries, report.signed) == (3, 2)
    assert report.faults == ()


def test_a_checkpoint_file_that_was_touched_is_found(tmp_path: Path, store: Store) -> None:
    answered(store, tmp_path, 2)
    store.ledger.checkpoint()
    notes = tmp_path / "audit.checkpoints"
    kept = notes.read_text("utf-8")
    notes.write_text(kept.replace("\n2\n", "\n1\n"), "utf-8")
    assert [one.where for one in store.ledger.verify().faults] == ["checkpoint in line 1"]
    notes.write_text(f"{kept}{Signer.new().sign(2, b'0' * 32, '')}\n", "utf-8")
    assert "not signed by" in store.ledger.verify().faults[0].what


def test_a_key_that_is_gone_is_not_replaced(tmp_path: Path, store: Store) -> None:
    answered(store, tmp_path, 1)
    store.ledger.checkpoint()
    (tmp_path / "audit.key").unlink()
    answered(store, tmp_path, 1)
    with pytest.raises(KeyMissing):
        store.ledger.checkpoint()


def test_the_same_log_is_signed_once(tmp_path: Path, store: Store) -> None:
    answered(store, tmp_path, 1)
    assert store.ledger.checkpoint() == store.ledger.checkpoint()
    assert (tmp_path / "audit.checkpoints").read_text("utf-8").count("time ") == 1
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600


def test_checkpoints_that_cannot_be_written_are_an_error(tmp_path: Path, store: Store) -> None:
    (tmp_path / "audit.checkpoints").mkdir()
    with pytest.raises(StoreUnavailable, match="checkpoints"):
        store.ledger.checkpoint()


# Both or none -------------------------------------------------------------------------------

CRASH = """
import os, sys
from pathlib import Path
from api_server.store import {module}
from api_server.store.records import Ending
from tests.support.clock import Clock
from tests.support.jobs_in_store import store_at

store = store_at(Path(sys.argv[1]), Clock(1_000.0))
(claimed,) = store.claim(10.0, 1)
{patch}
store.finish(claimed, Ending("done", "{{}}", 1.0))
"""
AFTER_ENTRY = """
record = audit_log.record_all
def dying(*args, **kwargs):
    record(*args, **kwargs)
    os._exit(9)
audit_log.record_all = dying
"""
BEFORE_ENTRY = "audit_log.record_all = lambda *args, **kwargs: os._exit(9)"


@pytest.mark.parametrize("patch", [AFTER_ENTRY, BEFORE_ENTRY, ""])
def test_a_crash_leaves_the_answer_with_its_entry_or_neither(
    tmp_path: Path, clock: Clock, patch: str
) -> None:
    store_at(tmp_path, clock).submit(new_job(tmp_path, b"recording"))
    code = CRASH.format(module="audit_log", patch=patch)
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert died.returncode == (9 if patch else 0)
    store = store_at(tmp_path, clock)
    with store._database.read() as connection:
        entries = list(audit_log.entries(connection))
    with sqlite3.connect(tmp_path / "cases.db") as connection:
        answers = connection.execute("SELECT count(*) FROM revisions").fetchone()[0]
    assert (len(entries), answers) == ((0, 0) if patch else (1, 1))
    store.ledger.checkpoint()
    assert store.ledger.verify().faults == ()


# Many ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_twenty_thousand_entries_are_verified(tmp_path: Path, store: Store) -> None:
    with store._database.write() as connection:
        for number in range(20_000):
            audit_log.record(connection, 1.0, "look", f"case-{number}", actor="me", content=b"seen")
    store.ledger.checkpoint()
    report = store.ledger.verify()
    assert (report.entries, report.signed, report.faults) == (20_000, 20_000, ())
