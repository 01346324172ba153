"""The LLM server fails, in every way that one can."""

from __future__ import annotations

from collections.abc import Callable

from api_server.drill import fault_server as fault
from api_server.drill import recordings
from api_server.drill.bench import PLAIN, SMALL, Drill
from api_server.drill.fault_server import Script, answer, completion, refused_port
from api_server.drill.llm import honest, lying
from api_server.drill.processes import awaited
from api_server.drill.promises import COMPLETE, PARTIAL, of
from api_server.drill.scene import Scene
from api_server.drill.scorecard import Result

GRACE_SEC = 15.0
"""What finding out that an LLM server is of no use may take, besides its own time-out."""

_PROBE_SEC = 60.0
_THRESHOLD = int(SMALL.settings["CIRCUIT_FAILURE_THRESHOLD"])
_REFUSED_PATH = "/v1/chat/completions"
_OUT_OF_MEMORY = {"error": {"type": "server_error", "code": "out_of_memory"}}
_LOADING = {"error": {"type": "unavailable_error", "code": 503}}


def _bound(scene: Scene, timeout_sec: float = 0.0) -> float:
    return scene.bounds.recognition + timeout_sec + GRACE_SEC


def _partial(scene: Scene, url: str, timeout_sec: int = 10) -> None:
    answer_ = scene.call(agent=url, timeout=str(timeout_sec))
    bound = _bound(scene, timeout_sec)
    scene.judge("", PARTIAL, answer_, bound, scene.truth(checked=True))


def _healthy(scene: Scene) -> None:
    with scene.agent(honest) as agent:
        truth = scene.truth(checked=True)
        scene.judge("", COMPLETE, scene.call(agent=agent.url, timeout="30"), _bound(scene), truth)


def _scripted(scene: Scene, script: Script, models: Script | None, timeout_sec: int) -> None:
    with scene.agent(script, models) as agent:
        _partial(scene, agent.url, timeout_sec)


def _closed(scene: Scene) -> None:
    _partial(scene, f"http://{scene.host}:{refused_port()}{_REFUSED_PATH}")


def _no_address(scene: Scene) -> None:
    _partial(scene, f"http://{scene.host}:{refused_port()}/no path{_REFUSED_PATH}")


def _redirected(scene: Scene) -> None:
    with scene.agent(honest) as elsewhere:
        script = answer(307, Location=elsewhere.url)
        _scripted(scene, script, script, 10)
        scene.check("not followed", not elsewhere.requests, "the address it names was asked")


def _no_model(scene: Scene) -> None:
    with scene.agent(answer(500), answer(200, {"data": []})) as agent:
        found = scene.call(agent=agent.url, timeout="10")
        if scene.sandbox is None and agent.posts:
            scene.skip(PARTIAL, "that server has a model's name in its settings", "ModelUnknown")
            return
        scene.judge("", PARTIAL, found, _bound(scene), scene.truth(checked=True))


def _lying(scene: Scene) -> None:
    """Honesty is the promise: the judge looks every quote up."""
    with scene.agent(lying) as agent:
        words = "transcript and check, the invented proof rejected"
        promise = of(words, lambda one: bool(one.body.get("incomplete_elements")))
        found = scene.call(agent=agent.url, timeout="30")
        scene.judge("", promise, found, _bound(scene), scene.truth(checked=True))


def _circuit(scene: Scene) -> None:
    """Send silence: recognising words takes longer than the circuit waits."""
    quiet = recordings.silence(scene.folder / "quiet.wav", 0.5)
    truth = scene.truth(heard=False, checked=True)
    script = fault.in_turn(*[answer(500, _OUT_OF_MEMORY)] * _THRESHOLD, honest)
    with scene.agent(script) as agent:
        calls = [scene.call(quiet, agent.url, timeout="10") for _ in range(_THRESHOLD)]
        opening = scene.judge("five failures open it", PARTIAL, calls[-1], _bound(scene), truth)
        scene.check("open", _counted(opening, "opened"), "no circuit has opened")
        refused = scene.call(quiet, agent.url, timeout="10")
        scene.judge("refused at once", PARTIAL, refused, _bound(scene), truth)
        scene.check("not asked", len(agent.posts) == _THRESHOLD, "the server was asked again")
        awaited("a probe is let through", lambda: _is_due(scene, agent.base), _PROBE_SEC)
        probe = scene.call(quiet, agent.url, timeout="10")
        closing = scene.judge("a probe closes it", COMPLETE, probe, _bound(scene), truth)
        well = _counted(closing, "half_open") and _counted(closing, "closed")
        scene.check("half-open, then closed", well, "no circuit was half-open and then closed")


def _counted(result: Result, what: str) -> bool:
    return any(f'what="{what}"' in name for name in result.metrics)


def _is_due(scene: Scene, target: str) -> bool:
    """Tell whether the circuit's wait is over."""
    found = scene.target.get("/health").body.get("circuits", [])
    return any(one["target"] == target and not one["retry_after"] for one in found)


def _drill(
    name: str,
    covers: str,
    script: Script,
    models: Script | None = None,
    timeout_sec: int = 10,
    shows: tuple[str, ...] = (),
) -> Drill:
    def run(scene: Scene) -> None:
        _scripted(scene, script, models, timeout_sec)

    return _of(f"LLM {name}", run, (covers,), shows)


def _of(
    name: str,
    run: Callable[[Scene], None],
    covers: tuple[str, ...] = (),
    shows: tuple[str, ...] = (),
    promised: str = PARTIAL.words,
) -> Drill:
    return Drill(name, promised, run, PLAIN, covers, shows, outside=True, asks_agent=True)


HEALTHY = (_of("nothing is broken", _healthy, promised=COMPLETE.words),)

DRILLS = (
    _of("LLM down", _closed, ("AgentConnectionError",), ("The LLM server is down",)),
    _drill("refuses the key (401)", "AgentUnauthorized", answer(401)),
    _drill("has no such model (404)", "AgentNotFound", answer(404)),
    _drill("refuses the prompt (400)", "AgentRefused", answer(400)),
    _drill("overloaded (429)", "AgentOverloaded", answer(429)),
    _drill("still loading (503)", "AgentNotReady", answer(503, _LOADING)),
    _drill("out of memory (500)", "AgentServerError", answer(500, _OUT_OF_MEMORY)),
    _drill("too slow", "AgentTimeout", fault.trickle, None, 1),
    _drill(
        "hung, its health at 200", "AgentTimeout", fault.hang, None, 1, ("The LLM server hangs",)
    ),
    _drill("cuts the answer (length)", "TruncatedAnswer", answer(200, completion("반", "length"))),
    _drill("cuts the body", "AgentDisconnected", fault.die_mid_body),
    _drill("dies in mid body", "AgentDisconnected", fault.reset_mid_body),
    _drill("speaks no HTTP", "AgentDisconnected", fault.not_http),
    _drill("answers no JSON", "InvalidAnswer", answer(200, b"<html>502</html>")),
    _drill("answers another schema", "InvalidAnswer", answer(200, completion('{"ok": true}'))),
    _drill("answers nothing", "EmptyAnswer", answer(200, completion(" "))),
    _drill("answers without end", "AnswerTooLarge", fault.endless),
    _of("LLM names no model", _no_model, ("ModelUnknown",)),
    _of("LLM redirects", _redirected, ("RedirectRefused",)),
    _of("LLM address is none", _no_address, ("AddressInvalid",)),
    _of("LLM invents a proof", _lying, promised="the invented proof is rejected"),
    Drill(
        "circuit opens and closes",
        "opens after five failures, refuses at once, a probe closes it",
        _circuit,
        SMALL,
        ("CircuitOpen", "AgentServerError"),
        ("The circuit opens, and closes again",),
    ),
)
