"""The remote recogniser (``STT_REMOTE_URL``) fails: the local backends answer and report why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from stt_tools.drill.expectations import REPLACED
from stt_tools.drill.experiment import SLACK_SEC, Experiment
from stt_tools.drill.fault_server import Script, answer, die_mid_body, hang
from stt_tools.drill.scenario import REMOTE, Scenario
from stt_tools.drill.surroundings import READY

_DUMMY: Mapping[str, object] = MappingProxyType(
    {
        "success": False,
        "text": "",
        "backend": "dummy",
        "is_dummy": True,
        "outcome": "failed",
        "error": "no reason",
    }
)


def _run(script: Script, live: Script) -> Callable[[Experiment], None]:
    def run(experiment: Experiment) -> None:
        remote = experiment.remote
        remote.script, remote.models = script, live
        bound = experiment.bounds.recognition * 2 + experiment.bounds.stall + SLACK_SEC
        experiment.verify("", REPLACED, experiment.call(), bound)

    return run


def _scenario(
    name: str, covers: str, script: Script, live: Script = READY, shows: str = ""
) -> Scenario:
    run = _run(script, live)
    headings = (shows,) if shows else ()
    return Scenario(f"remote {name}", REPLACED.description, run, REMOTE, (covers,), headings)


SCENARIOS = (
    _scenario(
        "not ready",
        "RemoteSttUnavailable",
        answer(503),
        answer(503, {"ready": False, "reason": "loading"}),
        "One backend fails, the next one answers",
    ),
    _scenario("refuses the key", "RemoteSttRefused", answer(401, {})),
    _scenario("cuts the answer", "RemoteSttDisconnected", die_mid_body),
    _scenario("invents a format", "RemoteSttInvalid", answer(200, {"transcript": "hello"})),
    _scenario("gives a dummy", "RemoteSttFailed", answer(200, dict(_DUMMY))),
    _scenario("hangs", "RemoteSttTimeout", hang, hang),
)
"""The hanging one is last: after it the server checks the remote's health before each call."""
