"""Decisions: who may, who is next, what holds; nothing is ever changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_server.store import audit_log
from api_server.store.decisions import Action, NewDecision
from api_server.store.errors import DecisionRefused, NoSuchCase
from api_server.store.review_records import CaseFacts, FindingFacts
from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.jobs_in_store import folder_at, store_at
from tests.support.reviewed import add_case

LEASE_SEC = 600.0
VIOLATION = "solicitation.certainty"
REQUIRED = "explanation.fees"


class Case:
    """One case with two findings to decide, and those who decide."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.clock = clock
        self.store: Store = store_at(path, clock)
        self.id = add_case(self.store, folder_at(path), "call.wav")
        self.learn(1)

    def learn(self, revision: int, status: str = "violated") -> None:
        findings = (
            FindingFacts(VIOLATION, "prohibited", status, wanted=True),
            FindingFacts(REQUIRED, "required", "satisfied", wanted=False),
        )
        facts = CaseFacts(1, revision, 4.0, degraded=False, warnings=0, findings=findings)
        self.store.reviews.learn([facts])

    def decide(
        self,
        actor: str,
        action: Action,
        status: str | None = None,
        element: str = VIOLATION,
        reason: str = "because",
        revision: int = 1,
        seen: int | None = None,
        **more: object,
    ) -> int:
        rows = [one for one in self.rows(element) if one.revision == revision]
        last = max((one.seq for one in rows if one.action != "comment"), default=0)
        new = NewDecision(
            action,
            element,
            actor,
            status=status,
            reason=reason,
            seen=last if seen is None else seen,
            **more,  # type: ignore[arg-type]
        )
        self.clock.now += LEASE_SEC + 1  # whoever was at it before is not any more
        return self.store.reviews.decide(self.id, revision, new, LEASE_SEC)

    def rows(self, element: str = VIOLATION) -> list:  # type: ignore[type-arg]
        return [one for one in self.store.reviews.get(self.id).decisions if one.element == element]

    @property
    def states(self) -> dict[str, int]:
        return self.store.reviews.count()


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    found = Case(tmp_path, Clock(1e6))
    yield found
    found.store.close()


def refusal(case: Case, *given: object, **more: object) -> str:
    with pytest.raises(DecisionRefused) as found:
        case.decide(*given, **more)  # type: ignore[arg-type]
    return found.value.code


def test_an_accusation_takes_two_people(case: Case) -> None:
    assert case.states == {"open": 1}
    case.decide("kim", "accept", "violated")
    assert case.states == {"second": 1}
    assert refusal(case, "kim", "accept", "violated") == "needs_other"
    case.decide("lee", "accept", "violated")
    assert case.states == {"settled": 1}
    assert refusal(case, "park", "accept", "violated") == "settled"


def test_nobody_takes_back_alone_what_the_machine_says(case: Case) -> None:
    case.decide("kim", "reject", "not_found")
    assert case.states == {"second": 1}
    case.decide("lee", "reject", "not_found")
    assert case.states == {"settled": 1}


def test_one_person_rejects_what_is_only_suspected(case: Case) -> None:
    case.learn(2, "undetermined")
    case.decide("kim", "reject", "not_found", revision=2)
    assert case.states == {"settled": 1}


def test_where_two_differ_a_senior_who_is_neither_decides(case: Case) -> None:
    case.decide("kim", "accept", "violated")
    case.decide("lee", "reject", "not_found", senior=True)
    assert case.states == {"third": 1}
    assert refusal(case, "park", "accept", "violated") == "needs_senior"
    assert refusal(case, "lee", "accept", "violated", senior=True) == "needs_other"
    case.decide("choi", "accept", "violated", senior=True)
    assert case.states == {"settled": 1}


def test_the_agent_objects_once_and_a_senior_who_has_not_decided_decides_again(case: Case) -> None:
    case.decide("kim", "accept", "violated")
    assert refusal(case, "kim", "object") == "nothing_to_object"
    case.decide("lee", "accept", "violated")
    assert refusal(case, "kim", "object", reason=" ") == "no_reason"
    case.decide("kim", "object", reason="상담원: 고객이 먼저 물었음")
    assert case.states == {"third": 1}
    assert refusal(case, "park", "object") == "nothing_to_object"
    assert refusal(case, "lee", "reject", "not_found", senior=True) == "needs_other"
    case.decide("choi", "accept", "violated", senior=True)
    assert case.states == {"settled": 1}
    case.decide("kim", "object", reason="상담원: 그래도 아님")
    assert case.states == {"third": 1}
    case.clock.now += LEASE_SEC + 1
    assert case.store.reviews.take_next("choi", 60.0, senior=True) is None
    assert case.store.reviews.take_next("yoon", 60.0, senior=True) == case.id
    case.decide("yoon", "reject", "not_found", senior=True)
    assert case.states == {"settled": 1}
    assert refusal(case, "kim", "object") == "nothing_to_object"


def test_another_element_is_another_verdict(case: Case) -> None:
    case.decide("kim", "change", "violated", other_element="unfair.tying", quote="이 말")
    assert case.states == {"second": 1}
    case.decide("lee", "accept", "violated")
    assert case.states == {"third": 1}
    assert case.rows()[0].quote == "이 말"


def test_a_duty_called_missing_by_a_person_is_an_accusation_too(case: Case) -> None:
    case.decide("kim", "reject", "not_found", element=REQUIRED)
    case.decide("kim", "accept", "violated")
    case.decide("lee", "accept", "violated")
    assert case.states == {"second": 1}


def test_undo_takes_back_ones_own_last_decision_and_leaves_it_on_record(case: Case) -> None:
    case.decide("kim", "accept", "violated")
    assert refusal(case, "lee", "undo") == "not_yours"
    case.decide("kim", "undo")
    assert case.states == {"open": 1}
    assert [one.action for one in case.rows()] == ["accept", "undo"]
    assert case.rows()[1].undoes == case.rows()[0].seq
    case.decide("kim", "accept", "violated")
    case.decide("lee", "accept", "violated")
    assert refusal(case, "kim", "undo") == "not_yours"


@pytest.mark.parametrize("action", ["reject", "change", "undo", "comment"])
def test_all_but_accepting_needs_a_reason(case: Case, action: Action) -> None:
    if action == "undo":
        case.decide("kim", "accept", "violated")
        case.decide("kim", "undo", reason="")
        return
    assert refusal(case, "kim", action, "not_found", reason=" ") == "no_reason"


def test_a_comment_decides_nothing_and_makes_nobody_stale(case: Case) -> None:
    case.decide("kim", "comment", element="")
    case.decide("kim", "comment")
    case.decide("kim", "accept", "violated", seen=0)
    assert case.states == {"second": 1}


def test_who_has_not_seen_the_last_decision_does_not_decide(case: Case) -> None:
    case.decide("kim", "accept", "violated")
    assert refusal(case, "lee", "accept", "violated", seen=0) == "stale"


def test_another_answer_is_decided_anew_and_the_old_decisions_stay(case: Case) -> None:
    case.decide("kim", "reject", "not_found")
    case.learn(2)
    assert case.states == {"open": 1}
    assert refusal(case, "kim", "accept", "violated", revision=1) == "stale"
    case.decide("kim", "accept", "violated", revision=2)
    assert [one.revision for one in case.rows()] == [1, 2]


def test_what_is_not_there_cannot_be_decided(case: Case) -> None:
    assert refusal(case, "kim", "accept", "violated", element="no.such") == "no_element"
    with pytest.raises(NoSuchCase):
        case.store.reviews.get("case-none")


def test_no_row_is_ever_changed_or_deleted(case: Case, tmp_path: Path) -> None:
    case.decide("kim", "accept", "violated")
    case.store.close()
    with sqlite3.connect(tmp_path / "cases.db") as raw:
        for change in ("UPDATE decisions SET actor = 'lee'", "DELETE FROM decisions"):
            with pytest.raises(sqlite3.IntegrityError, match="never changed"):
                raw.execute(change)
    raw.close()


def test_words_go_with_those_of_the_call_and_the_log_proves_the_rest(case: Case) -> None:
    case.decide("kim", "change", "violated", reason="고객 이름을 말함", quote="홍길동 고객님")
    case.store.erase(case.id, "admin")
    (row,) = case.rows()
    assert (row.reason, row.quote, row.status, row.actor) == ("", None, "violated", "kim")
    assert case.store.reviews.take_next("lee", 60.0, senior=False) is None
    with case.store._database.read() as connection:
        kinds = [one.entry.kind for one in audit_log.entries(connection, case.id)]
    assert kinds == ["answer", "decision", "erasure"]
    assert case.store.ledger.checkpoint()
    assert case.store.ledger.verify().faults == ()


def test_the_machines_answer_stays_as_it_was(case: Case) -> None:
    before = case.store.reviews.get(case.id).revisions
    case.decide("kim", "change", "not_applicable")
    assert case.store.reviews.get(case.id).revisions == before
