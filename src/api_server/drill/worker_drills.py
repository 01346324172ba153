"""Processes are killed or hang: the recogniser, the decoder, and the server itself."""

from __future__ import annotations

import signal
import subprocess
import time

from api_server.drill import scorecard
from api_server.drill.bench import PLAIN, SMALL, Drill
from api_server.drill.processes import awaited, descendants, is_alive, send, stopped
from api_server.drill.promises import DUMMY, HONEST, RECOGNISED
from api_server.drill.scene import SLACK_SEC, Scene

ORPHANS_SEC = 15.0
"""Bound on the end of every process of a server that was killed."""

_PAUSE_MS = {"killed": 40, "stopped": 80, "decoder": 120, "stopping": 160, "server": 200}
"""Makes each recording another one, in case the server remembers which one broke it."""


def at_work(scene: Scene) -> int:
    """Wait until the recogniser works; give its process id."""
    bound = scene.bounds.recognition
    awaited("a call is under way", lambda: scene.server.recogniser().get("state") == "busy", bound)
    return int(scene.server.recogniser()["pid"])


def recogniser(scene: Scene) -> int:
    """Give the process that holds the model; the drill before may have left none."""
    if not scene.server.recogniser():
        scene.call()
    return int(scene.server.recogniser()["pid"])


def _killed(scene: Scene) -> None:
    recording = scene.clip(pause_ms=_PAUSE_MS["killed"])
    with stopped(recogniser(scene)), scene.calling(upload=recording) as call:
        send(at_work(scene), signal.SIGKILL)
    scene.judge("", HONEST, call.result())
    scene.judge("the next call", RECOGNISED, scene.call())


def _hung(scene: Scene) -> None:
    recording = scene.clip(pause_ms=_PAUSE_MS["stopped"])
    pid = recogniser(scene)
    send(pid, signal.SIGSTOP)  # and never continued: the server has to end it
    with scene.calling(upload=recording) as call:
        at_work(scene)
    bound = scene.bounds.stall + scene.bounds.recognition + SLACK_SEC
    scene.judge("", HONEST, call.result(), bound)
    scene.judge("the next call", RECOGNISED, scene.call())
    scene.check("it is ended", not is_alive(pid), "the hung process is still there")


def _decoder(scene: Scene) -> None:
    recording = scene.clip("decoder.wav", pause_ms=_PAUSE_MS["decoder"])
    pid, since = int(scene.server.component("audio")["pid"]), len(scene.server.lines)
    with stopped(pid), scene.calling(upload=recording) as call:
        scene.server.line(lambda raw: recording.name in raw, SLACK_SEC, since)
        busy = lambda: scene.server.component("audio").get("state") == "busy"  # noqa: E731
        awaited("the recording is being decoded", busy, SLACK_SEC)
        send(pid, signal.SIGKILL)
    scene.judge("", HONEST, call.result())
    scene.judge("the next call", RECOGNISED, scene.call())


def _told_to_stop(scene: Scene) -> None:
    """Keep the model from finishing, so that the call has to be answered without it."""
    recording = scene.clip(pause_ms=_PAUSE_MS["stopping"])
    children = descendants(scene.server.process.pid)
    with stopped(recogniser(scene)), scene.calling(upload=recording) as call:
        at_work(scene)
        scene.server.process.terminate()
        answer = call.result()
    scene.judge("", DUMMY, answer, SLACK_SEC + scene.bounds.stall)
    _gone(scene, children)


def _server_killed(scene: Scene) -> None:
    """Kill the server: its caller gets no answer, and nothing may be left behind."""
    recording = scene.clip(pause_ms=_PAUSE_MS["server"], times=5)
    children = descendants(scene.server.process.pid)
    with scene.calling(upload=recording) as call:
        at_work(scene)
        send(scene.server.process.pid, signal.SIGKILL)
    if call.result().status:
        words = "the connection ends"
        scene.add(scorecard.broken(scene.fault, words, "an answer of a server that was killed"))
    _gone(scene, children)


def _gone(scene: Scene, children: list[int]) -> None:
    began = time.monotonic()
    pids = [scene.server.process.pid, *children]
    try:
        scene.server.process.wait(ORPHANS_SEC)
        awaited("all have ended", lambda: not any(map(is_alive, pids)), ORPHANS_SEC)
    except subprocess.TimeoutExpired:
        pass  # the time that it took says so
    words = f"server and {len(children)} children have ended"
    scene.done("no process is left", words, time.monotonic() - began, ORPHANS_SEC)


DRILLS = (
    Drill(
        "recogniser killed (-9)",
        HONEST.words,
        _killed,
        PLAIN,
        ("WorkerDied",),
        ("The recognising process is killed", "recognising"),
    ),
    Drill(
        "recogniser hangs",
        HONEST.words,
        _hung,
        PLAIN,
        ("DeadlineExceeded",),
        ("The recognising process hangs", "all of them"),
    ),
    Drill("decoder killed (-9)", HONEST.words, _decoder, PLAIN, ("WorkerDied",), ("decoding",)),
)

LAST = (
    Drill("server killed (-9)", "no process is left", _server_killed, PLAIN),
    Drill("server told to stop", DUMMY.words, _told_to_stop, SMALL, ("ServerStopping",)),
)
"""What ends the server: the last drill of its bench."""
