"""Faults of the LLM server: network, HTTP status, protocol, content."""

from __future__ import annotations

from collections.abc import Callable

from stt_tools.drill import fault_server as fault
from stt_tools.drill import recordings
from stt_tools.drill.expectations import COMPLETE, PARTIAL, expect_that
from stt_tools.drill.experiment import Experiment
from stt_tools.drill.fault_server import Script, answer, completion, refused_port
from stt_tools.drill.llm import honest, lying
from stt_tools.drill.processes import wait_until
from stt_tools.drill.scenario import PLAIN, SMALL, Scenario
from stt_tools.drill.scorecard import Result

GRACE_SEC = 15.0
"""Bound on noticing a failed LLM server, besides its own time-out."""

_PROBE_SEC = 60.0
_THRESHOLD = int(SMALL.settings["CIRCUIT_FAILURE_THRESHOLD"])
_TOO_LONG_CHARS = 70_000
_REFUSED_PATH = "/v1/chat/completions"
_OUT_OF_MEMORY = {"error": {"type": "server_error", "code": "out_of_memory"}}
_LOADING = {"error": {"type": "unavailable_error", "code": 503}}


def _bound(experiment: Experiment, timeout_sec: float = 0.0) -> float:
    return experiment.bounds.recognition + timeout_sec + GRACE_SEC


def _partial(experiment: Experiment, url: str, timeout_sec: int = 10) -> None:
    answer_ = experiment.call(agent=url, timeout=str(timeout_sec))
    bound = _bound(experiment, timeout_sec)
    experiment.verify("", PARTIAL, answer_, bound, experiment.ground_truth(checked=True))


def _healthy(experiment: Experiment) -> None:
    with experiment.agent(honest) as agent:
        truth = experiment.ground_truth(checked=True)
        experiment.verify(
            "", COMPLETE, experiment.call(agent=agent.url, timeout="30"), _bound(experiment), truth
        )


def _run_script(
    experiment: Experiment, script: Script, models: Script | None, timeout_sec: int
) -> None:
    with experiment.agent(script, models) as agent:
        _partial(experiment, agent.url, timeout_sec)


def _closed(experiment: Experiment) -> None:
    _partial(experiment, f"http://{experiment.host}:{refused_port()}{_REFUSED_PATH}")


def _no_address(experiment: Experiment) -> None:
    path = "a" * _TOO_LONG_CHARS  # allowed by its host, and no client can send it
    _partial(experiment, f"http://{experiment.host}:{refused_port()}/{path}{_REFUSED_PATH}")


def _redirected(experiment: Experiment) -> None:
    with experiment.agent(honest) as decoy:
        script = answer(307, Location=decoy.url)
        _run_script(experiment, script, script, 10)
        experiment.verify_condition(
            "not followed", not decoy.requests, "the address it names was asked"
        )


def _no_model(experiment: Experiment) -> None:
    with experiment.agent(answer(500), answer(200, {"data": []})) as agent:
        found = experiment.call(agent=agent.url, timeout="10")
        if experiment.sandbox is None and agent.posts:
            experiment.skip(
                PARTIAL, "that server has a model's name in its settings", "ModelUnknown"
            )
            return
        experiment.verify(
            "", PARTIAL, found, _bound(experiment), experiment.ground_truth(checked=True)
        )


def _lying(experiment: Experiment) -> None:
    """Send an invented quote: the invariants check every quote against the transcript."""
    with experiment.agent(lying) as agent:
        description = "transcript and check, the invented proof rejected"
        expectation = expect_that(
            description, lambda one: bool(one.body.get("incomplete_elements"))
        )
        found = experiment.call(agent=agent.url, timeout="30")
        experiment.verify(
            "", expectation, found, _bound(experiment), experiment.ground_truth(checked=True)
        )


def _circuit(experiment: Experiment) -> None:
    """Send silence: recognising speech takes longer than the circuit stays open."""
    quiet = recordings.silence(experiment.folder / "quiet.wav", 0.5)
    truth = experiment.ground_truth(speech=False, checked=True)
    script = fault.in_turn(*[answer(500, _OUT_OF_MEMORY)] * _THRESHOLD, honest)
    with experiment.agent(script) as agent:
        calls = [experiment.call(quiet, agent.url, timeout="10") for _ in range(_THRESHOLD)]
        opening = experiment.verify(
            "five failures open it", PARTIAL, calls[-1], _bound(experiment), truth
        )
        experiment.verify_condition("open", _counted(opening, "opened"), "no circuit has opened")
        refused = experiment.call(quiet, agent.url, timeout="10")
        experiment.verify("refused at once", PARTIAL, refused, _bound(experiment), truth)
        experiment.verify_condition(
            "not asked", len(agent.posts) == _THRESHOLD, "the server was asked again"
        )
        wait_until("a probe is let through", lambda: _is_due(experiment, agent.url), _PROBE_SEC)
        probe = experiment.call(quiet, agent.url, timeout="10")
        closing = experiment.verify("a probe closes it", COMPLETE, probe, _bound(experiment), truth)
        well = _counted(closing, "half_open") and _counted(closing, "closed")
        experiment.verify_condition(
            "half-open, then closed", well, "no circuit was half-open and then closed"
        )


def _careless(experiment: Experiment) -> None:
    """Hang for one caller's short time-outs, refuse their wrong path, and answer the next one."""
    quiet = recordings.silence(experiment.folder / "quiet.wav", 0.5)
    truth = experiment.ground_truth(speech=False, checked=True)
    with experiment.agent(fault.in_turn(*[fault.hang] * _THRESHOLD, honest)) as agent:
        for _ in range(_THRESHOLD):
            hurried = experiment.call(quiet, agent.url, timeout="1")
        experiment.verify("timeout=1", PARTIAL, hurried, _bound(experiment, 1.0), truth)
        with experiment.agent(answer(500)) as broken:
            for _ in range(_THRESHOLD):
                lost = experiment.call(quiet, f"{broken.base}/v2/chat/completions", timeout="10")
            experiment.verify("a wrong path", PARTIAL, lost, _bound(experiment), truth)
            broken.script = honest
            others = experiment.call(quiet, broken.url, timeout="30")
            experiment.verify("another's path", COMPLETE, others, _bound(experiment), truth)
        found = experiment.call(quiet, agent.url, timeout="30")
        experiment.verify("", COMPLETE, found, _bound(experiment), truth)


def _counted(result: Result, what: str) -> bool:
    return any(f'what="{what}"' in name for name in result.metrics)


def _is_due(experiment: Experiment, target: str) -> bool:
    """Return whether the circuit's recovery time-out is over."""
    found = experiment.target.get("/health").body.get("circuits", [])
    return any(one["target"] == target and not one["retry_after"] for one in found)


def _scripted_scenario(
    name: str,
    covers: str,
    script: Script,
    models: Script | None = None,
    timeout_sec: int = 10,
    shows: tuple[str, ...] = (),
) -> Scenario:
    def run(experiment: Experiment) -> None:
        _run_script(experiment, script, models, timeout_sec)

    return _agent_scenario(f"LLM {name}", run, (covers,), shows)


def _agent_scenario(
    name: str,
    run: Callable[[Experiment], None],
    covers: tuple[str, ...] = (),
    shows: tuple[str, ...] = (),
    expected: str = PARTIAL.description,
) -> Scenario:
    return Scenario(name, expected, run, PLAIN, covers, shows, external=True, needs_agent=True)


HEALTHY = (_agent_scenario("nothing is broken", _healthy, expected=COMPLETE.description),)

SCENARIOS = (
    _agent_scenario("LLM down", _closed, ("AgentConnectionError",), ("The LLM server is down",)),
    _scripted_scenario("refuses the key (401)", "AgentUnauthorized", answer(401)),
    _scripted_scenario("has no such model (404)", "AgentNotFound", answer(404)),
    _scripted_scenario("refuses the prompt (400)", "AgentRefused", answer(400)),
    _scripted_scenario("overloaded (429)", "AgentOverloaded", answer(429)),
    _scripted_scenario("still loading (503)", "AgentNotReady", answer(503, _LOADING)),
    _scripted_scenario("out of memory (500)", "AgentServerError", answer(500, _OUT_OF_MEMORY)),
    _scripted_scenario("too slow", "AgentTimeout", fault.trickle, None, 1),
    _scripted_scenario(
        "hung, its health at 200", "AgentTimeout", fault.hang, None, 1, ("The LLM server hangs",)
    ),
    _scripted_scenario(
        "cuts the answer (length)", "TruncatedAnswer", answer(200, completion("반", "length"))
    ),
    _scripted_scenario(
        "asks for a tool", "AnswerWithheld", answer(200, completion(None, "tool_calls"))
    ),
    _scripted_scenario("cuts the body", "AgentDisconnected", fault.die_mid_body),
    _scripted_scenario("dies in mid body", "AgentDisconnected", fault.reset_mid_body),
    _scripted_scenario("speaks no HTTP", "AgentDisconnected", fault.not_http),
    _scripted_scenario("answers no JSON", "InvalidAnswer", answer(200, b"<html>502</html>")),
    _scripted_scenario(
        "answers another schema", "InvalidAnswer", answer(200, completion('{"ok": true}'))
    ),
    _scripted_scenario("answers nothing", "EmptyAnswer", answer(200, completion(" "))),
    _scripted_scenario("answers without end", "AnswerTooLarge", fault.endless),
    _agent_scenario("LLM names no model", _no_model, ("ModelUnknown",)),
    _agent_scenario("LLM redirects", _redirected, ("RedirectRefused",)),
    _agent_scenario("LLM address is none", _no_address, ("AddressInvalid",)),
    _agent_scenario("LLM invents a proof", _lying, expected="the invented proof is rejected"),
    Scenario(
        "a careless caller (timeout=1, a wrong path)",
        COMPLETE.description,
        _careless,
        SMALL,
        ("AgentTimeout", "AgentServerError"),
    ),
    Scenario(
        "circuit opens and closes",
        "opens after five failures, refuses at once, a probe closes it",
        _circuit,
        SMALL,
        ("CircuitOpen", "AgentServerError"),
        ("The circuit opens, and closes again",),
    ),
)
