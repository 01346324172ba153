"""Texts of the database at rest: sealed where there are keys, plain ones still read, none lost."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path

import psycopg
import pytest

from api_server.store.decisions import NewDecision
from api_server.store.errors import StoreUnavailable
from api_server.store.recordings import RecordingFolder
from api_server.store.records import Ending, NewCase, NewJob, ProofFiles
from api_server.store.review_records import CaseFacts, CaseFilter, FindingFacts
from api_server.store.schema import METADATA
from api_server.store.sealed import SealingKeys
from api_server.store.sealed_text import is_current, open_text, seal_text, sealed_columns
from api_server.store.search_records import SearchText
from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.jobs_in_store import PLACES, PLENTY

OLD = SealingKeys("old", {"old": b"o" * 32})
BOTH = SealingKeys("new", {"new": b"n" * 32, "old": b"o" * 32})
NEW = SealingKeys("new", {"new": b"n" * 32})
ANSWER = json.dumps({"text": "hello Hong, 010-1234-5678"})
SAID = ["Hong", "hellohong", "010-1234-5678", "contract", "dispute"]


def store_of(path: Path, keys: SealingKeys | None) -> Store:
    folder = RecordingFolder(path / "recordings", PLENTY, 0, keys=keys)
    proof = ProofFiles.beside(path / "cases.db")
    store = Store(PLACES.where(path), folder, Clock(1e6), proof=proof)
    PLACES.opened.append(store)
    return store


def fill(store: Store, path: Path, keys: SealingKeys | None) -> str:
    """Put one case with every text that a store has into it; return its id."""
    folder = RecordingFolder(path / "recordings", PLENTY, 0, keys=keys)
    case = NewCase("Hong.wav", folder.receive(io.BytesIO(b"sound")))
    store.submit(NewJob("", '{"hints": ["Hong"]}', '{"contract": 7}', 5, (case,), "asked"))
    (claimed,) = store.claim(30, 1)
    store.finish(claimed, Ending("done", ANSWER, 1.0, error="Hong.wav was odd"))
    finding = FindingFacts("risk", "required", "not_found", wanted=True)
    facts = CaseFacts(claimed.seq, 1, 1.0, degraded=False, warnings=0, findings=(finding,))
    store.reviews.learn([facts])
    decision = NewDecision("reject", "risk", "kim", reason="Hong said so", status="met")
    store.reviews.decide(claimed.id, 1, decision, 60)
    store.search.keep(SearchText(claimed.seq, 1, "ready", "hellohong", '[[0.0, null, "Hong"]]'))
    store.ledger.hold(claimed.id, "dispute of Hong", "kim")
    store.close()  # the log of writes is in the database then
    return claimed.id


def on_disk(path: Path) -> bytes:
    """Return what the database keeps: the bytes of its files, or of a server its rows."""
    if PLACES.server is None:
        return b"".join(file.read_bytes() for file in path.glob("cases.db*"))
    names = [f'"{one.name}"' for one in METADATA.sorted_tables]
    read = " UNION ALL ".join(f"SELECT one::text FROM {name} one" for name in names)
    return "".join(row for (row,) in PLACES.server.execute(read, PLACES.names[path])).encode()


def change(path: Path, statement: str) -> None:
    """Run a statement that somebody else sends."""
    if PLACES.server is None:
        with sqlite3.connect(path / "cases.db") as database:
            database.execute(statement)
    else:
        PLACES.server.execute(statement, PLACES.names[path])


def check_read(store: Store, case: str) -> None:
    record, revision = store.get_case(case, None)
    assert revision is not None
    assert (record.name, record.error, revision.answer) == ("Hong.wav", "Hong.wav was odd", ANSWER)
    job = store.get_job(record.job, None)
    assert (job.options, job.metadata) == ('{"hints": ["Hong"]}', '{"contract": 7}')
    (decision,) = store.reviews.get(case).decisions
    assert decision.reason == "Hong said so"
    found = store.search.find("ohon", CaseFilter(), "kim", limit=9, within_sec=9.0).calls
    assert {one.id: one.lines for one in found}[case] == '[[0.0, null, "Hong"]]'
    store.ledger.checkpoint()
    assert store.ledger.verify().faults == ()


@pytest.mark.sqlite
@pytest.mark.parametrize("text", ["", "a", "\x1e", "\x1e=x", "\x1ec3R0", "\ud800", "가" * 70_000])
@pytest.mark.parametrize("keys", [None, NEW])
def test_a_text_is_what_was_written(text: str, keys: SealingKeys | None) -> None:
    assert open_text(seal_text(text, keys, "a.b"), keys, "a.b") == text


@pytest.mark.sqlite
def test_a_text_is_no_other_column_s() -> None:
    with pytest.raises(StoreUnavailable, match=r"decisions.reason was changed"):
        open_text(seal_text("said", NEW, "revisions.answer"), NEW, "decisions.reason")


@pytest.mark.sqlite
def test_nothing_that_was_said_is_on_the_disk_where_there_is_a_key(tmp_path: Path) -> None:
    case = fill(store_of(tmp_path, NEW), tmp_path, NEW)
    assert [word for word in SAID if word.encode() in on_disk(tmp_path)] == []
    check_read(store_of(tmp_path, NEW), case)


@pytest.mark.sqlite
def test_every_text_of_a_case_is_in_a_sealed_column(tmp_path: Path) -> None:
    fill(store_of(tmp_path, None), tmp_path, None)
    sealed = {f"{t.name}.{c.name}" for t in METADATA.sorted_tables for c in sealed_columns(t)}
    found = set()
    with sqlite3.connect(tmp_path / "cases.db") as database:
        for table in METADATA.sorted_tables:
            for column in table.columns:
                rows = database.execute(f'SELECT "{column.name}" FROM "{table.name}"')
                if any(word in str(value) for (value,) in rows for word in SAID):
                    found.add(f"{table.name}.{column.name}")
    assert found
    assert found <= sealed


def test_plain_texts_are_read_and_then_sealed_by_rekey(tmp_path: Path) -> None:
    case = fill(store_of(tmp_path, None), tmp_path, None)
    assert all(word.encode() in on_disk(tmp_path) for word in SAID)
    for keys in (OLD, BOTH):
        store = store_of(tmp_path, keys)
        check_read(store, case)
        assert store.rekey() > 0
        check_read(store, case)
        assert store.rekey() == 0
        assert store.examine() == []
        store.close()
        assert [word for word in SAID if word.encode() in on_disk(tmp_path)] == []
    check_read(store_of(tmp_path, NEW), case)
    for statement in ("UPDATE decisions SET reason = 'another'", "DELETE FROM decisions"):
        with pytest.raises((sqlite3.Error, psycopg.Error), match="never changed"):
            change(tmp_path, statement)


def test_a_rekey_that_was_broken_off_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [fill(store_of(tmp_path, OLD), tmp_path, OLD) for _ in range(3)]
    monkeypatch.setattr("api_server.store.rekey._ROWS_AT_ONCE", 1)
    store = store_of(tmp_path, BOTH)
    sealed: list[object] = []

    def break_off(*_: object) -> bool:
        sealed.append(None)
        if len(sealed) == 12:
            raise KeyboardInterrupt
        return False

    with monkeypatch.context() as patched:
        patched.setattr("api_server.store.rekey.is_current", break_off)
        with pytest.raises(KeyboardInterrupt):
            store.rekey()
    for case in cases:
        check_read(store, case)
    store.rekey()
    store.close()
    for case in cases:
        check_read(store_of(tmp_path, NEW), case)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (None, "needs the key new, which RECORDINGS_KEY_FILE has not"),
        (OLD, "needs the key new, which RECORDINGS_KEY_FILE has not"),
        (SealingKeys("new", {"new": b"w" * 32}), "the key new is not the one"),
    ],
)
def test_a_wrong_key_is_an_error_from_the_beginning(
    tmp_path: Path, keys: SealingKeys | None, reason: str
) -> None:
    fill(store_of(tmp_path, NEW), tmp_path, NEW)
    with pytest.raises(StoreUnavailable, match=reason):
        store_of(tmp_path, keys)


@pytest.mark.sqlite
def test_a_text_without_its_key_is_an_error_and_no_empty_answer(tmp_path: Path) -> None:
    old = fill(store_of(tmp_path, OLD), tmp_path, OLD)
    new = fill(store_of(tmp_path, BOTH), tmp_path, BOTH)
    store = store_of(tmp_path, NEW)
    assert store.get_case(new, None)[1] is not None
    for ask in (
        lambda: store.get_case(old, None),
        lambda: store.list_cases(None, 9, None),
        lambda: store.ledger.case_file(old),
        lambda: store.reviews.get(old),
        store.rekey,
    ):
        with pytest.raises(StoreUnavailable, match="needs the key old"):
            ask()
    faults = store.examine()
    assert any("revisions.answer needs the key old" in one for one in faults)


@pytest.mark.sqlite
def test_an_answer_that_was_changed_is_an_error(tmp_path: Path) -> None:
    case = fill(store_of(tmp_path, NEW), tmp_path, NEW)
    store = store_of(tmp_path, NEW)
    with sqlite3.connect(tmp_path / "cases.db") as database:
        (answer,) = database.execute("SELECT answer FROM revisions").fetchone()
        changed = answer[:-30] + ("B" if answer[-30] == "A" else "A") + answer[-29:]
        database.execute("UPDATE revisions SET answer = ?", (changed,))
    with pytest.raises(StoreUnavailable, match="changed or is cut off"):
        store.get_case(case, None)


@pytest.mark.parametrize("keys", [None, OLD])
def test_a_name_that_is_no_text_can_be_stored(keys: SealingKeys | None) -> None:
    """As the bytes of an old file name come into Python: no database takes them as they are."""
    name = b"/calls/\xc5\xeb\xc8\xad.wav".decode("utf-8", "surrogateescape")
    stored = seal_text(name, keys, "cases.path")
    stored.encode()
    assert open_text(stored, keys, "cases.path") == name
    assert is_current(stored, keys, "cases.path")
    assert not is_current(stored, NEW, "cases.path")
