"""Something runs out: time, memory, devices, disk space, places in the queue."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from api_server.drill import recordings
from api_server.drill.bench import (
    HURRIED,
    LITTLE_MEMORY,
    NO_DEVICE,
    PLAIN,
    SMALL,
    Bench,
    Drill,
)
from api_server.drill.honesty import lies
from api_server.drill.processes import LINUX, limited
from api_server.drill.promises import BUSY, DUMMY, NO_ROOM, RECOGNISED, Answer, Promise, of
from api_server.drill.scene import SLACK_SEC, Scene

_ROOM_BYTES = 50_000
_AT_ONCE = 6
_CROWD = 80
_BUSY = 429
_REFUSED_SEC = 5.0
_LARGE_BYTES = 2_000_000


def _plain(scene: Scene) -> None:
    scene.judge("", DUMMY, scene.call())


def _not_ready(scene: Scene) -> None:
    """Ask after the proof that failed at the start."""
    scene.server.line(lambda raw: "CanaryFailed" in raw, scene.bounds.recognition + SLACK_SEC)
    promise = of(
        "HTTP 503 with a reason",
        lambda one: (one.status, bool(one.body.get("reason"))) == (503, True),
    )
    scene.judge("", promise, scene.target.get("/health/ready"), SLACK_SEC)


def _no_room_for_uploads(scene: Scene) -> None:
    large = recordings.raw(scene.folder / "large.wav", recordings.clip() + bytes(_LARGE_BYTES))
    silent = scene.truth(heard=False)
    with limited(scene.server.process.pid, "RLIMIT_FSIZE", _ROOM_BYTES):
        scene.judge("", NO_ROOM, scene.call(), SLACK_SEC, silent)
        scene.judge("a large one", NO_ROOM, scene.call(large), SLACK_SEC, silent)
    scene.judge("room again", RECOGNISED, scene.call())


def _no_room_for_samples(scene: Scene) -> None:
    pid = int(scene.server.component("audio")["pid"])
    with limited(pid, "RLIMIT_FSIZE", _ROOM_BYTES):
        scene.judge("", DUMMY, scene.call(), scene.bounds.recognition)
    scene.judge("room again", RECOGNISED, scene.call())


def _no_room_for_the_log(scene: Scene) -> None:
    """Make a call whose every line cannot be written: the log file is /dev/full."""
    answer = scene.call()
    scene.judge("", RECOGNISED, answer)
    told = [one for one in scene.server.records(0) if one["request_id"] == answer.request_id]
    done = any(one["component"] == "Transcribe" for one in told)
    scene.check("stdout has every line", done, "the call is not on stdout")


def _queue(scene: Scene) -> None:
    """Send more at once than may be inside and wait; somebody else's limit is not known."""
    clip, many = scene.clip(), _AT_ONCE if scene.sandbox else _CROWD
    with ThreadPoolExecutor(many) as pool:
        answers = list(pool.map(lambda _: scene.call(clip), range(many)))
    refused = [one for one in answers if one.status == _BUSY]
    let_in = [one for one in answers if one.status != _BUSY]
    if not refused and scene.sandbox is None:
        scene.skip(BUSY, f"{many} calls at once did not fill its queue", "QueueFull")
        return
    _judge_worst(scene, "refused", BUSY, refused, _REFUSED_SEC)
    _judge_worst(scene, "let in", RECOGNISED, let_in, scene.bounds.recognition * many)


def _judge_worst(
    scene: Scene, step: str, promise: Promise, group: list[Answer], bound_sec: float
) -> None:
    """Judge the one that kept least of the promise, and of those the slowest."""
    nobody = Answer(0, {"error": f"nobody was {step}"}, 0.0)
    truth = scene.truth(heard=promise is RECOGNISED)

    def badness(one: Answer) -> tuple[int, float]:
        return len(promise.missing(one)) + len(lies(one, truth)), one.took_sec

    worst = max(group, key=badness, default=nobody)
    scene.judge(f"{len(group)} {step}", promise, worst, bound_sec, truth)


def _has_device() -> str | None:
    return "a GPU is here" if shutil.which("nvidia-smi") else None


def _linux() -> str | None:
    return None if LINUX else "limits can be put on a running process on Linux only"


def _has_full_device() -> str | None:
    return None if Path("/dev/full").exists() else "there is no /dev/full here"


def _drill(name: str, bench: Bench, covers: str, shows: str = "") -> Drill:
    return Drill(name, DUMMY.words, _plain, bench, (covers,), (shows,) if shows else ())


DRILLS = (
    Drill(
        "disk full for uploads",
        NO_ROOM.words,
        _no_room_for_uploads,
        PLAIN,
        needs=_linux,
    ),
    Drill(
        "disk full for samples",
        DUMMY.words,
        _no_room_for_samples,
        PLAIN,
        ("WorkspaceError",),
        needs=_linux,
    ),
    Drill(
        "disk full for the log",
        RECOGNISED.words,
        _no_room_for_the_log,
        SMALL,
        needs=_has_full_device,
    ),
    Drill(
        "queue full",
        BUSY.words,
        _queue,
        SMALL,
        ("QueueFull",),
        ("The queue is full",),
        outside=True,
    ),
    Drill("not ready is said", "HTTP 503 with a reason", _not_ready, HURRIED, ("CanaryFailed",)),
    _drill("time runs out", HURRIED, "DeadlineExceeded", "Time runs out"),
    Drill(
        "memory runs out",
        DUMMY.words,
        _plain,
        LITTLE_MEMORY,
        ("OutOfMemory",),
        ("Memory runs out", "loading a model"),
        needs=_linux,
    ),
    Drill(
        "no GPU",
        DUMMY.words,
        _plain,
        NO_DEVICE,
        ("DeviceUnavailable",),
        ("There is no GPU",),
        needs=_has_device,
    ),
)
