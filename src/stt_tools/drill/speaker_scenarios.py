"""Faults of what tells voices apart: the transcript stays, and nobody is named or accused."""

from __future__ import annotations

import signal

from stt_engine.model_store.places import find_model
from stt_engine.protocol import VOICES
from stt_engine.recognition.diarisation import MODEL
from stt_tools.drill.expectations import RECOGNISED, Answer, Conditions, Expectation
from stt_tools.drill.experiment import Experiment
from stt_tools.drill.processes import paused, send, wait_until
from stt_tools.drill.scenario import PLAIN, Scenario

_TIMES = 12
"""How often the clip is said: shorter recordings are not looked at."""

_PAUSE_MS = 240


def _nobody(answer: Answer) -> Conditions:
    body = answer.body
    segments = body.get("segments", [])
    facts = (body.get("provenance") or {}).get("speakers") or {}
    elements = (body.get("incomplete_elements") or {}).get("elements", [])
    return {
        **RECOGNISED.conditions(answer),
        "a warning": "speakers_failed" in [one["code"] for one in body.get("warnings", [])],
        "a reason": bool(facts.get("reason")),
        "no speaker": bool(segments) and all(one["speaker"] is None for one in segments),
        "nobody accused": all(one["status"] != "violated" for one in elements),
    }


_NOBODY = Expectation("the transcript without speakers, and why", _nobody)


def _killed(experiment: Experiment) -> None:
    recording = experiment.clip("voices.wav", _PAUSE_MS, _TIMES)
    experiment.verify("before", RECOGNISED, experiment.call(recording))
    server = experiment.server
    with (
        paused(int(server.component(VOICES)["pid"])),
        experiment.call_in_background(upload=recording) as call,
    ):
        busy = lambda: server.component(VOICES).get("state") == "busy"  # noqa: E731
        wait_until("voices are being told apart", busy, experiment.bounds.recognition)
        send(int(server.component(VOICES)["pid"]), signal.SIGKILL)
    experiment.verify("", _NOBODY, call.result())
    again = experiment.call(recording)
    experiment.verify("the next call", RECOGNISED, again)
    told = [one["code"] for one in again.body.get("warnings", [])]
    experiment.verify_condition("it works again", "speakers_failed" not in told, f"{told}")


def _has_no_model() -> str | None:
    there = any(find_model(MODEL).glob("*.pt"))
    return None if there else f"{MODEL} is not fetched"


SCENARIOS = (
    Scenario("voices killed", _NOBODY.description, _killed, PLAIN, precondition=_has_no_model),
)
