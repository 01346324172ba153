"""What can be searched: the latest words of each call, from the newest on, gone with the call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api_server.store import audit_log, search_texts
from api_server.store.records import Ending, Retention
from api_server.store.review_records import CaseFacts, CaseFilter
from api_server.store.revisions import add_revision
from api_server.store.search_records import Searched, SearchText
from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.jobs_in_store import new_job, store_at

DAY = 86400.0
WORDS = "사실상원금은보장된다고보시면됩니다"


@pytest.fixture
def clock() -> Clock:
    return Clock(1e6)


def open_store(path: Path, clock: Clock) -> Store:
    kept = Retention(transcripts_sec=DAY, wordless=lambda _answer: "[]")
    return store_at(path, clock, retention=kept)


def call(store: Store, path: Path, *sentences: str, agent: str | None = None) -> str:
    """Put a call with these sentences into the store, as the page reads it; return its id."""
    store.submit(new_job(path, repr(sentences).encode()))
    (claimed,) = store.claim(10.0, 1)
    store.finish(claimed, Ending("done", json.dumps({"text": list(sentences)}), 1.0))
    learn(store, claimed.seq, 1, agent)
    read(store)
    return claimed.id


def learn(store: Store, seq: int, revision: int, agent: str | None = None) -> None:
    facts = CaseFacts(seq, revision, 1.0, degraded=False, warnings=0, findings=(), agent=agent)
    store.reviews.learn([facts])


def read(store: Store) -> None:
    """Make the words of what is new ready to be searched, as the page does."""
    for one in store.search.unread(100):
        said = json.loads(one.revision.answer)["text"]
        lines = json.dumps([[1.0, None, text] for text in said])
        text = SearchText(one.seq, one.revision.number, "ready", "\n".join(said), lines)
        assert store.search.keep(text)


def find(store: Store, words: str = "원금", limit: int = 20, **which: str) -> Searched:
    return store.search.find(words, CaseFilter(**which), "kim", limit=limit, within_sec=60.0)  # type: ignore[arg-type]


def test_the_newest_calls_come_first_and_the_next_page_goes_on(
    tmp_path: Path, clock: Clock
) -> None:
    store = open_store(tmp_path, clock)
    old, other = call(store, tmp_path, "인사", WORDS, agent="kim"), call(store, tmp_path, "인사")
    new = call(store, tmp_path, WORDS, "인사", WORDS, agent="lee")
    first = find(store, limit=1)
    assert [(one.id, one.places) for one in first.calls] == [(new, (0, 2))]
    assert (first.looked, first.withheld, first.waiting) == (1, 0, 0)
    assert first.after is not None
    rest = store.search.find(
        "원금", CaseFilter(), "kim", limit=9, within_sec=9.0, after=first.after
    )
    assert [(one.id, one.places) for one in rest.calls] == [(old, (1,))]
    assert (rest.looked, rest.after, rest.back_to) == (2, None, clock.now)
    assert [one.id for one in find(store, agent="kim").calls] == [old]
    assert [one.id for one in find(store, "인사").calls] == [new, other, old]
    assert find(store, "원금은보장안").calls == ()
    assert find(store, "인사사실").calls == (), "words of two sentences are none of one"


def test_it_says_how_far_it_looked_when_the_time_is_over(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_texts, "_ROWS_AT_ONCE", 2)
    store = open_store(tmp_path, clock)
    hidden = call(store, tmp_path, WORDS)
    for number in range(3):
        call(store, tmp_path, f"인사 {number}")
    found = store.search.find("원금", CaseFilter(), "kim", limit=9, within_sec=0.0)
    assert (found.calls, found.looked) == ((), 2)
    assert found.after is not None
    found = store.search.find(
        "원금", CaseFilter(), "kim", limit=9, within_sec=0.0, after=found.after
    )
    assert [one.id for one in found.calls] == [hidden]


def test_only_the_latest_answer_is_found_and_what_waits_is_said(
    tmp_path: Path, clock: Clock
) -> None:
    store = open_store(tmp_path, clock)
    case = call(store, tmp_path, WORDS)
    seq = store.reviews.get(case).case.seq
    with store._database.write() as connection:
        add_revision(connection, seq, json.dumps({"text": ["다른말"]}), clock.now)
    stale = SearchText(seq, 1, "ready", WORDS, "[]")
    assert not store.search.keep(stale), "words of an answer that is not the latest"
    learn(store, seq, 2)
    found = find(store)
    assert (found.calls, found.looked, found.waiting) == ((), 0, 1)
    read(store)
    assert (find(store).calls, find(store).waiting) == ((), 0)
    assert [one.id for one in find(store, "다른말").calls] == [case]


@pytest.mark.parametrize("how", ["erase", "expire"])
def test_what_is_removed_is_found_no_more_in_the_same_transaction(
    tmp_path: Path, clock: Clock, how: str
) -> None:
    store = open_store(tmp_path, clock)
    case = call(store, tmp_path, WORDS)
    waiting = store.search.unread(9)
    seq = store.reviews.get(case).case.seq
    if how == "erase":
        store.erase(case, "me")
    else:
        clock.now += 2 * DAY
        store.sweep()
    with store._database.read() as connection:
        assert list(connection.execute(search_texts.SEARCH_TEXTS.select())) == []
    assert find(store).looked == 0
    late = SearchText(seq, 1, "ready", WORDS, "[]")
    assert not store.search.keep(late), "somebody was reading it meanwhile"
    assert (waiting, store.search.unread(9)) == ([], [])


def test_the_log_says_who_searched_and_not_for_what(tmp_path: Path, clock: Clock) -> None:
    store = open_store(tmp_path, clock)
    call(store, tmp_path, WORDS)
    find(store)
    with store._database.read() as connection:
        (entry,) = [one.entry for one in audit_log.entries(connection, "")]
    told = {"what": "search", "letters": 2, "calls": 1, "looked": 1}
    assert (entry.kind, entry.actor, json.loads(entry.facts)) == ("look", "kim", told)
    assert entry.commitment is None
