"""What one drill works with: a server to ask, faults to make, and a scorecard to fill."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from api_server.drill import recordings, scorecard
from api_server.drill.asking import DrillError, Target
from api_server.drill.fault_server import FaultServer, Script, served
from api_server.drill.honesty import Truth
from api_server.drill.promises import Answer, Promise
from api_server.drill.sandbox import Sandbox, Server
from api_server.drill.scorecard import Result

_AGAIN_SEC = 0.2

LOG_SEC = 5.0
"""What the log may take to come through its pipe."""

SLACK_SEC = 10.0
"""What a promised bound leaves out: starting and loading again, on a machine that is busy."""

_COUNTER = re.compile(r"^(\w+_total(?:\{.*\})?) (\S+)$", re.MULTILINE)
_TYPE = re.compile(r'error_type="(\w+)"')
_NAMED = re.compile(r"\b([A-Z][A-Za-z]+): ")
_LOUD = {"WARNING", "ERROR", "CRITICAL"}


@dataclass(frozen=True)
class Bounds:
    """What the deployment promises, in seconds."""

    recognition: float = 60.0
    stall: float = 15.0


@dataclass
class Scene:
    """One drill at work."""

    fault: str
    target: Target
    folder: Path
    """Where recordings are made."""
    sandbox: Sandbox | None
    bounds: Bounds
    words: frozenset[str]
    """Of these one is said in the built-in clip."""
    host: str = "127.0.0.1"
    """Where the server finds the drill's own servers."""
    recogniser: FaultServer | None = None
    """The drill's own recogniser, where the server under drill asks one first."""
    results: list[Result] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    """Error types and problems that came out of the server."""
    _line: int = 0
    _counted: Mapping[str, float] = field(default_factory=dict)

    @property
    def server(self) -> Server:
        """The server of the sandbox."""
        if not isinstance(self.target, Server):
            raise DrillError("this needs a server of the drill's own")
        return self.target

    @property
    def box(self) -> Sandbox:
        """The folder of the server of the sandbox."""
        if self.sandbox is None:
            raise DrillError("this needs a server of the drill's own")
        return self.sandbox

    @property
    def remote(self) -> FaultServer:
        """The drill's own recogniser."""
        if self.recogniser is None:
            raise DrillError("this needs a server that asks the drill's recogniser")
        return self.recogniser

    def clip(self, name: str = "clip.wav", pause_ms: int = 0, times: int = 1) -> Path:
        """Give a well recording; another ``pause_ms`` makes it another one."""
        return recordings.spoken(self.folder / name, pause_ms, times)

    def call(self, upload: Path | None = None, agent: str | None = None, **form: str) -> Answer:
        """Send a recording (the built-in clip unless told), with a check where ``agent`` is."""
        asked = {"language": recordings.language(), **form}
        if agent is not None:
            asked |= {"incomplete_elements_check": "true", "agent_url": agent}
        if upload is None and "file_path" not in form:
            upload = self.clip()
        return self.target.transcribe(asked, upload)

    def until_recognised(self, upload: Path) -> Answer:
        """Send a recording until it is recognised; give the last answer after the bound."""
        began = time.monotonic()
        while True:
            answer = self.call(upload)
            late = time.monotonic() - began > self.bounds.recognition
            if answer.body.get("success") or late:
                return replace(answer, took_sec=time.monotonic() - began)
            time.sleep(_AGAIN_SEC)

    @contextmanager
    def calling(self, **asked: object) -> Iterator[Future[Answer]]:
        """Make a call in a thread of its own, for a block that breaks something meanwhile."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(self.call, **asked)  # type: ignore[arg-type]

    @contextmanager
    def agent(self, script: Script, models: Script | None = None) -> Iterator[FaultServer]:
        """Run an LLM server that does what the script says."""
        server = FaultServer(script, host=self.host)
        if models is not None:
            server.models = models
        with served(server):
            yield server

    def truth(self, *, heard: bool = True, checked: bool = False) -> Truth:
        """Give what is known of a call with the built-in clip (or with one that says nothing)."""
        return Truth(self.words, heard=heard, checked=checked)

    def judge(
        self,
        step: str,
        promise: Promise,
        answer: Answer,
        bound_sec: float | None = None,
        truth: Truth | None = None,
    ) -> Result:
        """Hold an answer to its promise and to honesty; keep what the server logged and counted."""
        fault = f"{self.fault}: {step}" if step else self.fault
        bound = self.bounds.recognition + SLACK_SEC if bound_sec is None else bound_sec
        truth = self.truth() if truth is None else truth
        return self.add(scorecard.judged(fault, promise, bound, answer, truth), answer)

    def add(self, result: Result, *answers: Answer) -> Result:
        """Keep a result, with what came out of the server for it."""
        lines = self._news([one.request_id for one in answers if one.request_id])
        counted = self._counts()
        self.seen.update(*(_types_of(one) for one in answers), _TYPE.findall(" ".join(counted)))
        self.results.append(replace(result, log_lines=lines, metrics=counted))
        return self.results[-1]

    def done(self, step: str, words: str, took_sec: float, bound_sec: float) -> Result:
        """Keep a promise that is no answer's."""
        fault = f"{self.fault}: {step}" if step else self.fault
        return self.add(scorecard.kept(fault, words, took_sec, bound_sec))

    def check(self, step: str, fact: bool, otherwise: str) -> Result:  # noqa: FBT001
        """Keep a plain fact."""
        fault = f"{self.fault}: {step}"
        if fact:
            return self.add(scorecard.kept(fault, step, 0.0, 0.0))
        return self.add(scorecard.broken(fault, step, otherwise))

    def skip(self, promise: Promise, why: str, cover: str) -> None:
        """Leave out what shows itself to be impossible on a server of somebody else's."""
        self.results.append(scorecard.skipped(self.fault, promise.words, why))
        self.seen.add(cover)

    def begin(self, line: int, counted: Mapping[str, float]) -> None:
        """Take up where the drill before ended."""
        self._line, self._counted = line, counted

    def glance(self) -> None:
        """Take the counters as they are for where to begin."""
        self._counts()

    def end(self) -> tuple[int, Mapping[str, float]]:
        """Give where the next one takes up."""
        return self._line, self._counted

    def _news(self, ids: Sequence[str]) -> list[str]:
        """Give the loud lines since the last look: of these calls, and of no call."""
        if not isinstance(self.target, Server):
            return []
        for one in ids:
            if self.target.alive:
                self.target.line(lambda raw, one=one: "HTTP/1.1" in raw and one in raw, LOG_SEC)
        since, self._line = self._line, len(self.target.lines)
        found = [
            one
            for one in self.target.records(since)
            if one.get("request_id") in {None, *ids} and one.get("level") in _LOUD
        ]
        told = [f"{one['level']} - [{one['component']}] {one['message']}" for one in found]
        self.seen.update(name for words in told for name in _NAMED.findall(words))
        return told

    def _counts(self) -> dict[str, float]:
        """Give what the counters have grown by since the last look."""
        before = self._counted
        found = {
            name: float(value) for name, value in _COUNTER.findall(self.target.page("/metrics"))
        }
        if found:
            self._counted = found
        grown = {name: value - before.get(name, 0.0) for name, value in found.items()}
        return {name: more for name, more in grown.items() if more}


def _types_of(one: Answer) -> set[str]:
    """Give the error types that an answer names, and the end of a problem's type."""
    body = one.body
    named = {body.get("error_type"), *(part["error_type"] for part in body.get("attempts", []))}
    named |= set(_NAMED.findall(f"({body.get('partial_failure_reason') or ''})"))
    return {str(name) for name in named if name} | {str(body.get("type", "")).rpartition(":")[2]}
