"""Resource exhaustion: time, memory, devices, disk space, the queue."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stt_tools.drill import recordings
from stt_tools.drill.expectations import (
    BUSY,
    DUMMY,
    NO_ROOM,
    RECOGNISED,
    Answer,
    Expectation,
    expect_that,
)
from stt_tools.drill.experiment import SLACK_SEC, Experiment
from stt_tools.drill.invariants import violations
from stt_tools.drill.processes import LINUX, limit_resource
from stt_tools.drill.scenario import (
    HURRIED,
    LITTLE_MEMORY,
    NO_DEVICE,
    PLAIN,
    SMALL,
    Scenario,
    ServerProfile,
)

_ROOM_BYTES = 50_000
_AT_ONCE = 6
_CROWD = 80
_BUSY = 429
_REFUSED_SEC = 5.0
_LARGE_BYTES = 2_000_000


def _plain(experiment: Experiment) -> None:
    experiment.verify("", DUMMY, experiment.call())


def _not_ready(experiment: Experiment) -> None:
    """Check readiness after the probe at the start failed."""
    experiment.server.wait_for_line(
        lambda raw: "CanaryFailed" in raw, experiment.bounds.recognition + SLACK_SEC
    )
    expectation = expect_that(
        "HTTP 503 with a reason",
        lambda one: (one.status, bool(one.body.get("reason"))) == (503, True),
    )
    experiment.verify("", expectation, experiment.target.get("/health/ready"), SLACK_SEC)


def _no_room_for_uploads(experiment: Experiment) -> None:
    large = recordings.raw(experiment.folder / "large.wav", recordings.clip() + bytes(_LARGE_BYTES))
    silent = experiment.ground_truth(speech=False)
    with limit_resource(experiment.server.process.pid, "RLIMIT_FSIZE", _ROOM_BYTES):
        experiment.verify("", NO_ROOM, experiment.call(), SLACK_SEC, silent)
        experiment.verify("a large one", NO_ROOM, experiment.call(large), SLACK_SEC, silent)
    experiment.verify("room again", RECOGNISED, experiment.call())


def _no_room_for_samples(experiment: Experiment) -> None:
    pid = int(experiment.server.component("audio")["pid"])
    with limit_resource(pid, "RLIMIT_FSIZE", _ROOM_BYTES):
        experiment.verify("", DUMMY, experiment.call(), experiment.bounds.recognition)
    experiment.verify("room again", RECOGNISED, experiment.call())


def _no_room_for_the_log(experiment: Experiment) -> None:
    """Make a call with the log file at /dev/full, where no line can be written."""
    answer = experiment.call()
    experiment.verify("", RECOGNISED, answer)
    records = [
        one for one in experiment.server.records(0) if one["request_id"] == answer.request_id
    ]
    done = any(one["component"] == "Transcribe" for one in records)
    experiment.verify_condition("stdout has every line", done, "the call is not on stdout")


def _queue(experiment: Experiment) -> None:
    """Send more calls at once than the queue takes; an external server's limit is not known."""
    clip, many = experiment.clip(), _AT_ONCE if experiment.sandbox else _CROWD
    with ThreadPoolExecutor(many) as pool:
        answers = list(pool.map(lambda _: experiment.call(clip), range(many)))
    refused = [one for one in answers if one.status == _BUSY]
    let_in = [one for one in answers if one.status != _BUSY]
    if not refused and experiment.sandbox is None:
        experiment.skip(BUSY, f"{many} calls at once did not fill its queue", "QueueFull")
        return
    _verify_worst(experiment, "refused", BUSY, refused, _REFUSED_SEC)
    _verify_worst(experiment, "let in", RECOGNISED, let_in, experiment.bounds.recognition * many)


def _verify_worst(
    experiment: Experiment,
    step: str,
    expectation: Expectation,
    group: list[Answer],
    bound_sec: float,
) -> None:
    """Verify the answer that meets the fewest conditions, and of those the slowest."""
    nobody = Answer(0, {"error": f"nobody was {step}"}, 0.0)
    truth = experiment.ground_truth(speech=expectation is RECOGNISED)

    def badness(one: Answer) -> tuple[int, float]:
        return len(expectation.missing(one)) + len(violations(one, truth)), one.took_sec

    worst = max(group, key=badness, default=nobody)
    experiment.verify(f"{len(group)} {step}", expectation, worst, bound_sec, truth)


def _has_device() -> str | None:
    return "a GPU is here" if shutil.which("nvidia-smi") else None


def _linux() -> str | None:
    return None if LINUX else "limits can be put on a running process on Linux only"


def _has_full_device() -> str | None:
    return None if Path("/dev/full").exists() else "there is no /dev/full here"


def _scenario(name: str, profile: ServerProfile, covers: str, shows: str = "") -> Scenario:
    return Scenario(name, DUMMY.description, _plain, profile, (covers,), (shows,) if shows else ())


SCENARIOS = (
    Scenario(
        "disk full for uploads",
        NO_ROOM.description,
        _no_room_for_uploads,
        PLAIN,
        precondition=_linux,
    ),
    Scenario(
        "disk full for samples",
        DUMMY.description,
        _no_room_for_samples,
        PLAIN,
        ("WorkspaceError",),
        precondition=_linux,
    ),
    Scenario(
        "disk full for the log",
        RECOGNISED.description,
        _no_room_for_the_log,
        SMALL,
        precondition=_has_full_device,
    ),
    Scenario(
        "queue full",
        BUSY.description,
        _queue,
        SMALL,
        ("QueueFull",),
        ("The queue is full",),
        external=True,
    ),
    Scenario("not ready is said", "HTTP 503 with a reason", _not_ready, HURRIED, ("CanaryFailed",)),
    _scenario("time runs out", HURRIED, "DeadlineExceeded", "Time runs out"),
    Scenario(
        "memory runs out",
        DUMMY.description,
        _plain,
        LITTLE_MEMORY,
        ("OutOfMemory",),
        ("Memory runs out", "loading a model"),
        precondition=_linux,
    ),
    Scenario(
        "no GPU",
        DUMMY.description,
        _plain,
        NO_DEVICE,
        ("DeviceUnavailable",),
        ("There is no GPU",),
        precondition=_has_device,
    ),
)
