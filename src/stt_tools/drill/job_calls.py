"""Jobs as a client sends and follows them, for the scenarios about what jobs depend on."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from stt_tools.drill import recordings
from stt_tools.drill.expectations import RECOGNISED, Answer, Expectation, expect_that, refused
from stt_tools.drill.experiment import Experiment
from stt_tools.drill.processes import wait_until

REFUSED_SEC = 40.0
"""Bound on a job's refusal: a lock, or a store that gives no answer, is waited for."""

HEALTH_SEC = 45.0
"""Bound on `/health` knowing it, or knowing that it is over."""

DONE_SEC = 60.0
_ACCEPTED = 202

TAKEN = expect_that("HTTP 202, the job is taken", lambda one: one.status == _ACCEPTED)
_GONE = refused(503, "jobs-unavailable")

Fault = Callable[[], AbstractContextManager[object]]


def submit(experiment: Experiment, upload: Path | None = None, **form: str) -> Answer:
    """Send a job of one recording: ``upload``, or what the form names."""
    fields = {"language": recordings.language(), **form}
    return experiment.target.post("/jobs", fields, upload)


def case_of(experiment: Experiment, job: Answer) -> dict[str, Any]:
    """Return the one case of a job as it is now."""
    path = f"/cases?job={job.body.get('id')}"
    (found,) = experiment.target.get(path).body.get("cases", [{}])
    case: dict[str, Any] = found
    return case


def await_in_hand(experiment: Experiment, job: Answer) -> None:
    """Wait until somebody works on the case of a job."""
    wait_until(
        "the case is in hand",
        lambda: case_of(experiment, job).get("state") == "running",
        DONE_SEC,
    )


def await_done(experiment: Experiment, step: str, job: Answer) -> None:
    """Wait until the case of a job has ended, and verify that it has its one answer."""
    experiment.verify(f"{step}: taken", TAKEN, job, REFUSED_SEC, _silent(experiment))
    wait_until(
        "the job is done",
        lambda: case_of(experiment, job).get("ended_at") is not None,
        DONE_SEC,
    )
    case = experiment.target.get(f"/cases/{case_of(experiment, job)['id']}").body
    told = f"it is {case.get('state')}, revision {case.get('revision')}"
    one = (case.get("state"), case.get("revision")) == ("done", 1)
    experiment.verify_condition(f"{step}: done, with one answer", one, told)


def take_away(
    experiment: Experiment, component: str, fault: Fault, job: Callable[[], Answer]
) -> None:
    """Have what jobs depend on fail: jobs are refused, calls are not, and health says which."""
    with fault():
        found = job()
        experiment.verify("a job", _GONE, found, REFUSED_SEC, _silent(experiment))
        live = recordings.spoken(experiment.own_sandbox.audio / "live.wav")
        answer = experiment.call(file_path=str(live))
        experiment.verify("a call meanwhile", RECOGNISED, answer)
        took = wait_until("health says it", lambda: _failing(experiment, component), HEALTH_SEC)
        experiment.verify_duration(
            "said on /health", f"{component} is failing, since when and why", took, HEALTH_SEC
        )
    took = wait_until("it is over", lambda: not _failing(experiment, component), HEALTH_SEC)
    experiment.verify_duration("over", f"/health shows {component} as ok", took, HEALTH_SEC)


def _failing(experiment: Experiment, name: str) -> bool:
    found = experiment.server.component(name)
    return found.get("state") == "failing" and bool(found.get("since") and found.get("reason"))


def _silent(experiment: Experiment) -> Any:  # noqa: ANN401 - ground truth
    return experiment.ground_truth(speech=False)


def command(experiment: Experiment, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    """Run a command of the program on the server's store, and return what it prints."""
    ran = experiment.own_sandbox.run(*arguments, "--json", **dict(experiment.around.settings))
    return json.loads(ran.stdout)


def settled(expectation: Expectation) -> str:
    """Return the words of a scenario about what jobs depend on."""
    return f"jobs: {expectation.description}; calls as ever; /health says it"


UNAVAILABLE = settled(_GONE)
