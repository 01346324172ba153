"""A process that takes a job, works on it and tells of it, and kills itself at one step of that."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from api_server.store.database import Where
from api_server.store.records import Ending, NewJob, ProofFiles
from api_server.store.store import Store
from tests.support.jobs_in_store import folder_at, new_job

LEASE_SEC = 0.5
URL = "https://example.com/hook"
CONTENT = b"a recording"
_STORE = "api_server.store"

Step = tuple[str, Literal["before", "after"]]

CALLS = (
    f"{_STORE}.recordings:RecordingFolder.receive",
    f"{_STORE}.recordings:RecordingFolder.keep_all",
    f"{_STORE}.jobs:insert_job",
    f"{_STORE}.store:Store.submit",
    f"{_STORE}.leases:claim",
    f"{_STORE}.store:Store.claim",
    f"{_STORE}.store:Store.renew",
    f"{_STORE}.leases:finish_all",
    f"{_STORE}.leases:add_revisions",
    f"{_STORE}.audit_log:record_all",
    f"{_STORE}.webhooks:tell_cases",
    f"{_STORE}.recordings:RecordingFolder.remove",
    f"{_STORE}.store:Store.finish",
    f"{_STORE}.outbox:Outbox.claim",
    f"{_STORE}.outbox:Outbox.note_delivered",
)
"""What is called on the way of a case; what is called within a transaction is not committed yet."""

STEPS: tuple[Step, ...] = tuple((call, when) for call in CALLS for when in ("before", "after"))


def open_store(where: Where, folder: Path) -> Store:
    """Open the store; its time is the database's."""
    proof = ProofFiles.beside(folder / "cases.db")
    return Store(where, folder_at(folder), proof=proof)


def job_at(folder: Path) -> NewJob:
    """Return the job; sent twice it is one."""
    job = new_job(folder, CONTENT, key="once")
    return NewJob("", "{}", "{}", 5, job.cases, "a", "once", webhook_url=URL)


def work(store: Store, deliver: Callable[[str, str], object]) -> None:
    """Do what there is to do, as a worker does."""
    for claimed in store.claim(LEASE_SEC, 9):
        store.renew([claimed.token], LEASE_SEC)
        store.finish(claimed, Ending("done", '{"text": "said"}', 1.0))
    for webhook in store.outbox.claim(LEASE_SEC, 9):
        deliver(webhook.id, webhook.event)
        store.outbox.note_delivered(webhook)


def die_at(where: Where, folder: Path, step: Step) -> None:
    """Do all of it, up to a step; whoever calls is a process of its own."""
    _arm(step)
    store = open_store(where, folder)
    store.submit(job_at(folder))
    work(store, partial(_note, folder / "delivered"))


def _note(file: Path, identity: str, event: str) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(f"{identity} {event}\n")


def _arm(step: Step) -> None:
    (module, _, name), when = step[0].partition(":"), step[1]
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for one in path:
        owner = getattr(owner, one)
    call = getattr(owner, last)

    def dying(*given: Any, **named: Any) -> Any:
        if when == "after":
            call(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, last, dying)
