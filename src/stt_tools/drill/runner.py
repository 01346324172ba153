"""Runs scenarios one after the other, grouped by server profile, and records their evidence."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from api_server.http.problems import build_slug
from api_server.settings import Settings
from stt_engine.errors import AudioRejected, EngineError
from stt_tools.drill import scorecard
from stt_tools.drill.client import DrillError, Target
from stt_tools.drill.experiment import Bounds, Experiment
from stt_tools.drill.external_server import agent_host, check_server, why_no_agent
from stt_tools.drill.fault_server import FaultServer, serve_in_thread
from stt_tools.drill.llm import honest
from stt_tools.drill.registry import taxonomy
from stt_tools.drill.sandbox import OVERRIDES, Sandbox, Server
from stt_tools.drill.scenario import NEEDS_LOCAL_SERVER, Scenario, ServerProfile
from stt_tools.drill.scorecard import Result
from stt_tools.drill.surroundings import Surroundings

Show = Callable[[Result], None]


def run_local(scenarios: Sequence[Scenario], settings: Settings, show: Show) -> list[Result]:
    """Run scenarios against servers that the drill starts, one a profile, in a temporary folder."""
    results: list[Result] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stt-drill-")))
        llm = stack.enter_context(serve_in_thread(FaultServer(honest)))
        sandbox = Sandbox(folder, settings, f"{llm.base}/v1")
        for profile in dict.fromkeys(one.profile.name for one in scenarios):
            group = [one for one in scenarios if one.profile.name == profile]
            results += _run_profile(group, sandbox, show)
    return results


def _run_profile(group: Sequence[Scenario], sandbox: Sandbox, show: Show) -> list[Result]:
    results: list[Result] = []
    todo = list(group)
    while todo:  # a server that a fault has ended is restarted for the rest
        with _started_server(todo[0].profile, sandbox) as (server, around):
            line = 0
            counters: Mapping[str, float] = {}
            while todo and server.alive:
                experiment = _local_experiment(todo[0], server, sandbox, around)
                experiment.resume(line, counters)
                results += _execute(todo.pop(0), experiment, show)
                line, counters = experiment.position()
    return results


@contextmanager
def _started_server(
    profile: ServerProfile, sandbox: Sandbox
) -> Iterator[tuple[Server, Surroundings]]:
    with ExitStack() as stack:
        around = stack.enter_context(profile.around(sandbox.folder))
        server = Server(sandbox, {**profile.settings, **around.settings}, around.program)
        stack.callback(server.close)
        server.listen()
        if profile.ready:
            server.wait_ready()
        yield server, around


def _local_experiment(
    one: Scenario, server: Server, sandbox: Sandbox, around: Surroundings
) -> Experiment:
    overrides = one.profile.settings
    stall = float(overrides.get("STT_STALL_TIMEOUT_SEC", sandbox.settings.stt_stall_timeout_sec))
    return Experiment(
        one.name,
        server,
        sandbox.folder,
        sandbox,
        Bounds(sandbox.settings.stt_min_transcribe_sec, stall),
        _canary_words(sandbox.settings),
        around=around,
    )


def run_external(
    scenarios: Sequence[Scenario], target: Target, settings: Settings, show: Show
) -> list[Result]:
    """Run against a running server what can be injected over the network; skip the rest.

    Raises:
        DrillError: there is no such server, or it lets nobody in with this key.
    """
    check_server(target)
    results: list[Result] = []
    host = agent_host(target)
    no_agent = why_no_agent(target, host)
    with tempfile.TemporaryDirectory(prefix="stt-drill-") as folder:
        for one in scenarios:
            why = NEEDS_LOCAL_SERVER if not one.external else no_agent if one.needs_agent else None
            if why is not None:
                results += _report([scorecard.skipped(one.name, one.expected, why)], show)
                continue
            words = _canary_words(settings)
            experiment = Experiment(one.name, target, Path(folder), None, Bounds(), words, host)
            experiment.reset_counters()
            results += _execute(one, experiment, show)
    return results


def _execute(one: Scenario, experiment: Experiment, show: Show) -> list[Result]:
    why = one.precondition()
    if why is not None:
        return _report([scorecard.skipped(one.name, one.expected, why)], show)
    try:
        one.run(experiment)
    except (DrillError, OSError, subprocess.SubprocessError) as exc:
        why = f"the drill could not go on: {exc}"
        experiment.results.append(scorecard.failed(one.name, one.expected, why))
    settings = {**OVERRIDES, **one.profile.settings} if experiment.sandbox else {}
    results = [replace(result, settings=settings) for result in experiment.results]
    return _report(with_evidence(results, unseen(one.covers, experiment.seen)), show)


def with_evidence(results: list[Result], missing: Sequence[str]) -> list[Result]:
    """Fail a scenario whose error was not observed under its own name."""
    if not missing:
        return results
    first, *rest = results
    got = f"{first.got} | NEVER SEEN: {', '.join(missing)}"
    return [replace(first, verdict="fail", got=got), *rest]


def unseen(covers: Iterable[str], seen: set[str]) -> list[str]:
    """Return the error classes that left no trace."""
    known = taxonomy()
    return [name for name in covers if not _traces(name, known) & seen]


def _traces(name: str, known: Mapping[str, type[EngineError]]) -> set[str]:
    """Return how an error class is observed: its type, or the slug of its problem."""
    cls = known.get(name)
    if cls is None:
        return {name}
    if issubclass(cls, AudioRejected):
        return {build_slug(cls)}
    return {cls.error_type}


def _report(results: list[Result], show: Show) -> list[Result]:
    for one in results:
        show(one)
    return results


def _canary_words(settings: Settings) -> frozenset[str]:
    return frozenset(settings.ready_canary_text.casefold().split())
