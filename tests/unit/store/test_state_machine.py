"""Whatever happens in whatever order, a case ends once, and none is lost."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from api_server.store.records import ENDS, CaseState, Claimed, Ending
from tests.support.clock import Clock
from tests.support.jobs_in_store import folder_at, new_job, store_at

LEASE_SEC, MAX_TRIES = 10.0, 3


class Cases(RuleBasedStateMachine):
    """Workers that claim, die, stop, come back, and callers who cancel and retry."""

    leases = Bundle("leases")
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp())
        self.clock = Clock(1_000.0)
        self.store = store_at(self.path, self.clock)
        self.taken = 0
        self.answers: dict[str, str] = {}
        self.holders: dict[str, str] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.path)

    @rule(target=jobs, contents=st.lists(st.binary(min_size=1, max_size=2), max_size=4))
    def submit(self, contents: list[bytes]) -> str:
        identity, _ = self.store.submit(new_job(self.path, *contents))
        self.taken += len(contents)
        return identity

    @rule(target=leases)
    def claim(self) -> Claimed | None:
        found = self.store.claim(LEASE_SEC, 1)
        for one in found:
            self.holders[one.id] = one.token
        return found[0] if found else None

    @rule(lease=leases, state=st.sampled_from(["done", "partial", "refused", "failed"]))
    def finish(self, lease: Claimed | None, state: CaseState) -> None:
        if lease is None:
            return
        answer = lease.token if state in {"done", "partial"} else None
        held = self.holders.get(lease.id) == lease.token
        assert self.store.finish(lease, Ending(state, answer)) == held
        if held:
            del self.holders[lease.id]
        if held and answer is not None:
            assert lease.id not in self.answers, "a second result"
            self.answers[lease.id] = answer

    @rule(lease=consumes(leases), counted=st.booleans())
    def put_back(self, lease: Claimed | None, counted: bool) -> None:
        if lease is None:
            return
        held = self.holders.get(lease.id) == lease.token
        assert self.store.put_back(lease, counted=counted) == held
        if held:
            del self.holders[lease.id]

    @rule(lease=leases)
    def renew(self, lease: Claimed | None) -> None:
        if lease is None:
            return
        held = self.holders.get(lease.id) == lease.token
        assert self.store.renew([lease.token], LEASE_SEC) == ({lease.token} if held else set())

    @rule(seconds=st.sampled_from([1.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def reap(self) -> None:
        queued, failed = self.store.reap(MAX_TRIES)
        for one in (*queued, *failed):
            del self.holders[one]

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        self.store.cancel_job(job, None)
        for one in self.store.list_cases(None, 100, None, job):
            self.holders.pop(one.id, None)

    @rule(job=jobs)
    def retry(self, job: str) -> None:
        self.store.retry_job(job, None)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = store_at(self.path, self.clock)
        self.store.sweep()

    @invariant()
    def no_case_is_lost_and_no_result_changes(self) -> None:
        cases = self.store.list_cases(None, 1_000, None)
        assert len(cases) == self.taken
        for one in cases:
            _, revision = self.store.get_case(one.id, None)
            assert (revision.answer if revision else None) == self.answers.get(one.id)
            assert (revision is not None) == (one.state in {"done", "partial"})
            assert (one.state == "running") == (one.id in self.holders)

    @invariant()
    def what_may_still_be_worked_on_is_there_to_be_heard(self) -> None:
        on_disk = folder_at(self.path).on_disk()
        for one in self.store.list_cases(None, 1_000, None):
            needed = one.state not in ENDS or one.state in {"failed", "cancelled"}
            assert not needed or one.recording in on_disk


def test_whatever_happens_a_case_ends_once(database_kind: str) -> None:
    examples = 25 if database_kind == "sqlite" else 5
    bounds = settings(max_examples=examples, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(Cases, settings=bounds)
