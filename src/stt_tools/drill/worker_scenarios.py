"""Process faults: the recogniser, the decoder or the server is killed or hangs."""

from __future__ import annotations

import signal
import subprocess
import time

from stt_tools.drill import scorecard
from stt_tools.drill.expectations import DUMMY, HONEST, RECOGNISED
from stt_tools.drill.experiment import SLACK_SEC, Experiment
from stt_tools.drill.processes import descendants, is_alive, paused, send, wait_until
from stt_tools.drill.scenario import PLAIN, SMALL, Scenario

ORPHANS_SEC = 15.0
"""Bound on the end of every process after the server was killed."""

_PAUSE_MS = {"killed": 40, "stopped": 80, "decoder": 120, "stopping": 160, "server": 200}
"""Makes each recording unique, so that quarantine of one does not refuse another."""


def wait_for_busy_recogniser(experiment: Experiment) -> int:
    """Wait until the recogniser is busy and return its process id."""
    bound = experiment.bounds.recognition
    wait_until(
        "a call is under way", lambda: experiment.server.recogniser().get("state") == "busy", bound
    )
    return int(experiment.server.recogniser()["pid"])


def recogniser(experiment: Experiment) -> int:
    """Return the process that holds the model; load it if the scenario before ended it."""
    if not experiment.server.recogniser():
        experiment.call()
    return int(experiment.server.recogniser()["pid"])


def _killed(experiment: Experiment) -> None:
    recording = experiment.clip(pause_ms=_PAUSE_MS["killed"])
    with paused(recogniser(experiment)), experiment.call_in_background(upload=recording) as call:
        send(wait_for_busy_recogniser(experiment), signal.SIGKILL)
    experiment.verify("", HONEST, call.result())
    experiment.verify("the next call", RECOGNISED, experiment.call())


def _hung(experiment: Experiment) -> None:
    recording = experiment.clip(pause_ms=_PAUSE_MS["stopped"])
    pid = recogniser(experiment)
    send(pid, signal.SIGSTOP)  # never continued: the server has to end it
    with experiment.call_in_background(upload=recording) as call:
        wait_for_busy_recogniser(experiment)
    bound = experiment.bounds.stall + experiment.bounds.recognition + SLACK_SEC
    experiment.verify("", HONEST, call.result(), bound)
    experiment.verify("the next call", RECOGNISED, experiment.call())
    experiment.verify_condition("it is ended", not is_alive(pid), "the hung process is still there")


def _decoder(experiment: Experiment) -> None:
    recording = experiment.clip("decoder.wav", pause_ms=_PAUSE_MS["decoder"])
    pid, since = int(experiment.server.component("audio")["pid"]), len(experiment.server.lines)
    with paused(pid), experiment.call_in_background(upload=recording) as call:
        experiment.server.wait_for_line(lambda raw: recording.name in raw, SLACK_SEC, since)
        busy = lambda: experiment.server.component("audio").get("state") == "busy"  # noqa: E731
        wait_until("the recording is being decoded", busy, SLACK_SEC)
        send(pid, signal.SIGKILL)
    experiment.verify("", HONEST, call.result())
    experiment.verify("the next call", RECOGNISED, experiment.call())


def _terminated(experiment: Experiment) -> None:
    """Stop the model, so that the call has to be answered without it at shutdown."""
    recording = experiment.clip(pause_ms=_PAUSE_MS["stopping"])
    children = descendants(experiment.server.process.pid)
    with paused(recogniser(experiment)), experiment.call_in_background(upload=recording) as call:
        wait_for_busy_recogniser(experiment)
        experiment.server.process.terminate()
        answer = call.result()
    experiment.verify("", DUMMY, answer, SLACK_SEC + experiment.bounds.stall)
    _verify_processes_end(experiment, children)


def _server_killed(experiment: Experiment) -> None:
    """Kill the server: the client gets no answer, and no process may be left."""
    recording = experiment.clip(pause_ms=_PAUSE_MS["server"], times=5)
    children = descendants(experiment.server.process.pid)
    with experiment.call_in_background(upload=recording) as call:
        wait_for_busy_recogniser(experiment)
        send(experiment.server.process.pid, signal.SIGKILL)
    if call.result().status:
        why = "an answer of a server that was killed"
        experiment.add(scorecard.failed(experiment.fault, "the connection ends", why))
    _verify_processes_end(experiment, children)


def _verify_processes_end(experiment: Experiment, children: list[int]) -> None:
    began = time.monotonic()
    pids = [experiment.server.process.pid, *children]
    try:
        experiment.server.process.wait(ORPHANS_SEC)
        wait_until("all have ended", lambda: not any(map(is_alive, pids)), ORPHANS_SEC)
    except subprocess.TimeoutExpired:
        pass  # the duration below exceeds its bound
    description = f"server and {len(children)} children have ended"
    experiment.verify_duration(
        "no process is left", description, time.monotonic() - began, ORPHANS_SEC
    )


SCENARIOS = (
    Scenario(
        "recogniser killed (-9)",
        HONEST.description,
        _killed,
        PLAIN,
        ("WorkerDied",),
        ("The recognising process is killed", "recognising"),
    ),
    Scenario(
        "recogniser hangs",
        HONEST.description,
        _hung,
        PLAIN,
        ("DeadlineExceeded",),
        ("The recognising process hangs", "all of them"),
    ),
    Scenario(
        "decoder killed (-9)", HONEST.description, _decoder, PLAIN, ("WorkerDied",), ("decoding",)
    ),
)

LAST = (
    Scenario("server killed (-9)", "no process is left", _server_killed, PLAIN),
    Scenario("server told to stop", DUMMY.description, _terminated, SMALL, ("ServerStopping",)),
)
"""Scenarios that end the server: the last of their profile."""
