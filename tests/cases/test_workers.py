"""Real servers and workers of one store that are killed, stopped and cut off from it."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api_server.store.database import Where
from tests.support.jobs_in_store import PLACES
from tests.support.postgres import Postgres
from tests.support.server import ROOT, ApiServer, awaited
from tests.support.worker_process import WorkerProcess

pytestmark = pytest.mark.timeout(3600)

CLIP = (ROOT / "src/stt_engine/assets/canary.wav").read_bytes()
CALL = (ROOT / "audio/sample_call.wav").read_bytes()
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
LONG_SEC = 1500.0


class Receiver:
    """Takes webhooks, and notes under which ids they came."""

    def __init__(self) -> None:
        told = self.told = []  # type: list[tuple[str, dict[str, Any]]]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                told.append((self.headers["webhook-id"], json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_given: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def ids(self, event: str) -> dict[str, set[str]]:
        """Return the ids under which each case was told of."""
        found: dict[str, set[str]] = {}
        for identity, body in list(self.told):
            if body["type"] == event:
                found.setdefault(body["data"].get("case", ""), set()).add(identity)
        return found

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()


class House:
    """A server that takes jobs, and workers that do them, over one store and one folder."""

    def __init__(self, folder: Path, where: Where, **settings: object) -> None:
        self.folder = folder
        self.receiver = Receiver()
        url = f"sqlite:///{where}" if isinstance(where, Path) else where
        self.settings: dict[str, object] = {
            "database_url": url,
            "recordings_dir": folder / "recordings",
            "stt_home": folder,
            "jobs_lease_sec": 2,
            "jobs_at_once": 2,
            "jobs_max_tries": 50,
            "recordings_reserve_bytes": 0,
            "ready_proof_sec": 3600,
            "webhook_allowed_urls": self.receiver.url,
            "webhook_secrets": SECRET,
            **settings,
        }
        (folder / "server").mkdir()
        self.server = ApiServer(folder / "server", "--no-work", **self.settings)
        self.workers: list[WorkerProcess] = []

    def add(self, name: str) -> WorkerProcess:
        worker = WorkerProcess(self.folder / name, **self.settings)
        self.workers.append(worker)
        return worker

    def submit(self, *contents: bytes) -> str:
        files = [("file", (f"{n}.wav", one)) for n, one in enumerate(contents)]
        form = {"language": "auto", "webhook_url": self.receiver.url}
        with httpx2.Client(trust_env=False, timeout=120) as client:
            answer = client.post(f"{self.server.base}/jobs", data=form, files=files)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def job(self, job: str) -> dict[str, Any]:
        """Return a job; while the database is away, an empty one."""
        answer = self.server.get(f"/jobs/{job}")
        found: dict[str, Any] = answer.json() if answer.status_code == 200 else {"counts": {}}
        return found

    def done(self, job: str) -> int:
        return int(self.job(job)["counts"].get("done", 0))

    def until_done(self, job: str, wanted: int) -> None:
        awaited(lambda: self.done(job) >= wanted, f"{wanted} are done", LONG_SEC)

    def check(self, job: str, cases: int) -> None:
        """Hold every case to its promise: one result, told at least once, under one id."""
        awaited(lambda: self.job(job).get("state") == "done", "the job ends", LONG_SEC)
        assert self.done(job) == cases
        found = []
        cursor = ""
        while True:
            page = self.server.get(f"/cases?job={job}&limit=100{cursor}").json()
            found += page["cases"]
            if not page["next_cursor"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        numbers = Counter(one["id"] for one in found)
        assert (len(numbers), set(numbers.values())) == (cases, {1})
        for one in found:
            assert self.server.get(f"/cases/{one['id']}").json()["revision"] == 1
        awaited(lambda: self.receiver.ids("job.done"), "the job is told of")
        awaited(lambda: len(self.receiver.ids("case.done")) == cases, "each case is told of")
        assert {len(ids) for ids in self.receiver.ids("case.done").values()} == {1}
        assert len(self.receiver.ids("job.done")[""]) == 1

    def close(self) -> None:
        for one in self.workers:
            one.close()
        self.server.kill()
        self.receiver.close()


@contextlib.contextmanager
def house(folder: Path, where: Where, **settings: object) -> Iterator[House]:
    one = House(folder, where, **settings)
    try:
        yield one
    finally:
        one.close()


def recording(number: int) -> bytes:
    """Return three seconds of speech, with a content of its own."""
    return CLIP + number.to_bytes(2, "big")


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_are_killed_at_random_moments(
    tmp_path: Path, database_kind: str, workers: int, request: pytest.FixtureRequest
) -> None:
    is_long = request.config.getoption("--long")
    if not is_long and (database_kind, workers) != ("postgresql", 3):
        pytest.skip("only with --long: make test-long kills servers over SQLite")
    cases, kills = (200, 30) if is_long else (16, 3)
    chance = random.Random(20261201)
    with house(tmp_path, PLACES.where(tmp_path)) as found:
        job = found.submit(*(recording(n) for n in range(cases)))
        for number in range(workers):
            found.add(f"worker{number}")
        for number in range(kills):
            before = found.done(job)
            wanted = before + max(1, (cases - before) // (2 * (kills - number)))
            found.until_done(job, min(wanted, cases - workers))
            victim = chance.choice(found.workers)
            assert victim.end(signal.SIGKILL) == -signal.SIGKILL
            found.workers.remove(victim)
            found.add(victim.log.parent.name)
        found.check(job, cases)


def test_a_worker_that_was_stopped_and_one_that_is_ended_in_order(
    tmp_path: Path, postgres: Postgres
) -> None:
    PLACES.server = postgres
    try:
        with house(tmp_path, PLACES.where(tmp_path)) as found:
            stopped = found.add("stopped")
            stopped.wait_begun()
            job = found.submit(CALL + b"1", CALL + b"2")
            awaited(lambda: found.job(job)["counts"].get("running") == 2, "both are at work")
            stopped.process.send_signal(signal.SIGSTOP)
            other = found.add("other")
            awaited(lambda: found.done(job) == 2, "the other worker takes them up", LONG_SEC)
            stopped.process.send_signal(signal.SIGCONT)
            awaited(lambda: stopped.text.count("결과를 버림") == 2, "its results are not taken")
            found.check(job, 2)
            again = found.submit(CALL + b"3")
            awaited(lambda: found.job(again)["counts"].get("running") == 1, "it is at work")
            assert stopped.end(signal.SIGINT) == 130
            assert other.end(signal.SIGTERM) == -signal.SIGTERM
            assert "Traceback" not in stopped.text + other.text
            assert not stopped.alive.exists()
            (case,) = found.server.get(f"/cases?job={again}").json()["cases"]
            assert (case["state"], case["tries"]) == ("queued", 0), "ending in order is no try"
    finally:
        PLACES.clear()


def test_a_database_that_is_gone_for_a_while(tmp_path: Path) -> None:
    database = PLACES.server = Postgres()
    try:
        with house(tmp_path, PLACES.where(tmp_path)) as found:
            found.server.wait_ready()
            worker = found.add("worker")
            job = found.submit(CALL + b"1", *(recording(n) for n in range(4)))
            awaited(lambda: found.job(job)["counts"].get("running"), "some are at work")
            database.end()
            refused = found.server.get("/jobs")
            assert refused.status_code == 503, refused.text
            assert "a-secret" not in refused.text
            for _ in range(3):
                with httpx2.Client(trust_env=False, timeout=120) as client:
                    files = {"file": ("live.wav", CLIP)}
                    answer = client.post(f"{found.server.base}/transcribe", files=files)
                assert answer.status_code == 200, answer.text
                assert not answer.json()["is_dummy"], answer.text
            awaited(lambda: "저장소를 쓸 수 없음" in worker.text, "the worker says so")
            database.start()
            found.check(job, 5)
            assert "a-secret" not in worker.text + "".join(found.server.lines)
            assert worker.end(signal.SIGTERM) == -signal.SIGTERM
    finally:
        PLACES.close_stores()
        PLACES.names.clear()
        PLACES.clear()
        database.close()
