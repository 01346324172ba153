"""The recogniser of ``STT_REMOTE_URL`` fails: this machine answers, and says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from api_server.drill.bench import REMOTE, Drill
from api_server.drill.fault_server import Script, answer, die_mid_body, hang
from api_server.drill.promises import REPLACED
from api_server.drill.scene import SLACK_SEC, Scene

READY = answer(200, {"ready": True})

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


def _run(script: Script, live: Script) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        remote = scene.remote
        remote.script, remote.models = script, live
        bound = scene.bounds.recognition * 2 + scene.bounds.stall + SLACK_SEC
        scene.judge("", REPLACED, scene.call(), bound)

    return run


def _drill(name: str, covers: str, script: Script, live: Script = READY, shows: str = "") -> Drill:
    told = (shows,) if shows else ()
    return Drill(f"remote {name}", REPLACED.words, _run(script, live), REMOTE, (covers,), told)


DRILLS = (
    _drill(
        "not ready",
        "RemoteSttUnavailable",
        answer(503),
        answer(503, {"ready": False, "reason": "loading"}),
        "One backend fails, the next one answers",
    ),
    _drill("refuses the key", "RemoteSttRefused", answer(401, {})),
    _drill("cuts the answer", "RemoteSttDisconnected", die_mid_body),
    _drill("invents a format", "RemoteSttInvalid", answer(200, {"transcript": "hello"})),
    _drill("gives a dummy", "RemoteSttFailed", answer(200, dict(_DUMMY))),
    _drill("hangs", "RemoteSttTimeout", hang, hang),
)
"""The one that hangs is the last: it is asked for a sign of life first from then on."""
