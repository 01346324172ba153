"""Webhooks in the store: written with what they tell of, each under one id, until they arrive."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api_server.store.errors import NoSuchWebhook
from api_server.store.records import Ending, NewRepair, WebhookRecord
from api_server.store.store import Store
from api_server.store.webhooks import TRIED_SEC
from tests.support.clock import Clock
from tests.support.jobs_in_store import new_job

URL = "https://example.com/hook"
SECRET_WORDS = "what was said"
DONE = Ending("done", f'"{SECRET_WORDS}"', 1.0)
LEASE_SEC = 10.0


def submit(store: Store, path: Path, *contents: bytes, url: str | None = URL) -> str:
    job, _ = store.submit(replace(new_job(path, *contents), webhook_url=url))
    return job


def told(store: Store) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for one in reversed(store.outbox.list(100, None)):
        body = json.loads(one.body)
        assert body["type"] == one.event
        assert SECRET_WORDS not in one.body
        found.append((one.event, body["data"]))
    return found


def sent(store: Store) -> WebhookRecord:
    (one,) = store.outbox.claim(LEASE_SEC, 1)
    return one


def test_each_end_is_told_and_that_of_the_job_with_the_last_one(
    tmp_path: Path, store: Store
) -> None:
    job = submit(store, tmp_path, b"one", b"two")
    one, two = store.claim(LEASE_SEC, 2)
    store.finish(one, DONE)
    assert told(store) == [
        (
            "case.done",
            {"case": one.id, "job": job, "state": "done", "revision": 1, "error_type": None},
        )
    ]
    assert store.finish(two, Ending("refused", error_type="NotAudio", error="no sound"))
    assert [event for event, _ in told(store)] == ["case.done", "case.failed", "job.done"]
    last = told(store)[-1][1]
    assert (last["job"], last["state"], last["cases"], last["counts"]["refused"]) == (
        job,
        "done",
        2,
        1,
    )
    assert not store.finish(two, DONE)
    assert len(told(store)) == 3


def test_what_is_given_up_or_cancelled_is_told_too(
    tmp_path: Path, store: Store, clock: Clock
) -> None:
    submit(store, tmp_path, b"one")
    store.claim(LEASE_SEC, 1)
    clock.now += LEASE_SEC + 1
    store.reap(max_tries=1)
    cancelled = submit(store, tmp_path, b"two")
    store.cancel_job(cancelled, None)
    store.cancel_job(cancelled, None)
    assert [event for event, _ in told(store)] == ["case.failed", "job.done", "job.done"]
    assert told(store)[-1][1]["state"] == "cancelled"


def test_a_job_without_an_address_tells_nobody(tmp_path: Path, store: Store) -> None:
    submit(store, tmp_path, b"one", url=None)
    store.finish(store.claim(LEASE_SEC, 1)[0], DONE)
    assert told(store) == []
    assert store.outbox.is_empty()


def test_a_revision_is_told(tmp_path: Path, store: Store) -> None:
    job = submit(store, tmp_path, b"one")
    (one,) = store.claim(LEASE_SEC, 1)
    repair = NewRepair(("agent",), "http://llm", 100.0, 10**9)
    store.finish(one, replace(DONE, state="partial", repair=repair))
    (claimed,) = store.claim_repairs(LEASE_SEC, ["http://llm"], 1)
    assert store.revise(claimed, DONE)
    assert not store.revise(claimed, DONE)
    assert told(store)[-1] == (
        "case.revised",
        {"case": one.id, "job": job, "state": "done", "revision": 2, "missing": []},
    )


def test_one_that_is_being_sent_is_nobody_elses_until_its_sender_is_gone(
    tmp_path: Path, store: Store, clock: Clock
) -> None:
    store.cancel_job(submit(store, tmp_path, b"one"), None)
    first = sent(store)
    assert (first.tries, store.outbox.claim(LEASE_SEC, 1)) == (1, [])
    clock.now += LEASE_SEC
    again = sent(store)
    assert (again.id, again.body, again.tries) == (first.id, first.body, 2)
    store.outbox.note_delivered(again)
    clock.now += LEASE_SEC
    assert store.outbox.claim(LEASE_SEC, 1) == []
    assert store.outbox.is_empty()


def test_one_that_does_not_arrive_is_dead_after_a_day_and_is_sent_again_by_command(
    tmp_path: Path, store: Store, clock: Clock
) -> None:
    store.cancel_job(submit(store, tmp_path, b"one"), None)
    began, tries = clock.now, 0
    while store.outbox.note_undelivered(one := sent(store), "HTTP 500", 3600.0) == "pending":
        assert store.outbox.claim(LEASE_SEC, 1) == []
        clock.now += 3600.0
        tries += 1
    assert (tries, clock.now - began) == (24, TRIED_SEC)
    (dead,) = store.outbox.list(10, None, "dead")
    assert (dead.id, dead.error, store.outbox.is_empty()) == (one.id, "HTTP 500", True)
    assert store.outbox.resend(None) == 1
    again = sent(store)
    assert (again.id, again.tries, store.outbox.resend(None)) == (one.id, 1, 0)
    assert store.outbox.note_undelivered(again, "HTTP 410", None) == "dead"
    assert store.outbox.resend(one.id) == 1
    with pytest.raises(NoSuchWebhook):
        store.outbox.resend("msg_none")


def test_what_waits_for_the_same_address_waits_too_and_others_do_not(
    tmp_path: Path, store: Store, clock: Clock
) -> None:
    for url in (URL, URL, "https://example.com/other"):
        store.cancel_job(submit(store, tmp_path, b"one", url=url), None)
    store.outbox.note_undelivered(sent(store), "no answer in 15 s", 60.0)
    other = sent(store)
    assert (other.url, store.outbox.claim(LEASE_SEC, 9)) == ("https://example.com/other", [])
    clock.now += 60.0
    assert [one.url for one in store.outbox.claim(LEASE_SEC, 9)].count(URL) == 2


def test_what_ended_long_ago_is_forgotten(tmp_path: Path, store: Store, clock: Clock) -> None:
    store.cancel_job(submit(store, tmp_path, b"one"), None)
    store.outbox.note_delivered(sent(store))
    store.sweep()
    assert len(told(store)) == 1
    clock.now += 31 * 86400.0
    store.sweep()
    assert told(store) == []
