"""What was missing is completed when its dependency is back."""

from __future__ import annotations

import time
from typing import Any

from stt_tools.drill.expectations import PARTIAL
from stt_tools.drill.experiment import SLACK_SEC, Experiment
from stt_tools.drill.fault_server import FaultServer, refused_port, serve_in_thread
from stt_tools.drill.llm import honest
from stt_tools.drill.processes import wait_until
from stt_tools.drill.scenario import Scenario, ServerProfile

KEEPING = ServerProfile("keeping", {"REPAIR_CALLS": "true"})

_REPAIR_SEC = 60.0
_SECOND = 2
_EXPECTED = "a partial answer; when the LLM is back, revision 2 has the check, revision 1 stays"


def _completed(experiment: Experiment) -> None:
    port = refused_port()
    agent = FaultServer(honest, host=experiment.host, port=port)
    answer = experiment.call(agent=f"http://{agent.host}:{port}/v1/chat/completions", timeout="10")
    experiment.verify("LLM down", PARTIAL, answer, truth=experiment.ground_truth(checked=True))
    repair = answer.body.get("repair") or {}
    path = f"/cases/{repair.get('case')}"
    waits = repair.get("status") == "pending"
    experiment.verify_condition("kept to be completed", waits, f"repair is {repair}")
    if not waits:
        return
    with serve_in_thread(agent):
        began = time.monotonic()
        wait_until(
            "the call is checked",
            lambda: _case(experiment, path).get("revision") == _SECOND,
            _REPAIR_SEC,
        )
        took = time.monotonic() - began
    experiment.verify_duration("the check is made up for", _EXPECTED, took, _REPAIR_SEC + SLACK_SEC)
    case, first = _case(experiment, path), _case(experiment, f"{path}?revision=1")
    told = case.get("answer", {})
    experiment.verify_condition(
        "revision 2 is whole",
        case.get("state") == "done" and not told.get("is_agent_dummy"),
        f"the case is {case.get('state')}",
    )
    experiment.verify_condition(
        "nothing was recognised again",
        (told.get("text"), len(agent.posts)) == (answer.body["text"], 1),
        "the text differs, or the LLM was asked more than once",
    )
    experiment.verify_condition(
        "revision 1 stays",
        first.get("answer", {}).get("partial_failure_reason")
        == answer.body["partial_failure_reason"],
        "the first answer has changed",
    )


def _case(experiment: Experiment, path: str) -> dict[str, Any]:
    found: dict[str, Any] = experiment.target.get(path).body
    return found


SCENARIOS = (
    Scenario(
        "LLM down, then back",
        _EXPECTED,
        _completed,
        KEEPING,
    ),
)
