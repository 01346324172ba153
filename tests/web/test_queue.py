"""The queue: the worst first, nobody twice at one call, and lists of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from api_server.pipeline.render.answers import transcribe_response
from api_server.store import removal
from api_server.store.decisions import NewDecision
from api_server.store.errors import DecisionRefused
from api_server.store.review_records import SAMPLE, CaseFacts, CaseFilter, FindingFacts, Unread
from api_server.store.schema import CASES
from api_server.store.store import Store
from api_server.web.call_view import joined
from api_server.web.facts import Reading, elements_of, facts_of, is_wanted, labels_of, rank_of
from tests.support.clock import Clock
from tests.support.jobs_in_store import folder_at, store_at
from tests.support.reviewed import add_case, clean_result, sample_result

LEASE_SEC = 60.0
ELEMENT = "solicitation.certainty"


@pytest.fixture
def clock() -> Clock:
    return Clock(1e6)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    found = store_at(tmp_path, clock)
    yield found
    found.close()


def add(store: Store, path: Path, rank: float, **more: bool) -> str:
    case = add_case(store, folder_at(path), f"{rank}.wav", sample_result())
    seq = store.reviews.get(case).case.seq
    findings = (FindingFacts(ELEMENT, "prohibited", "violated", wanted=rank > 0),)
    store.reviews.learn([CaseFacts(seq, 1, rank, more.get("degraded", False), 0, findings)])
    return case


def taken(store: Store, actor: str, *, senior: bool = False) -> str | None:
    return store.reviews.take_next(actor, LEASE_SEC, senior=senior)


def accept(store: Store, case: str, actor: str, seen: int = 0) -> int:
    new = NewDecision("accept", ELEMENT, actor, status="violated", seen=seen)
    return store.reviews.decide(case, 1, new, LEASE_SEC)


def test_the_worst_comes_first_and_nobody_gets_the_same(store: Store, tmp_path: Path) -> None:
    mild, worst = add(store, tmp_path, 2.1), add(store, tmp_path, 4.3)
    add(store, tmp_path, 0)
    assert taken(store, "kim") == worst
    assert taken(store, "kim") == worst
    assert taken(store, "lee") == mild
    assert taken(store, "park") is None


def test_whoever_goes_on_leaves_the_call_to_the_second_person(store: Store, tmp_path: Path) -> None:
    case = add(store, tmp_path, 4)
    taken(store, "kim")
    accept(store, case, "kim")
    assert taken(store, "lee") is None
    assert taken(store, "kim") is None
    assert taken(store, "lee") == case


def test_many_at_once_get_different_calls(store: Store, tmp_path: Path) -> None:
    cases = {add(store, tmp_path, 4.0) for _ in range(8)}
    found: list[str | None] = []
    people = [
        threading.Thread(target=lambda n=n: found.append(taken(store, f"person {n}")))
        for n in range(8)
    ]
    for one in people:
        one.start()
    for one in people:
        one.join(60)
    assert set(found) == cases


def test_a_lease_that_is_over_is_anybodys(store: Store, tmp_path: Path, clock: Clock) -> None:
    case = add(store, tmp_path, 4)
    taken(store, "kim")
    assert store.reviews.get(case).lease_by == "kim"
    with pytest.raises(DecisionRefused) as refused:
        accept(store, case, "lee")
    assert refused.value.code == "leased"
    clock.now += LEASE_SEC
    assert store.reviews.get(case).lease_by is None
    assert taken(store, "lee") == case


def test_what_is_put_off_comes_again_later(store: Store, tmp_path: Path, clock: Clock) -> None:
    case = add(store, tmp_path, 4)
    taken(store, "kim")
    store.reviews.let_go(case, "kim", put_off=True)
    assert taken(store, "kim") is None
    assert taken(store, "lee") == case
    store.reviews.let_go(case, "lee", put_off=False)
    clock.now += 3600
    assert taken(store, "kim") == case


def test_the_second_look_is_not_the_first_persons(
    store: Store, tmp_path: Path, clock: Clock
) -> None:
    case = add(store, tmp_path, 4)
    first = accept(store, case, "kim")
    clock.now += LEASE_SEC + 1
    assert taken(store, "kim") is None
    assert taken(store, "lee") == case
    new = NewDecision("reject", ELEMENT, "lee", status="not_found", reason="no", seen=first)
    store.reviews.decide(case, 1, new, LEASE_SEC)
    clock.now += LEASE_SEC + 1
    assert taken(store, "park") is None
    assert taken(store, "lee", senior=True) is None
    assert taken(store, "choi", senior=True) == case


def test_lists_are_filtered_and_go_on_page_by_page(store: Store, tmp_path: Path) -> None:
    cases = [add(store, tmp_path, rank) for rank in (1.0, 3.0, 3.0, 2.0)]
    degraded = add(store, tmp_path, 5.0, degraded=True)
    none = add(store, tmp_path, 0)

    def names(which: CaseFilter) -> list[str]:
        return [one.case.id for one in store.reviews.list(which, 50)]

    everything = [degraded, cases[2], cases[1], cases[3], cases[0], none]
    assert names(CaseFilter()) == everything
    assert names(CaseFilter(degraded=True)) == [degraded]
    assert names(CaseFilter(state="none")) == [none]
    assert names(CaseFilter(element=ELEMENT, status="violated")) == everything
    assert names(CaseFilter(element="unfair.tying")) == []
    page = store.reviews.list(CaseFilter(), 2)
    rest = store.reviews.list(CaseFilter(), 50, (page[-1].rank, page[-1].case.seq))
    assert [one.case.id for one in (*page, *rest)] == everything


def test_answers_are_read_once_and_again_when_there_is_another(
    store: Store, tmp_path: Path
) -> None:
    add_case(store, folder_at(tmp_path), "call.wav")
    (unread,) = store.reviews.unread(10)
    facts = facts_of(unread)
    store.reviews.learn([facts])
    assert store.reviews.unread(10) == []
    assert store.reviews.count() == {"open": 1}
    assert facts.rank > 4
    wanted = {one.element for one in facts.findings if one.wanted}
    assert {"solicitation.certainty", "explanation.fees"} <= wanted
    assert "notice.recording" not in wanted


def test_an_answer_that_cannot_be_read_is_degraded_and_stops_nothing(
    store: Store, tmp_path: Path
) -> None:
    add_case(store, folder_at(tmp_path), "call.wav")
    (unread,) = store.reviews.unread(10)
    broken = Unread(unread.seq, type(unread.revision)(1, 0.0, "{}"))
    assert facts_of(broken).degraded
    store.reviews.learn([facts_of(broken)])
    assert store.reviews.count() == {"none": 1}


def test_of_calls_without_findings_the_id_decides_which_a_person_hears(
    store: Store, tmp_path: Path
) -> None:
    add_case(store, folder_at(tmp_path), "clean.wav", clean_result())
    (unread,) = store.reviews.unread(10)
    many = [replace(unread, case=f"case-{number}") for number in range(400)]
    drawn = [facts_of(one, Reading(sample_percent=25)).sampled for one in many]
    assert 60 < sum(drawn) < 140
    assert drawn == [facts_of(one, Reading(sample_percent=25)).sampled for one in many]
    assert not any(facts_of(one).sampled for one in many)
    everything = [facts_of(one, Reading(sample_percent=100)) for one in many]
    assert all(one.sampled for one in everything)
    ranks = sorted(one.rank for one in everything)
    assert (ranks[0] < 2.2, ranks[-1] > 4.8) == (
        True,
        True,
    )  # among the others, neither before nor behind them


def test_whoever_heard_a_sample_ends_it_alone(store: Store, tmp_path: Path) -> None:
    case = add_case(store, folder_at(tmp_path), "clean.wav", clean_result())
    (unread,) = store.reviews.unread(10)
    store.reviews.learn([facts_of(unread, Reading(sample_percent=100))])
    assert taken(store, "kim") == case
    (listed,) = store.reviews.list(CaseFilter(sampled=True), 5)
    assert (listed.sampled, listed.worst) == (True, ())
    new = NewDecision("accept", SAMPLE, "kim", status="not_found")
    store.reviews.decide(case, 1, new, LEASE_SEC)
    assert store.reviews.count() == {"settled": 1}
    counted = store.reports.count("element", CaseFilter())
    assert {one.decided for one in counted.tallies} == {"not_found", "satisfied"}


def test_lists_are_filtered_by_agent_product_days_and_warnings(
    store: Store, tmp_path: Path, clock: Clock
) -> None:
    def named(clock_days: float, metadata: str, warnings: int = 0) -> str:
        clock.now = 1e6 + 86_400 * clock_days
        case = add_case(
            store, folder_at(tmp_path), f"{clock_days}.wav", sample_result(), metadata=metadata
        )
        (unread,) = store.reviews.unread(10)
        store.reviews.learn([replace(facts_of(unread), warnings=warnings)])
        return case

    first = named(0, '{"agent": "A-17", "product": "ELS"}')
    second = named(1, '{"agent": 42, "product": ["not", "a", "name"]}', warnings=2)

    def names(which: CaseFilter) -> list[str]:
        return [one.case.id for one in store.reviews.list(which, 50)]

    assert names(CaseFilter(agent="A-17")) == names(CaseFilter(product="ELS")) == [first]
    assert names(CaseFilter(agent="42")) == names(CaseFilter(warned=True)) == [second]
    assert names(CaseFilter(since=1e6 + 3600)) == [second]
    assert names(CaseFilter(until=1e6 + 3600)) == [first]
    assert store.reports.names() == (["42", "A-17"], ["ELS"])


def test_names_that_are_not_to_be_kept_are_not_read() -> None:
    metadata = '{"agent": "A-17", "null": "x"}'
    assert labels_of(metadata, Reading()) == ("A-17", None)
    assert labels_of(metadata, Reading(agent_key=None, product_key=None)) == (None, None)


def test_names_of_agents_go_with_what_else_is_known_of_a_case(store: Store, tmp_path: Path) -> None:
    metadata = '{"agent": "A-17"}'
    case = add_case(store, folder_at(tmp_path), "call.wav", sample_result(), metadata=metadata)
    (unread,) = store.reviews.unread(10)
    store.reviews.learn([facts_of(unread)])
    with store._database.write() as connection:
        row = connection.execute(select(CASES).where(CASES.c.id == case)).one()
        removal._remove_rest(connection, row, 2e6)
    assert store.reports.names() == ([], [])


def element(status: str, kind: str = "prohibited", **more: object) -> dict[str, object]:
    return {"status": status, "kind": kind, "evidence": [], "reason": "", **more}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (element("violated"), True),
        (element("not_found", "required"), True),
        (element("not_found"), False),
        (element("satisfied", "required"), False),
        (element("undetermined"), False),
        (element("undetermined", evidence=[1], reason="suspected"), True),
        (element("undetermined", evidence=[1], reason="doubted"), False),
    ],
)
def test_people_decide_accusations_and_what_may_be_one(
    given: dict[str, object], wanted: bool
) -> None:
    assert is_wanted(given) is wanted


def test_of_two_that_are_as_serious_the_less_certain_comes_first() -> None:
    sure, unsure = element("violated", confidence=0.99), element("violated", confidence=0.6)
    missing = element("not_found", "required", confidence=0.5)
    assert rank_of([unsure]) > rank_of([sure]) > rank_of([missing]) > rank_of([]) == 0


def test_the_strip_has_as_few_parts_as_it_can_show() -> None:
    given = [(0.0, 1.0), (1.05, 2.0), (1.5, 1.8), (5.0, 6.0)]
    assert joined(given, 0.1) == [(0.0, 2.0), (5.0, 6.0)]
    assert joined([], 1.0) == []


def test_a_call_that_was_not_checked_has_no_findings() -> None:
    result = sample_result()
    unchecked = type(result)(result.recognition)
    assert elements_of(transcribe_response(unchecked, "")) == ()
