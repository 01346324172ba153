"""What calls that share a process do to each other: crashes in a row, growth, waiting too long."""

from __future__ import annotations

import signal

from api_server.drill.bench import CROWDED, LEAKING, PLAIN, Drill
from api_server.drill.processes import is_alive, send, stopped
from api_server.drill.promises import DUMMY, HONEST, RECOGNISED
from api_server.drill.scene import SLACK_SEC, Scene
from api_server.drill.worker_drills import at_work, recogniser

_LONG_TIMES = 12


def _quarantine(scene: Scene) -> None:
    recording = scene.clip("ends-it.wav", pause_ms=240)
    for end in ("first end", "second end"):
        with stopped(recogniser(scene)), scene.calling(upload=recording) as call:
            send(at_work(scene), signal.SIGKILL)
        scene.judge(end, HONEST, call.result())
    scene.judge("", DUMMY, scene.call(recording), SLACK_SEC)
    scene.judge("another recording", RECOGNISED, scene.call())


def _crash_loop(scene: Scene) -> None:
    """End the process at each start, before it has done anything."""
    healthy = scene.clip()
    many = [scene.clip(f"{n}.wav", pause_ms=280 + n, times=_LONG_TIMES) for n in range(3)]
    for number, recording in enumerate(many, 1):
        with scene.calling(upload=recording) as call:
            send(at_work(scene), signal.SIGKILL)
        scene.judge(f"end {number}", HONEST, call.result())
    scene.judge("", DUMMY, scene.call(healthy), SLACK_SEC)
    scene.judge("after its rest", RECOGNISED, scene.until_recognised(healthy))


def _leaking(scene: Scene) -> None:
    """Make every growth one too many: each call gets a process of its own."""
    scene.judge("", RECOGNISED, scene.call())
    before = recogniser(scene)
    scene.judge("the next call", RECOGNISED, scene.call())
    scene.check("the process is replaced", not is_alive(before), "the grown process is still there")


def _expired(scene: Scene) -> None:
    """Have a short call wait behind the stopped step of a long one."""
    scene.judge("before", RECOGNISED, scene.call())
    long, short = scene.clip("long.wav", times=_LONG_TIMES), scene.clip()
    with scene.calling(upload=long) as first, stopped(at_work(scene)):
        scene.judge("", DUMMY, scene.call(short), scene.bounds.recognition)
    scene.judge("the call it waited for", RECOGNISED, first.result())


DRILLS = (
    Drill(
        "recording that ends the process twice",
        DUMMY.words,
        _quarantine,
        PLAIN,
        ("RecordingQuarantined",),
    ),
    Drill("crash loop", DUMMY.words, _crash_loop, PLAIN, ("WorkerCrashLoop",)),
    Drill("recogniser leaks", RECOGNISED.words, _leaking, LEAKING),
    Drill("call waits too long", DUMMY.words, _expired, CROWDED, ("CallExpired",)),
)
