"""Jobs of real servers that are killed, stopped and started again: one result a case, none lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.support.server import ROOT, ApiServer, assert_gone, awaited

pytestmark = pytest.mark.timeout(600)

CLIP = (ROOT / "src/stt_engine/assets/canary.wav").read_bytes()
CALL = (ROOT / "audio/sample_call.wav").read_bytes()
CASES, KILLS = 16, 5
FORM = {"language": "auto"}
PATIENT = {
    "jobs_lease_sec": 1,
    "jobs_at_once": 3,
    "jobs_max_tries": 50,
    "recordings_reserve_bytes": 0,
}


def recording(number: int) -> bytes:
    """Return three seconds of speech, with a content of its own."""
    return CLIP + bytes([number])


def long_recording(number: int) -> bytes:
    """Return a call that takes some steps."""
    return CALL + bytes([number])


def submit(server: ApiServer, *contents: bytes, key: str = "") -> dict[str, Any]:
    files = [("file", (f"{n}.wav", one)) for n, one in enumerate(contents)]
    headers = {"Idempotency-Key": key} if key else {}
    with httpx2.Client(trust_env=False, timeout=60) as client:
        url = f"{server.base}/jobs"
        answer = client.post(url, data=FORM, files=files, headers=headers)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def counts(server: ApiServer, job: str) -> dict[str, int]:
    found: dict[str, int] = server.get(f"/jobs/{job}").json()["counts"]
    return found


def ended(server: ApiServer, job: str) -> bool:
    return bool(server.get(f"/jobs/{job}").json()["state"] == "done")


def cases(server: ApiServer, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get(f"/cases?job={job}&limit=500").json()["cases"]
    return found


def results(folder: Path) -> Counter[int]:
    """Return how many results each case has, as the database has it."""
    with contextlib.closing(sqlite3.connect(folder / "cases.db")) as database:
        return Counter(row[0] for row in database.execute("SELECT case_seq FROM revisions"))


def kill(server: ApiServer) -> None:
    """Kill -9 the server alone; its children have to notice."""
    children = server.children()
    server.send(signal.SIGKILL)
    server.process.wait(30)
    assert_gone(children)


def busy_pid(server: ApiServer) -> int | None:
    component = server.component("faster-whisper")
    return int(component["pid"]) if component["state"] == "busy" and component["pid"] else None


def until_done(server: ApiServer, job: str, more: int) -> None:
    """Wait until ``more`` cases than now are done."""
    wanted = counts(server, job)["done"] + more
    awaited(lambda: counts(server, job)["done"] >= wanted, f"{more} more are done")


def finish(server: ApiServer, job: str, cases_in_all: int) -> None:
    awaited(lambda: ended(server, job), "the job ends", 240)
    assert counts(server, job)["done"] == cases_in_all
    assert server.stop() in {0, -signal.SIGTERM}
    found = results(server.folder)
    assert len(found) == cases_in_all
    assert set(found.values()) == {1}


@pytest.mark.slow
@pytest.mark.long
def test_kill_9_at_random_moments_loses_and_repeats_nothing(tmp_path: Path) -> None:
    chance = random.Random(20261130)
    server = ApiServer(tmp_path, **PATIENT)
    try:
        job = submit(server, *(recording(n) for n in range(CASES)))["id"]
        for number in range(KILLS):
            server.wait_ready()
            # Before the model is ready, in the middle of the first cases, or of later ones.
            more = min(chance.randrange(3), CASES - 2 - counts(server, job)["done"])
            until_done(server, job, more)
            time.sleep(chance.uniform(0, 0.7))  # any moment
            kill(server)
            assert set(results(tmp_path).values()) <= {1}, f"after kill {number}"
            server = ApiServer(tmp_path, **PATIENT)
        finish(server, job, CASES)
    finally:
        server.kill()


def test_a_server_that_is_killed_while_it_takes_a_job_takes_it_once(tmp_path: Path) -> None:
    contents = [recording(n) for n in range(4)]
    server = ApiServer(tmp_path, **PATIENT)
    try:
        for delay in (0.0, 0.02, 0.1, 0.3):
            unanswered = threading.Thread(target=_submit_to_nobody, args=(server, contents))
            unanswered.start()
            time.sleep(delay)  # any moment of the request
            kill(server)
            unanswered.join(60)
            server = ApiServer(tmp_path, **PATIENT)
            assert server.get("/jobs").status_code == 200
        job = submit(server, *contents, key="once")["id"]
        assert submit(server, *contents, key="once")["id"] == job
        assert len(server.get("/jobs").json()["jobs"]) == 1
        server.wait_ready()
        finish(server, job, len(contents))
        awaited(lambda: not list((tmp_path / "recordings").glob("??/*")), "its recordings go")
    finally:
        server.kill()


def _submit_to_nobody(server: ApiServer, contents: list[bytes]) -> None:
    with contextlib.suppress(httpx2.HTTPError, AssertionError):
        submit(server, *contents, key="once")


def test_a_recogniser_that_stops_is_replaced_and_the_case_is_done(tmp_path: Path) -> None:
    server = ApiServer(tmp_path, stt_stall_timeout_sec=3, ready_proof_sec=3600, **PATIENT)
    try:
        server.wait_ready()
        job = submit(server, long_recording(0), recording(1))["id"]
        pid = awaited(lambda: busy_pid(server), "the recogniser is at work")
        psutil.Process(pid).suspend()
        awaited(lambda: not psutil.pid_exists(pid), "the stopped process is ended")
        finish(server, job, 2)
    finally:
        server.kill()


def test_a_recording_that_ends_its_process_is_given_up_and_holds_nobody_up(tmp_path: Path) -> None:
    server = ApiServer(tmp_path, ready_proof_sec=3600, **{**PATIENT, "jobs_at_once": 1})
    try:
        server.wait_ready()
        bad = submit(server, long_recording(0))["id"]
        while not ended(server, bad):  # every process that works on it dies
            if counts(server, bad)["running"] and (pid := busy_pid(server)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        (case,) = cases(server, bad)
        assert (case["state"], case["error_type"]) == ("failed", "RecordingQuarantined")
        assert case["tries"] <= 3
        good = submit(server, recording(1))["id"]
        awaited(lambda: ended(server, good), "the other one is done")
        assert counts(server, good)["done"] == 1
        assert results(tmp_path).total() == 1
    finally:
        server.kill()


@pytest.mark.slow
@pytest.mark.long
def test_a_server_that_was_stopped_for_longer_than_its_lease_writes_no_second_result(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    shared = {
        **PATIENT,
        "database_url": f"sqlite:///{tmp_path / 'cases.db'}",
        "ready_proof_sec": 3600,
    }
    stopped = ApiServer(tmp_path / "a", **shared)
    other = None
    try:
        stopped.wait_ready()
        job = submit(stopped, long_recording(0), long_recording(1))["id"]
        awaited(lambda: stopped.component("jobs")["at_work"] == 2, "both are at work")
        stopped.send(signal.SIGSTOP)
        other = ApiServer(tmp_path / "b", **shared)
        other.wait_ready()
        awaited(lambda: ended(other, job), "the other server ends the job", 240)
        stopped.send(signal.SIGCONT)
        awaited(
            lambda: sum("결과를 버림" in line for line in stopped.lines) == 2,
            "the stopped server learns that its leases are gone",
        )
        found = results(tmp_path)
        assert (len(found), set(found.values())) == (2, {1})
        assert all(one["tries"] == 2 for one in cases(other, job))
        assert counts(stopped, job)["done"] == 2
    finally:
        stopped.send(signal.SIGCONT)
        stopped.kill()
        if other is not None:
            other.kill()
