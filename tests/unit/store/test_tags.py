"""Other days for cases by product and rubric; a hold is above them all."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from api_server.pipeline.records import retention_of
from api_server.settings import Settings
from api_server.store.records import Ending, NewCase, NewJob, Retention, TagRule
from api_server.store.store import Store
from tests.support import jobs_in_store
from tests.support.clock import Clock

DAY = 86400.0
RULES = (
    TagRule("product", "ELS", recordings_sec=20 * DAY, transcripts_sec=100 * DAY),
    TagRule("product", "short", recordings_sec=0.0, transcripts_sec=DAY, results_sec=2 * DAY),
    TagRule("rubric", "law", transcripts_sec=math.inf),
)
TERMS = Retention(10 * DAY, 30 * DAY, 200 * DAY, rules=RULES)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000 * DAY)


def store_at(path: Path, clock: Clock) -> Store:
    return jobs_in_store.store_at(path, clock, retention=TERMS)


def ended(store: Store, path: Path, **metadata: object) -> str:
    received = jobs_in_store.folder_at(path).receive(io.BytesIO(json.dumps(metadata).encode()))
    case = NewCase("a.wav", received)
    store.submit(NewJob("", "{}", json.dumps(metadata), 5, (case,), "asked"))
    (claimed,) = store.claim(10.0, 1)
    store.finish(claimed, Ending("done", '{"text": "said"}', 1.0))
    return claimed.id


def left(store: Store, case: str) -> str:
    """What is left of a case: its recording, words, and the rest."""
    record, revision = store.get_case(case, None)
    parts = (("r", record.recording), ("w", revision), ("n", record.name))
    return "".join(letter for letter, part in parts if part)


def test_each_case_is_kept_as_long_as_its_tag_says(tmp_path: Path, clock: Clock) -> None:
    store = store_at(tmp_path, clock)
    cases = {
        "plain": ended(store, tmp_path),
        "another": ended(store, tmp_path, product="els", rubric=7),
        "els": ended(store, tmp_path, product=" ELS "),
        "short": ended(store, tmp_path, product="short"),
        "law": ended(store, tmp_path, product="short", rubric="law"),
        "held": ended(store, tmp_path, product="short", n=1),
    }
    store.ledger.hold(cases["held"], "dispute", "me")
    # Held only now: its recording went as it ended, as its rule says.
    kept = {"plain": "rwn", "another": "rwn", "els": "rwn"}
    kept |= {"short": "wn", "law": "wn", "held": "wn"}
    for days, gone in (
        (0.5, {}),
        (1.5, {"short": "n"}),
        (2.5, {"short": "", "law": ""}),
        (15, {"plain": "wn", "another": "wn"}),
        (25, {"els": "wn"}),
        (31, {"plain": "n", "another": "n"}),
        (101, {"els": "n"}),
        (201, {"plain": "", "another": "", "els": ""}),
    ):
        clock.now = 1000 * DAY + days * DAY
        store.sweep()
        kept |= gone
        assert {name: left(store, case) for name, case in cases.items()} == kept, days


def test_jobs_of_before_there_were_tags_get_theirs(tmp_path: Path, clock: Clock) -> None:
    store = store_at(tmp_path, clock)
    cases = [ended(store, tmp_path, product="ELS", n=n) for n in range(3)]
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET product = NULL, rubric = NULL")
    clock.now += 31 * DAY
    store.sweep()
    assert [left(store, one) for one in cases] == ["wn"] * 3


def test_rules_are_read_from_the_settings() -> None:
    rules = "product=ELS:recordings=365:transcripts=always, rubric=a b:results=0.5"
    found = retention_of(Settings(retention_rules=rules, review_page=False)).rules  # type: ignore[arg-type]
    assert found == (
        TagRule("product", "ELS", 365 * DAY, math.inf, None),
        TagRule("rubric", "a b", None, None, DAY / 2),
    )


@pytest.mark.parametrize(
    "rule",
    [
        "ELS:results=1",
        "branch=a:results=1",
        "product=:results=1",
        "product=a",
        "product=a:words=1",
        "product=a:results=1:results=2",
        "product=a:results=-1",
        "product=a:results=inf",
        "product=a:results=nan",
        "product=a:results=soon",
    ],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(ValidationError):
        Settings(retention_rules=[rule])
