"""One run of a scenario: the server under test, fault injection, and the collected results."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from stt_tools.drill import recordings, scorecard
from stt_tools.drill.client import DrillError, Target
from stt_tools.drill.expectations import Answer, Expectation
from stt_tools.drill.fault_server import FaultServer, Script, serve_in_thread
from stt_tools.drill.invariants import GroundTruth
from stt_tools.drill.sandbox import Sandbox, Server
from stt_tools.drill.scorecard import Result
from stt_tools.drill.surroundings import Surroundings

_RETRY_SEC = 0.2

LOG_SEC = 5.0
"""Bound on a log line's way through the pipe."""

SLACK_SEC = 10.0
"""Added to documented bounds for restarting and reloading on a busy machine."""

_COUNTER = re.compile(r"^(\w+_total(?:\{.*\})?) (\S+)$", re.MULTILINE)
_TYPE = re.compile(r'error_type="(\w+)"')
_NAMED = re.compile(r"\b([A-Z][A-Za-z]+): ")
_LOUD_LEVELS = {"WARNING", "ERROR", "CRITICAL"}


@dataclass(frozen=True)
class Bounds:
    """Documented bounds of the deployment, in seconds."""

    recognition: float = 60.0
    stall: float = 15.0


@dataclass
class Experiment:
    """One run of a scenario against one server."""

    fault: str
    target: Target
    folder: Path
    """Where recordings are written."""
    sandbox: Sandbox | None
    bounds: Bounds
    known_words: frozenset[str]
    """At least one of these is spoken in the built-in clip."""
    host: str = "127.0.0.1"
    """Address at which the server reaches the drill's fault servers."""
    around: Surroundings = field(default_factory=Surroundings)
    """What the server under test depends on."""
    results: list[Result] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    """Error types and problem types observed in answers, log lines and metrics."""
    _line: int = 0
    _counters: Mapping[str, float] = field(default_factory=dict)

    @property
    def server(self) -> Server:
        """The server that the drill started."""
        if not isinstance(self.target, Server):
            raise DrillError("this needs a server of the drill's own")
        return self.target

    @property
    def own_sandbox(self) -> Sandbox:
        """The sandbox of the server that the drill started."""
        if self.sandbox is None:
            raise DrillError("this needs a server of the drill's own")
        return self.sandbox

    @property
    def remote(self) -> FaultServer:
        """The drill's remote recogniser."""
        if self.around.recogniser is None:
            raise DrillError("this needs a server that asks the drill's recogniser")
        return self.around.recogniser

    def clip(self, name: str = "clip.wav", pause_ms: int = 0, times: int = 1) -> Path:
        """Return a valid recording; ``pause_ms`` makes its content (and so its hash) unique."""
        return recordings.spoken(self.folder / name, pause_ms, times)

    def call(self, upload: Path | None = None, agent: str | None = None, **form: str) -> Answer:
        """Send a recording (by default the built-in clip); ``agent`` adds an LLM check."""
        fields = {"language": recordings.language(), **form}
        if agent is not None:
            fields |= {"incomplete_elements_check": "true", "agent_url": agent}
        if upload is None and "file_path" not in form:
            upload = self.clip()
        return self.target.transcribe(fields, upload)

    def until_recognised(self, upload: Path) -> Answer:
        """Send a recording until it is recognised or the bound is over; return the last answer."""
        began = time.monotonic()
        while True:
            answer = self.call(upload)
            late = time.monotonic() - began > self.bounds.recognition
            if answer.body.get("success") or late:
                return replace(answer, took_sec=time.monotonic() - began)
            time.sleep(_RETRY_SEC)

    @contextmanager
    def call_in_background(self, **arguments: object) -> Iterator[Future[Answer]]:
        """Make a call in a thread of its own, for a block that injects a fault meanwhile."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(self.call, **arguments)  # type: ignore[arg-type]

    @contextmanager
    def agent(self, script: Script, models: Script | None = None) -> Iterator[FaultServer]:
        """Run an LLM server that follows ``script``."""
        server = FaultServer(script, host=self.host)
        if models is not None:
            server.models = models
        with serve_in_thread(server):
            yield server

    def ground_truth(self, *, speech: bool = True, checked: bool = False) -> GroundTruth:
        """Return what is known of a call with the built-in clip, or with one without speech."""
        return GroundTruth(self.known_words, speech=speech, checked=checked)

    def verify(
        self,
        step: str,
        expectation: Expectation,
        answer: Answer,
        bound_sec: float | None = None,
        truth: GroundTruth | None = None,
    ) -> Result:
        """Check an answer against its expectation and the invariants; record logs and counters."""
        fault = f"{self.fault}: {step}" if step else self.fault
        bound = self.bounds.recognition + SLACK_SEC if bound_sec is None else bound_sec
        truth = self.ground_truth() if truth is None else truth
        return self.add(scorecard.evaluate(fault, expectation, bound, answer, truth), answer)

    def add(self, result: Result, *answers: Answer) -> Result:
        """Record a result with the log lines and counters that belong to it."""
        lines = self._new_log_lines([one.request_id for one in answers if one.request_id])
        counted = self._counter_growth()
        self.seen.update(*(_types_of(one) for one in answers), _TYPE.findall(" ".join(counted)))
        self.results.append(replace(result, log_lines=lines, metrics=counted))
        return self.results[-1]

    def verify_duration(
        self, step: str, description: str, took_sec: float, bound_sec: float
    ) -> Result:
        """Record an expectation that is about a duration, not about an answer."""
        fault = f"{self.fault}: {step}" if step else self.fault
        return self.add(scorecard.within_bound(fault, description, took_sec, bound_sec))

    def verify_condition(self, step: str, condition: bool, otherwise: str) -> Result:  # noqa: FBT001
        """Record whether a condition holds; ``otherwise`` is the text of the failure."""
        fault = f"{self.fault}: {step}"
        if condition:
            return self.add(scorecard.within_bound(fault, step, 0.0, 0.0))
        return self.add(scorecard.failed(fault, step, otherwise))

    def skip(self, expectation: Expectation, why: str, cover: str) -> None:
        """Skip a scenario that turns out to be impossible on an external server."""
        self.results.append(scorecard.skipped(self.fault, expectation.description, why))
        self.seen.add(cover)

    def resume(self, line: int, counters: Mapping[str, float]) -> None:
        """Continue from the log position and counters of the scenario before."""
        self._line, self._counters = line, counters

    def reset_counters(self) -> None:
        """Take the current counters as the baseline."""
        self._counter_growth()

    def position(self) -> tuple[int, Mapping[str, float]]:
        """Return the log position and counters for the next scenario."""
        return self._line, self._counters

    def _new_log_lines(self, ids: Sequence[str]) -> list[str]:
        """Return warnings and errors since the last check: of these calls, and of no call."""
        if not isinstance(self.target, Server):
            return []
        for one in ids:
            if self.target.alive:
                self.target.wait_for_line(
                    lambda raw, one=one: "HTTP/1.1" in raw and one in raw, LOG_SEC
                )
        since, self._line = self._line, len(self.target.lines)
        found = [
            one
            for one in self.target.records(since)
            if one.get("request_id") in {None, *ids} and one.get("level") in _LOUD_LEVELS
        ]
        lines = [f"{one['level']} - [{one['component']}] {one['message']}" for one in found]
        self.seen.update(name for line in lines for name in _NAMED.findall(line))
        return lines

    def _counter_growth(self) -> dict[str, float]:
        """Return the growth of each counter since the last check."""
        before = self._counters
        found = {
            name: float(value) for name, value in _COUNTER.findall(self.target.page("/metrics"))
        }
        if found:
            self._counters = found
        grown = {name: value - before.get(name, 0.0) for name, value in found.items()}
        return {name: more for name, more in grown.items() if more}


def _types_of(one: Answer) -> set[str]:
    """Return the error types that an answer names, and the slug of its problem type."""
    body = one.body
    named = {body.get("error_type"), *(part["error_type"] for part in body.get("attempts", []))}
    named |= set(_NAMED.findall(f"({body.get('partial_failure_reason') or ''})"))
    return {str(name) for name in named if name} | {str(body.get("type", "")).rpartition(":")[2]}
