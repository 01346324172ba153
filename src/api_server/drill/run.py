"""Runs drills: bench by bench, one after the other, each with its evidence."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from api_server.drill import scorecard
from api_server.drill.asking import DrillError, Target
from api_server.drill.bench import OVER_THERE, Bench, Drill
from api_server.drill.fault_server import FaultServer, served
from api_server.drill.llm import honest
from api_server.drill.outside import agent_host, why_no_agent
from api_server.drill.registry import taxonomy
from api_server.drill.remote_drills import READY
from api_server.drill.sandbox import OVERRIDES, Sandbox, Server
from api_server.drill.scene import Bounds, Scene
from api_server.drill.scorecard import Result
from api_server.problems import slug_of
from api_server.settings import Settings
from stt_engine.errors import AudioRejected, EngineError

Show = Callable[[Result], None]


def run_here(drills: Sequence[Drill], settings: Settings, show: Show) -> list[Result]:
    """Break servers of the drill's own, one a bench, in a folder that goes with them."""
    results: list[Result] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stt-drill-")))
        llm = stack.enter_context(served(FaultServer(honest)))
        box = Sandbox(folder, settings, f"{llm.base}/v1")
        for bench in dict.fromkeys(one.bench.name for one in drills):
            group = [one for one in drills if one.bench.name == bench]
            results += _on_bench(group, box, show)
    return results


def _on_bench(group: Sequence[Drill], box: Sandbox, show: Show) -> list[Result]:
    results: list[Result] = []
    todo = list(group)
    while todo:  # a server that a fault has ended is started again for the others
        with _opened(todo[0].bench, box) as (server, recogniser):
            line = 0
            counted: Mapping[str, float] = {}
            while todo and server.alive:
                scene = _scene_here(todo[0], server, box, recogniser)
                scene.begin(line, counted)
                results += _performed(todo.pop(0), scene, show)
                line, counted = scene.end()
    return results


@contextmanager
def _opened(bench: Bench, box: Sandbox) -> Iterator[tuple[Server, FaultServer | None]]:
    with ExitStack() as stack:
        recogniser = None
        settings = dict(bench.settings)
        if bench.remote:
            recogniser = stack.enter_context(served(FaultServer(READY, models=READY)))
            settings["STT_REMOTE_URL"] = recogniser.base
        server = Server(box, settings)
        stack.callback(server.close)
        server.listen()
        if bench.ready:
            server.wait_ready()
        yield server, recogniser


def _scene_here(one: Drill, server: Server, box: Sandbox, recogniser: FaultServer | None) -> Scene:
    given = one.bench.settings
    stall = float(given.get("STT_STALL_TIMEOUT_SEC", box.settings.stt_stall_timeout_sec))
    return Scene(
        one.name,
        server,
        box.folder,
        box,
        Bounds(box.settings.stt_min_transcribe_sec, stall),
        _words(box.settings),
        recogniser=recogniser,
    )


def run_there(
    drills: Sequence[Drill], target: Target, settings: Settings, show: Show
) -> list[Result]:
    """Do to a running server what can be done from outside; list the rest as skipped."""
    results: list[Result] = []
    host = agent_host(target)
    no_agent = why_no_agent(target, host)
    with tempfile.TemporaryDirectory(prefix="stt-drill-") as folder:
        for one in drills:
            why = OVER_THERE if not one.outside else no_agent if one.asks_agent else None
            if why is not None:
                results += _shown([scorecard.skipped(one.name, one.promised, why)], show)
                continue
            words = _words(settings)
            scene = Scene(one.name, target, Path(folder), None, Bounds(), words, host)
            scene.glance()
            results += _performed(one, scene, show)
    return results


def _performed(one: Drill, scene: Scene, show: Show) -> list[Result]:
    why = one.needs()
    if why is not None:
        return _shown([scorecard.skipped(one.name, one.promised, why)], show)
    try:
        one.run(scene)
    except (DrillError, OSError, subprocess.SubprocessError) as exc:
        words = f"the drill could not go on: {exc}"
        scene.results.append(scorecard.broken(one.name, one.promised, words))
    settings = {**OVERRIDES, **one.bench.settings} if scene.sandbox else {}
    told = [replace(result, settings=settings) for result in scene.results]
    return _shown(with_evidence(told, unseen(one.covers, scene.seen)), show)


def with_evidence(results: list[Result], missing: Sequence[str]) -> list[Result]:
    """Fail a drill whose fault did not show under its own name."""
    if not missing:
        return results
    first, *rest = results
    got = f"{first.got} | NEVER SEEN: {', '.join(missing)}"
    return [replace(first, verdict="fail", got=got), *rest]


def unseen(covers: Iterable[str], seen: set[str]) -> list[str]:
    """Give the error classes that left no trace."""
    known = taxonomy()
    return [name for name in covers if not _traces(name, known) & seen]


def _traces(name: str, known: Mapping[str, type[EngineError]]) -> set[str]:
    """Give what tells of an error class: its type, or the end of its problem's."""
    cls = known.get(name)
    if cls is None:
        return {name}
    if issubclass(cls, AudioRejected):
        return {slug_of(cls)}
    return {cls.error_type}


def _shown(results: list[Result], show: Show) -> list[Result]:
    for one in results:
        show(one)
    return results


def _words(settings: Settings) -> frozenset[str]:
    return frozenset(settings.ready_canary_text.casefold().split())
