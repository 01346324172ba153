"""What is counted of findings is the same on every database."""

from __future__ import annotations

from pathlib import Path

import pytest

from api_server.store.decisions import NewDecision
from api_server.store.records import Ending
from api_server.store.review_records import CaseFacts, CaseFilter, ConfidenceTally, FindingFacts
from tests.support.clock import Clock
from tests.support.jobs_in_store import new_job, store_at

SURE = "solicitation.certainty"


def test_confidences_and_findings_are_counted_by_group(tmp_path: Path) -> None:
    store = store_at(tmp_path, Clock(1e6))
    for number, confidence in enumerate((0.95, 0.85, 0.95, None)):
        store.submit(new_job(tmp_path, f"{number}".encode()))
        (claimed,) = store.claim(10.0, 1)
        store.finish(claimed, Ending("done", "{}", 1.0))
        finding = FindingFacts(SURE, "prohibited", "violated", wanted=True, confidence=confidence)
        facts = CaseFacts(claimed.seq, 1, 4.0, degraded=False, warnings=0, findings=(finding,))
        store.reviews.learn([facts])
        for actor, seen in (("kim", 0), ("lee", 1)) if number != 2 else ():
            decision = NewDecision(
                "accept" if number else "reject",
                SURE,
                actor,
                reason="no",
                status="violated" if number else "not_found",
                seen=seen and store.reviews.get(claimed.id).decisions[-1].seq,
            )
            store.reviews.decide(claimed.id, 1, decision, 60.0)
            store.reviews.let_go(claimed.id, actor, put_off=False)
    found = sorted(store.reports.confidences(CaseFilter()), key=lambda one: one.group)
    assert found == [
        ConfidenceTally(SURE, 4, 1, pytest.approx(0.85), 1),
        ConfidenceTally(SURE, 5, 1, pytest.approx(0.95), 0),
    ]
    assert store.reports.confidences(CaseFilter(agent="nobody")) == []
    counted = store.reports.count("element", CaseFilter())
    assert sum(one.number for one in counted.tallies) == 4
    assert {(one.decided, one.waits): one.number for one in counted.tallies} == {
        ("violated", False): 2,
        ("not_found", False): 1,
        (None, True): 1,
    }
