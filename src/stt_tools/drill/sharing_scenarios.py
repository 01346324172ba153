"""Faults that cross calls in one process: repeated crashes, memory growth, waiting too long."""

from __future__ import annotations

import signal

from stt_tools.drill.expectations import DUMMY, HONEST, RECOGNISED
from stt_tools.drill.experiment import SLACK_SEC, Experiment
from stt_tools.drill.processes import is_alive, paused, send
from stt_tools.drill.scenario import CROWDED, LEAKING, PLAIN, Scenario
from stt_tools.drill.worker_scenarios import recogniser, wait_for_busy_recogniser

_LONG_TIMES = 12


def _quarantine(experiment: Experiment) -> None:
    recording = experiment.clip("ends-it.wav", pause_ms=240)
    for end in ("first end", "second end"):
        with (
            paused(recogniser(experiment)),
            experiment.call_in_background(upload=recording) as call,
        ):
            send(wait_for_busy_recogniser(experiment), signal.SIGKILL)
        experiment.verify(end, HONEST, call.result())
    experiment.verify("", DUMMY, experiment.call(recording), SLACK_SEC)
    experiment.verify("another recording", RECOGNISED, experiment.call())


def _crash_loop(experiment: Experiment) -> None:
    """Kill the process after each start, before it has finished a call."""
    healthy = experiment.clip()
    many = [experiment.clip(f"{n}.wav", pause_ms=280 + n, times=_LONG_TIMES) for n in range(3)]
    for number, recording in enumerate(many, 1):
        with experiment.call_in_background(upload=recording) as call:
            send(wait_for_busy_recogniser(experiment), signal.SIGKILL)
        experiment.verify(f"end {number}", HONEST, call.result())
    experiment.verify("", DUMMY, experiment.call(healthy), SLACK_SEC)
    experiment.verify("after its rest", RECOGNISED, experiment.until_recognised(healthy))


def _leaking(experiment: Experiment) -> None:
    """Set the growth limit to zero, so that the process is replaced after every call."""
    experiment.verify("", RECOGNISED, experiment.call())
    before = recogniser(experiment)
    experiment.verify("the next call", RECOGNISED, experiment.call())
    experiment.verify_condition(
        "the process is replaced", not is_alive(before), "the grown process is still there"
    )


def _expired(experiment: Experiment) -> None:
    """Make a short call wait behind a long one whose process is stopped."""
    experiment.verify("before", RECOGNISED, experiment.call())
    long, short = experiment.clip("long.wav", times=_LONG_TIMES), experiment.clip()
    with (
        experiment.call_in_background(upload=long) as first,
        paused(wait_for_busy_recogniser(experiment)),
    ):
        experiment.verify("", DUMMY, experiment.call(short), experiment.bounds.recognition)
    experiment.verify("the call it waited for", RECOGNISED, first.result())


SCENARIOS = (
    Scenario(
        "recording that ends the process twice",
        DUMMY.description,
        _quarantine,
        PLAIN,
        ("RecordingQuarantined",),
    ),
    Scenario("crash loop", DUMMY.description, _crash_loop, PLAIN, ("WorkerCrashLoop",)),
    Scenario("recogniser leaks", RECOGNISED.description, _leaking, LEAKING),
    Scenario("call waits too long", DUMMY.description, _expired, CROWDED, ("CallExpired",)),
)
