"""What jobs depend on fails: database, object store, workers, receivers of webhooks, the clock."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from stt_tools.drill import moved_clock, object_store, postgres, recordings
from stt_tools.drill.client import DrillError
from stt_tools.drill.experiment import Experiment
from stt_tools.drill.fault_server import FaultServer, answer, in_turn, serve_in_thread
from stt_tools.drill.job_calls import (
    DONE_SEC,
    UNAVAILABLE,
    await_done,
    await_in_hand,
    command,
    submit,
    take_away,
)
from stt_tools.drill.processes import LINUX, descendants, limit_resource, paused, send, wait_until
from stt_tools.drill.sandbox import START_SEC
from stt_tools.drill.scenario import Scenario, ServerProfile
from stt_tools.drill.surroundings import PROGRAM, many_machines, one_machine

_LEASE_SEC = "3"
ONE_MACHINE = ServerProfile("jobs", {"JOBS_LEASE_SEC": _LEASE_SEC}, around=one_machine)
MANY_MACHINES = ServerProfile(
    "many machines", {"JOBS_AT_ONCE": "1", "JOBS_LEASE_SEC": _LEASE_SEC}, around=many_machines
)

_SMALL_BYTES = 4096
_HOUR_SEC = 3600.0
_BOTH = 2
_TOLD_SEC = 30.0
_TOLD = ("case.done", "job.done")
"""The webhooks of a job of one case."""


def _job(experiment: Experiment) -> Any:  # noqa: ANN401 - an answer
    path = recordings.spoken(experiment.own_sandbox.audio / "job.wav")
    return submit(experiment, file_path=str(path))


def _locked(experiment: Experiment) -> None:
    """Lock the database from another process, as a copy or a repair by hand does."""
    database = experiment.own_sandbox.folder / "jobs.db"
    await_done(experiment, "before", _job(experiment))

    @contextmanager
    def locked() -> Iterator[None]:
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield

    take_away(experiment, "database", locked, lambda: _job(experiment))
    await_done(experiment, "afterwards", _job(experiment))


def _full(experiment: Experiment) -> None:
    """Let no file of the server grow, as on a full disk."""
    pid = experiment.server.process.pid
    path = recordings.spoken(experiment.own_sandbox.audio / "full.wav")
    await_done(experiment, "before", _job(experiment))
    take_away(
        experiment,
        "database",
        lambda: limit_resource(pid, "RLIMIT_FSIZE", _SMALL_BYTES),
        lambda: submit(experiment, file_path=str(path)),
    )
    await_done(experiment, "afterwards", submit(experiment, file_path=str(path)))


def _postgres(experiment: Experiment) -> None:
    server = experiment.around.database
    if server is None:
        raise DrillError("there is no PostgreSQL")

    @contextmanager
    def down() -> Iterator[None]:
        server.end()
        try:
            yield
        finally:
            server.start()

    take_away(experiment, "database", down, lambda: _job(experiment))
    await_done(experiment, "afterwards", _job(experiment))


def _objects(experiment: Experiment) -> None:
    server = experiment.around.objects
    if server is None:
        raise DrillError("there is no object store")
    clip = experiment.clip("object.wav", pause_ms=20)

    @contextmanager
    def away() -> Iterator[None]:
        server.stop()
        try:
            yield
        finally:
            server.start()

    take_away(experiment, "recordings", away, lambda: submit(experiment, clip))
    await_done(experiment, "afterwards", submit(experiment, clip))


def _worker_killed(experiment: Experiment) -> None:
    """Kill a worker that has a case in hand, as the server has; the server takes that up too."""
    with _worker(experiment) as worker:
        children = descendants(worker.pid)
        for child in children:
            send(child, signal.SIGSTOP)  # so that no case can end before the worker does
        with paused(_recogniser(experiment)):
            jobs = [_job(experiment) for _ in range(_BOTH)]
            for job in jobs:
                await_in_hand(experiment, job)
            send(worker.pid, signal.SIGKILL)
        for child in children:
            send(child, signal.SIGCONT)
    for number, job in enumerate(jobs, 1):
        await_done(experiment, f"case {number}", job)


@contextmanager
def _worker(experiment: Experiment) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker beside the server, from when it is ready."""
    sandbox = experiment.own_sandbox
    alive = sandbox.folder / "alive"
    alive.unlink(missing_ok=True)
    settings = {**MANY_MACHINES.settings, **experiment.around.settings}
    log = {"LOG_FILE": str(sandbox.folder / "worker.log")}
    process = subprocess.Popen(  # noqa: S603 - our own program
        [*PROGRAM, "work", "--alive", str(alive)],
        env=sandbox.environment({**settings, **log}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until("the worker is ready", lambda: _is_ready(alive), START_SEC)
        yield process
    finally:
        process.terminate()
        process.wait(START_SEC)


def _is_ready(alive: Path) -> bool:
    return alive.exists() and json.loads(alive.read_text("utf-8"))["ready"] is True


def _webhook(experiment: Experiment) -> None:
    """Have a receiver refuse for good; what it missed is sent again by command, and once."""
    port, since = experiment.around.receiver_port, len(experiment.server.lines)
    receiver = FaultServer(in_turn(*[answer(410)] * len(_TOLD), answer(204)), port=port)
    with serve_in_thread(receiver):
        path = recordings.spoken(experiment.own_sandbox.audio / "told.wav")
        url = f"http://127.0.0.1:{port}/calls"
        job = submit(experiment, file_path=str(path), webhook_url=url)
        await_done(experiment, "the job", job)
        experiment.server.wait_for_line(
            lambda line: "웹훅 전달 포기" in line and "job.done" in line, _TOLD_SEC, since
        )
        dead = command(experiment, "webhooks", "list", "--status", "dead")["webhooks"]
        refused = {one["id"] for one in dead}
        command(experiment, "webhooks", "resend", "--dead")
        wait_until("they are sent again", lambda: len(receiver.posts) == 2 * len(_TOLD), _TOLD_SEC)
        again = {one.headers["webhook-id"] for one in receiver.posts[len(_TOLD) :]}
    experiment.verify_condition(
        "sent again by command, under the same ids",
        again == refused and len(refused) == len(_TOLD),
        f"{again} and {refused}",
    )


def _clock(experiment: Experiment) -> None:
    """Move the server's clock while it has a case in hand: an hour on, then two back."""
    clock = experiment.around.clock
    if clock is None:
        raise DrillError("the server's clock cannot be moved")
    for number, (step, seconds) in enumerate(
        (("an hour on", _HOUR_SEC), ("two hours back", -_HOUR_SEC)), 1
    ):
        clip = experiment.clip(f"clock{number}.wav", pause_ms=300 + number)
        with paused(_recogniser(experiment)):
            job = submit(experiment, clip)
            await_in_hand(experiment, job)
            moved_clock.set_clock(clock, seconds)
            wait_until("its lease is renewed on the new clock", _renewed(experiment), DONE_SEC)
        await_done(experiment, step, job)
    moved_clock.set_clock(clock, 0.0)


def _renewed(experiment: Experiment) -> Callable[[], bool]:
    """Return what holds once a lease has been renewed: a third of one is over."""
    database = experiment.own_sandbox.folder / "jobs.db"
    query = "SELECT max(lease_until) FROM cases WHERE state = 'running'"
    with closing(sqlite3.connect(database)) as other:
        (before,) = other.execute(query).fetchone()

    def renewed() -> bool:
        with closing(sqlite3.connect(database)) as other:
            (now,) = other.execute(query).fetchone()
        return bool(now != before)

    return renewed


def _recogniser(experiment: Experiment) -> int:
    if not experiment.server.recogniser():
        experiment.call()
    return int(experiment.server.recogniser()["pid"])


def _linux() -> str | None:
    return None if LINUX else "limits can be put on a running process on Linux only"


SCENARIOS = (
    Scenario("database locked", UNAVAILABLE, _locked, ONE_MACHINE),
    Scenario("disk full for the database", UNAVAILABLE, _full, ONE_MACHINE, precondition=_linux),
    Scenario(
        "webhook refused",
        "given up, listed, sent again by command under its id",
        _webhook,
        ONE_MACHINE,
    ),
    Scenario(
        "clock jumps", "each case has one answer, none is lost or made twice", _clock, ONE_MACHINE
    ),
    Scenario(
        "PostgreSQL down", UNAVAILABLE, _postgres, MANY_MACHINES, precondition=postgres.why_absent
    ),
    Scenario(
        "object store gone",
        UNAVAILABLE,
        _objects,
        MANY_MACHINES,
        precondition=object_store.why_absent,
    ),
    Scenario(
        "worker killed (-9)",
        "the server takes its case up, which has one answer",
        _worker_killed,
        MANY_MACHINES,
    ),
)
