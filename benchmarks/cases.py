"""What the store of cases costs: the part of a job that is not recognition, and a page of a list.

``python benchmarks/cases.py [--postgres] [--jobs N] [--cases N] [--at-once N]``

``--jobs`` cases of one job are worked off by the real runner and sender with a recogniser that
answers at once: all that is measured is the engine's own (claims, leases, results, the log, the
removal of recordings). The first and the last tenth are compared: the cost has to be flat. Then
``--cases`` cases of a thousand jobs are listed page by page. Exit code 1 where a case costs more
than 10 ms, the last tenth a fifth more than the first, or a page (p95) more than 100 ms.
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
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from sqlalchemy import insert, text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from api_server.jobs.desk import JobDesk, Records
from api_server.jobs.events import CaseEnded
from api_server.jobs.runner import JobRunner, JobTerms
from api_server.pipeline.result import CallResult
from api_server.store.database import Database, Where
from api_server.store.records import NewCase, NewJob, ProofFiles
from api_server.store.schema import CASES, JOBS
from api_server.store.store import Store
from stt_engine.events import Event
from stt_engine.outcome import Outcome
from stt_engine.result import Transcript
from tests.support.jobs_in_store import folder_at, repair_terms
from tests.support.postgres import Postgres, why_absent

SAID = CallResult(Outcome(Transcript("안녕하세요 " * 40, "ko", 1.0, "speech"), "faster-whisper"))
BOUND_MS, PAGE_MS, GROWTH = 10.0, 100.0, 1.2
_CASES_OF_JOB = 250
_PAGE, _PAGES, _JOBS_OF_LIST = 100, 200, 1000
_AT_ONCE_ROWS = 5000


class Instant:
    """A recogniser that has always just finished."""

    async def run(self, _request: object) -> CallResult:
        """Return what was said."""
        return SAID


@asynccontextmanager
async def _never(_path: str, _shown: str) -> AsyncIterator[Path]:
    raise AssertionError
    yield


async def work_off(
    where: Where, folder: Path, jobs: int, at_once: int
) -> tuple[list[float], float]:
    """Return when each case ended in seconds from the beginning, and the processor's seconds."""
    ended: list[float] = []
    done = anyio.Event()

    def watch(event: Event) -> None:
        if isinstance(event, CaseEnded):
            ended.append(time.perf_counter())
            if len(ended) == jobs:
                done.set()

    records = Records(proof=ProofFiles.beside(folder / "cases.db"))
    desk = JobDesk(where, folder_at(folder), [watch], records)
    store = Store(where, folder_at(folder), proof=records.proof)
    for begin in range(0, jobs, _CASES_OF_JOB):
        numbers = range(begin, min(jobs, begin + _CASES_OF_JOB))
        received = [folder_at(folder).receive(io.BytesIO(f"{n}".encode())) for n in numbers]
        cases = tuple(NewCase(f"{one.sha256[:8]}.wav", one) for one in received)
        store.submit(NewJob("", "{}", "{}", 5, cases, "a"))
    store.close()
    await desk.run(lambda store: store.backlog(), make=True)
    terms = JobTerms(at_once, 30.0, 3, 0, lambda _url: True, repair_terms())
    instant: Any = Instant()
    runner = JobRunner(desk, instant, terms, lambda: True, [watch])
    began, busy = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run, _never)
        await done.wait()
        tasks.cancel_scope.cancel()
    busy = time.process_time() - busy
    desk.close()
    return [one - began for one in ended], busy


def fill(database: Database, cases: int) -> None:
    """Put a thousand jobs with ended cases into the tables."""
    each = max(1, cases // _JOBS_OF_LIST)
    states = random.Random(1)
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        jobs = [
            {
                "id": f"job-{n}", "owner": f"key{n % 7}", "request_sha256": "a", "options": "{}",
                "metadata": "{}", "priority": 5, "created_at": 1.0, "cases": each,
            }
            for n in range(_JOBS_OF_LIST)
        ]  # fmt: skip
        connection.execute(insert(JOBS), jobs)
        seqs = list(connection.execute(JOBS.select().where(JOBS.c.id.like("job-%"))).scalars())
        rows: list[dict[str, object]] = []
        for number in range(cases):
            rows.append(
                {
                    "id": f"c-{number}", "job_seq": seqs[number % len(seqs)], "name": "a.wav",
                    "path": "/a.wav", "bytes": 1, "priority": 5, "tries": 1, "not_before": 0.0,
                    "state": "failed" if states.random() < 0.001 else "done",
                    "received_at": 1.0, "ended_at": 2.0, "audio_sec": 1.0,
                }
            )  # fmt: skip
            if len(rows) == _AT_ONCE_ROWS or number == cases - 1:
                connection.execute(insert(CASES), rows)
                rows = []
        connection.execute(text("ANALYZE"))


def pages(store: Store, cases: int) -> dict[str, float]:
    """Return the p95 of a page in ms, by what was asked for."""
    chance = random.Random(2)
    last = store.list_cases(None, 1, None)[0].seq

    def anywhere() -> int:
        return last - chance.randrange(cases)

    asked: dict[str, Callable[[], object]] = {
        "cases": lambda: store.list_cases(None, _PAGE, anywhere()),
        "cases of a key": lambda: store.list_cases("key3", _PAGE, anywhere()),
        "cases of a job": lambda: store.list_cases(None, _PAGE, None, f"job-{anywhere() % 1000}"),
        "failed cases": lambda: store.list_cases(None, _PAGE, anywhere(), None, "failed"),
        "queued cases": lambda: store.list_cases(None, _PAGE, None, None, "queued"),
        "jobs": lambda: store.list_jobs(None, 50, None),
        "backlog": store.backlog,
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
    where: Where, lists: Where, folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure one database."""
    found: dict[str, Any] = {}
    if options.jobs:
        ended, busy = anyio.run(work_off, where, folder, options.jobs, options.at_once)
        found["processor_ms_a_case"] = round(busy / len(ended) * 1000, 2)
        tenth = max(1, len(ended) // 10)
        found["ms_a_case"] = round(ended[-1] / len(ended) * 1000, 2)
        found["first_tenth_ms"] = round(ended[tenth - 1] / tenth * 1000, 2)
        found["last_tenth_ms"] = round((ended[-1] - ended[-tenth - 1]) / tenth * 1000, 2)
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
                found = measure(server.make("work"), server.make("lists"), folder, options)
            finally:
                server.close()
        else:
            found = measure(folder / "cases.db", folder / "lists.db", folder, options)
    print(json.dumps(found, indent=2))
    kept = found.get("ms_a_case", 0) <= BOUND_MS
    flat = found.get("last_tenth_ms", 0) <= GROWTH * found.get("first_tenth_ms", 1)
    quick = max(found.get("page_p95_ms", {"": 0.0}).values()) <= PAGE_MS
    return 0 if kept and flat and quick else 1


if __name__ == "__main__":
    sys.exit(main())
