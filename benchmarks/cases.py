"""What the store of cases costs: the part of a job that is not recognition, and a page of a list.

``python benchmarks/cases.py [--postgres] [--jobs N] [--cases N] [--at-once N]``

One job of ``--jobs`` uploads is taken, and worked off by the real runner with a recogniser that
answers at once: all that is measured is the engine's own (claims, leases, results, the log, the
removal of recordings), thousand by thousand: the cost has to be flat. Then pages of ``--cases``
cases of a thousand jobs are listed, and the queue of reviewers with them. Exit code 1 where a case
takes the engine's processor more than 10 ms, a last thousand a fifth more than the first, taking
the job longer than a request may, or a page (p95) more than 100 ms.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import psutil
from sqlalchemy import func, insert, select, text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from api_server.jobs.desk import DATABASE_SEC, JobDesk, Records
from api_server.jobs.events import CaseEnded
from api_server.jobs.runner import JobRunner, JobTerms
from api_server.pipeline.result import CallResult
from api_server.store.database import Database, Where
from api_server.store.records import NewCase, NewJob, ProofFiles
from api_server.store.review_records import CaseFilter
from api_server.store.schema import JOBS
from api_server.store.store import Store
from stt_engine.events import Event
from stt_engine.outcome import Outcome
from stt_engine.result import Transcript
from tests.support.jobs_in_store import folder_at, repair_terms
from tests.support.postgres import Postgres, why_absent

SAID = CallResult(Outcome(Transcript("안녕하세요 " * 40, "ko", 1.0, "speech"), "faster-whisper"))
BOUND_MS, PAGE_MS, GROWTH = 10.0, 100.0, 1.2
_PAGE, _PAGES, _JOBS_OF_LIST = 100, 200, 1000
_ELEMENTS = 16


class Instant:
    """A recogniser that has always just finished."""

    async def run(self, _request: object) -> CallResult:
        """Return what was said."""
        return SAID


@asynccontextmanager
async def _never(_path: str, _shown: str) -> AsyncIterator[Path]:
    raise AssertionError
    yield


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds that had gone by when a case ended: on the clock, and of processors' work."""

    clock: float
    engine: float
    database: float


def moment(server: Postgres | None) -> Moment:
    """Return the moment; the database's processor time is that of its open connections."""
    busy = 0.0
    if server is not None and server.process is not None:
        for one in psutil.Process(server.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                busy += sum(one.cpu_times()[:2])
    return Moment(time.perf_counter(), time.process_time(), busy)


async def work_off(
    where: Where, folder: Path, jobs: int, at_once: int, server: Postgres | None
) -> tuple[float, list[Moment]]:
    """Return the seconds that taking the job took, and a moment before each thousand and after."""
    each = min(1000, jobs)
    ended = 0
    moments: list[Moment] = []
    done = anyio.Event()

    def watch(event: Event) -> None:
        nonlocal ended
        if isinstance(event, CaseEnded):
            ended += 1
            if ended % each == 0:
                moments.append(moment(server))
                print(ended, moments[-1], file=sys.stderr, flush=True)
            if ended == jobs:
                done.set()

    records = Records(proof=ProofFiles.beside(folder / "cases.db"))
    desk = JobDesk(where, folder_at(folder), [watch], records)
    received = [folder_at(folder).receive(io.BytesIO(f"{n}".encode())) for n in range(jobs)]
    cases = tuple(NewCase(f"{one.sha256[:8]}.wav", one) for one in received)
    store = Store(where, folder_at(folder), proof=records.proof)
    began = time.perf_counter()
    store.submit(NewJob("", "{}", "{}", 5, cases, "a"))
    taken = time.perf_counter() - began
    store.close()
    await desk.run(lambda store: store.backlog(), make=True)
    terms = JobTerms(at_once, 30.0, 3, 0, lambda _url: True, repair_terms())
    instant: Any = Instant()
    runner = JobRunner(desk, instant, terms, lambda: True, [watch])
    moments.append(moment(server))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run, _never)
        await done.wait()
        tasks.cancel_scope.cancel()
    await desk.run(lambda store: store.ledger.checkpoint())
    report = await desk.run(lambda store: store.ledger.verify())
    assert (report.entries, report.faults) == (jobs, ())
    assert folder_at(folder).on_disk() == set()
    desk.close()
    return taken, moments


_FILL = """
    INSERT INTO cases (id, job_seq, name, path, bytes, priority, tries, not_before, state,
        received_at, ended_at, audio_sec)
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {cases})
    SELECT 'c-' || i, {first} + i % {jobs}, 'a.wav', '/a.wav', 1, 5, 1, 0,
        CASE WHEN i * 7 % 1009 = 0 THEN 'failed' ELSE 'done' END, i, i + 60, 1 FROM n;
    INSERT INTO review_cases (case_seq, revision, rank, degraded, warnings, state, wanted,
        received_at, week, agent, product)
    SELECT seq, 1, seq * 7919 % 1000 / 1000.0, seq % 50 = 0, seq % 3,
        CASE WHEN seq % 20 = 0 THEN 'open' WHEN seq % 99 = 0 THEN 'second'
            WHEN seq % 3 = 0 THEN 'settled' ELSE 'none' END,
        1, received_at, seq / 20000, 'agent ' || (seq % 200), 'product ' || (seq % 9) FROM cases;
    INSERT INTO review_findings (case_seq, element, kind, status, wanted, state)
    SELECT case_seq, 'element ' || ((case_seq + part) % {elements}), 'prohibited',
        CASE WHEN part = 0 THEN 'violated' ELSE 'not_found' END, part = 0,
        CASE WHEN part = 0 THEN state ELSE 'none' END
    FROM review_cases, (SELECT 0 AS part UNION SELECT 1 UNION SELECT 2) parts;
    ANALYZE
"""
"""Cases of jobs that have come by turns: those of one job are far from each other."""


def fill(database: Database, cases: int) -> None:
    """Put a thousand jobs with ended cases into the tables, as reviewers have them."""
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        jobs = [
            {
                "id": f"job-{n}", "owner": f"key{n % 7}", "request_sha256": "a", "options": "{}",
                "metadata": "{}", "priority": 5, "created_at": 1.0,
                "cases": max(1, cases // _JOBS_OF_LIST),
            }
            for n in range(_JOBS_OF_LIST)
        ]  # fmt: skip
        connection.execute(insert(JOBS), jobs)
        first = connection.execute(select(func.min(JOBS.c.seq))).scalar_one()
        values = {"cases": cases, "first": first, "jobs": _JOBS_OF_LIST, "elements": _ELEMENTS}
        for statement in _FILL.format(**values).split(";"):
            connection.execute(text(statement))


def pages(store: Store, cases: int) -> dict[str, float]:
    """Return the p95 of a page in ms, by what was asked for."""
    chance = random.Random(2)
    last = store.list_cases(None, 1, None)[0].seq

    def anywhere() -> int:
        return last - chance.randrange(cases)

    def queue(after: tuple[float, int] | None, **wanted: Any) -> object:  # noqa: ANN401
        return store.reviews.list(CaseFilter(**wanted), 51, after)

    asked: dict[str, Callable[[], object]] = {
        "cases": lambda: store.list_cases(None, _PAGE, anywhere()),
        "cases of a key": lambda: store.list_cases("key3", _PAGE, anywhere()),
        "cases of a job": lambda: store.list_cases(None, _PAGE, None, f"job-{anywhere() % 1000}"),
        "failed cases": lambda: store.list_cases(None, _PAGE, anywhere(), None, "failed"),
        "queued cases": lambda: store.list_cases(None, _PAGE, None, None, "queued"),
        "jobs": lambda: store.list_jobs(None, 50, None),
        "backlog": store.backlog,
        "queue": lambda: queue(None),
        "queue behind": lambda: queue((chance.random(), last)),
        "queue, open": lambda: queue((chance.random(), last), state="open"),
        "queue of a job": lambda: queue(None, job=f"job-{anywhere() % 1000}"),
        "queue of an agent": lambda: queue(None, agent=f"agent {anywhere() % 200}"),
        "queue of an element": lambda: queue(
            None, element=f"element {anywhere() % _ELEMENTS}", status="violated"
        ),
        "queue of a day": lambda: queue(None, since=float(last // 2), until=last // 2 + 5000.0),
        "queue, counts": store.reviews.count,
        "queue, names": store.reports.names,
        "queue, next": lambda: store.reviews.take_next("kim", 60.0, senior=True),
    }
    return {name: _p95(ask) for name, ask in asked.items()}


def _p95(ask: Callable[[], object]) -> float:
    took = []
    for _ in range(_PAGES):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1000)
    return round(float(np.percentile(took, 95)), 1)


def measure(
    where: Where, lists: Where, folder: Path, options: argparse.Namespace, server: Postgres | None
) -> dict[str, Any]:
    """Measure one database."""
    found: dict[str, Any] = {}
    if options.jobs:
        taken, moments = anyio.run(work_off, where, folder, options.jobs, options.at_once, server)
        found["taken_sec"] = round(taken, 2)
        each = options.jobs / (len(moments) - 1)
        for what in ("clock", "engine", "database"):
            times = [getattr(one, what) for one in moments]
            found[f"{what}_ms_a_case"] = [
                round((end - begin) / each * 1000, 2) for begin, end in pairwise(times)
            ]
    if options.cases:
        (folder / "lists").mkdir()
        proof = ProofFiles.beside(folder / "lists/cases.db")
        store = Store(lists, folder_at(folder / "lists"), proof=proof)
        database = Database(lists)
        fill(database, options.cases)
        database.close()
        found["page_p95_ms"] = pages(store, options.cases)
        store.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--postgres", action="store_true", help="a server of its own; else SQLite")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--cases", type=int, help="in lists (1,000,000, with SQLite 100,000)")
    parser.add_argument("--at-once", type=int, default=4)
    options = parser.parse_args()
    if options.cases is None:
        options.cases = 1_000_000 if options.postgres else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.postgres:
            if reason := why_absent():
                print(reason)
                return 1
            server = Postgres()
            try:
                found = measure(server.make("work"), server.make("lists"), folder, options, server)
            finally:
                server.close()
        else:
            found = measure(folder / "cases.db", folder / "lists.db", folder, options, None)
    print(json.dumps(found, indent=2))
    engine = found.get("engine_ms_a_case", [0.0])
    kept = float(np.mean(engine)) <= BOUND_MS and found.get("taken_sec", 0) <= DATABASE_SEC
    flat = engine[-1] <= GROWTH * engine[0]
    quick = max(found.get("page_p95_ms", {"": 0.0}).values()) <= PAGE_MS
    return 0 if kept and flat and quick else 1


if __name__ == "__main__":
    sys.exit(main())
